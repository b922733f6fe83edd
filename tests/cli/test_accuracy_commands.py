"""``dilatedloc models`` and ``dilatedloc benchmark accuracy`` as a user types them."""

import json

import pytest

from napari_dilatedloc.network.checkpoint import load_model, save_model
from napari_dilatedloc.network.shipped import available_models, read_info

SMALL = ("--emitters", 120, "--per-plane", 2, "--device", "cpu")


def test_models_are_listed_with_their_figures(run):
    status, out, _ = run("models", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert status == 0
    assert list(rows) == available_models()
    row = rows["astigmatism"]
    assert row["network"] == "dilatedloc"
    assert row["pixel_size_nm"] == 100
    assert row["z_range_nm"] == [-700, 700]
    assert row["photons"] == [500, 10000]
    assert row["jaccard"] > 0.7
    assert row["megabytes"] > 1
    for name in ("rmse_over_crlb_lateral", "rmse_over_crlb_axial", "cpu_hours", "test_set"):
        assert name in row
    status, out, err = run("models")
    assert "astigmatism" in out
    assert "benchmark accuracy" in err


@pytest.fixture
def model_file(tmp_path):
    model = load_model("astigmatism")
    path = tmp_path / "mine.safetensors"
    save_model(path, model.network, model.info, model.psf_tensors)
    return path


def test_a_model_is_measured_pictured_and_written(run, model_file, tmp_path):
    before = load_model(model_file)
    figure, card = tmp_path / "a.png", tmp_path / "a.md"
    command = "dilatedloc train --psf astigmatism --out a.safetensors"
    options = ("--figure", figure, "--card", card, "--remake", command, "--write", "--json")
    status, out, err = run("benchmark", "accuracy", model_file, *SMALL, *options)
    assert status == 0, err
    figures = json.loads(out)
    assert figures["model"] == "mine"
    assert figures["jaccard"] > 0.6
    assert figures["rmse_over_crlb_axial"] > 0.5
    assert len(figures["isolated"]["z_nm"]) == 15
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert figure.stat().st_size > 30_000
    info = read_info(model_file)
    assert info.metrics["jaccard"] == figures["jaccard"]
    assert info.test_set == figures["test_set"]
    assert info.calibration.model_dump() == figures["calibration"]
    assert info.cpu_hours == before.info.cpu_hours
    text = card.read_text(encoding="utf-8")
    parts = ("# Model `mine`", "948,810 parameters", "Jaccard", command, "CPU hours", "QE")
    assert [part for part in parts if part not in text] == []


def test_measuring_writes_nothing_by_itself(run, model_file):
    before = model_file.read_bytes()
    args = ("benchmark", "accuracy", model_file, *SMALL)
    status, out, _ = run(*args, "--density", 0.5)
    assert status == 0
    assert "0.5 molecules on per um2" in out
    assert model_file.read_bytes() == before


def test_figures_of_another_density_are_not_written(run, model_file):
    status, _, err = run("benchmark", "accuracy", model_file, "--density", 0.5, "--write")
    assert status == 2
    assert "--density" in err


def test_a_wrong_model_or_folder_ends_at_once(run, model_file, tmp_path):
    assert run("benchmark", "accuracy", "no-such-model")[0] == 2
    status, _, err = run("benchmark", "accuracy", model_file, "--card", tmp_path / "no" / "a.md")
    assert status == 2
    assert "no folder" in err
