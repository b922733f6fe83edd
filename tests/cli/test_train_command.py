import json
import signal

import pytest
from torch import nn

from napari_dilatedloc.cli import train as command
from napari_dilatedloc.config import GaussianPSFConfig, save_yaml
from napari_dilatedloc.network import registry
from napari_dilatedloc.network.dilatedloc_2024 import DilatedLoc2024
from napari_dilatedloc.network.shipped import read_info

QUICK = (
    "batch: 1\nframes: 3\npatch: 32\nvalidate_every: 2\nvalidation_frames: 10\n"
    "validation_per_plane: 1\ntest_emitters: 10\n"
)


@pytest.fixture
def given(tmp_path):
    """Options of a run that takes seconds."""
    save_yaml(GaussianPSFConfig(roi_size=15), tmp_path / "psf.yaml")
    (tmp_path / "train.yaml").write_text(QUICK)
    out = tmp_path / "model.safetensors"
    psf, config = tmp_path / "psf.yaml", tmp_path / "train.yaml"
    return "--psf", psf, "--config", config, "--out", out, "--init", "none", "--json"


def test_figures_are_those_of_the_model_file(run, given):
    status, out, _ = run("train", *given, "--steps", 2)
    assert status == 0
    figures = json.loads(out)
    info = read_info(given[5])
    assert figures.pop("model") == str(given[5])
    assert figures.pop("steps") == info.steps == 2
    assert figures.pop("test_set") == info.test_set
    assert figures == info.metrics


def test_ctrl_c_keeps_the_step_and_resume_goes_on(run, given, monkeypatch):
    def interrupt(step):
        signal.raise_signal(signal.SIGINT)
        return ""

    usual = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(command, "_note", interrupt)
        status, out, err = run("train", *given, "--steps", 4)
    assert status == 130
    assert out == ""
    assert "--resume goes on" in " ".join(err.split())
    assert signal.getsignal(signal.SIGINT) is usual
    seen = []
    monkeypatch.setattr(command, "_note", lambda step: seen.append(step.step) or "")
    assert run("train", *given, "--resume")[0] == 0
    assert seen[0] == 2


def test_the_nearest_weights_are_taken_and_why_is_said(run, given):
    chosen = [option if option != "none" else "auto" for option in given]
    status, _, err = run("train", *chosen, "--steps", 1)
    assert status == 0
    said = " ".join(err.split())
    assert "from the weights of astigmatism: its PSF is the most like yours (" in said


def test_networks_of_others_are_listed_and_broken_ones_left_out(run, monkeypatch):
    monkeypatch.setitem(registry._registered, "of-others", DilatedLoc2024)
    monkeypatch.setitem(registry._registered, "broken", lambda: nn.ReLU())
    status, out, _ = run("networks", "--json")
    assert status == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert "broken" not in rows
    figures = [{**rows[name], "name": ""} for name in ("of-others", "dilatedloc-2024")]
    assert figures[0] == figures[1]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (("--photons", "900:100"), "photons must be (low, high)"),
        (("--network", "dilatedloc-2024", "--init", "astigmatism"), "leave one of the two out"),
        (("--minutes", 1, "--steps", 1), "not both"),
    ],
)
def test_impossible_options_end_in_one_sentence(run, given, extra, words):
    status, _, err = run("train", *given, *extra)
    assert status == 2
    assert words in err
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
    assert len(err.strip().splitlines()) == 1
