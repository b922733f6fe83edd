import json

import numpy as np
import pytest
from matplotlib.image import imread

from napari_dilatedloc.config import (
    GaussianPSFConfig,
    SCMOSConfig,
    SimulationConfig,
    TrainingConfig,
    load_yaml,
    save_yaml,
)
from napari_dilatedloc.io.movie import write_movie
from napari_dilatedloc.matching import estimate
from napari_dilatedloc.psf.build import save_psf
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.simulator import simulate_movie

PSF = GaussianPSF(GaussianPSFConfig(roi_size=15))
CAMERA = SCMOSConfig(baseline=200.0)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "SIMULATED_PIXELS", 100_000)  # quick
    monkeypatch.setattr(estimate, "ROUNDS", 3)
    simulation = SimulationConfig(density_per_um2=(0.15, 0.15), bg=(30.0, 30.0), bg_structure=0.0)
    movie, _ = simulate_movie(PSF, CAMERA, simulation, frames=60, size=(40, 40), seed=1)
    write_movie(tmp_path / "movie.tif", movie, 100.0)
    save_psf(tmp_path / "psf.h5", PSF)
    save_yaml(CAMERA, tmp_path / "camera.yaml")
    return tmp_path


def given(files):
    return (files / "movie.tif", "--psf", files / "psf.h5", "--camera", files / "camera.yaml")


def test_settings_picture_and_figures(run, files):
    train, picture = files / "train.yaml", files / "match.png"
    status, out, _ = run("match", *given(files), "--out", train, "--figure", picture, "--json")
    assert status == 0
    found = json.loads(out)
    assert found["estimate"]["bg"]["median"] == pytest.approx(30, rel=0.05)
    assert {"baseline", "gain", "orientation", "frames"} <= {v["topic"] for v in found["verdicts"]}
    config = load_yaml(TrainingConfig, train)
    assert config.for_fine_tuning().minutes == 7.0  # the file leaves the length open
    assert config.camera == CAMERA
    assert config.simulation.bg[0] < 30 < config.simulation.bg[1]
    image = imread(picture)[..., :3]
    assert image.shape[0] > 1000
    assert np.std(image) > 0.1


def test_words_for_people(run, files):
    save_yaml(
        TrainingConfig(simulation=SimulationConfig(bg=(100.0, 150.0)), camera=CAMERA),
        files / "old.yaml",
    )
    status, out, err = run(
        "match", files / "movie.tif", "--psf", files / "psf.h5", "--config", files / "old.yaml",
        "--frames", "0:50", "--out", files / "new.yaml",
    )  # fmt: skip
    assert status == 0
    assert "photons per pixel" in out
    assert "Background 3.3x too high in the settings" in out
    assert "new.yaml" in err


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (("--out", "{}/nowhere/a.yaml"), "no folder"),
        (("--out", "{}/a.yaml", "--figure", "{}/a.bmp"), "--figure must end in"),
        (("--out", "{}/a.yaml", "--frames", "50:90"), "frames must be A:B"),
        (("--out", "{}/a.yaml", "--frames", "few"), "--frames must be 2 numbers"),
    ],
)
def test_errors_are_one_sentence(run, files, extra, words):
    extra = [text.format(files) for text in extra]
    status, _, err = run("match", *given(files), *extra)
    assert status == 2
    assert words in err
    assert "Traceback" not in err
