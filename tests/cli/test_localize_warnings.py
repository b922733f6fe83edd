"""What ``dilatedloc localize`` says of a movie that is not the model's."""

import json

import pytest

from napari_dilatedloc.config import SCMOSConfig, SimulationConfig, save_yaml
from napari_dilatedloc.io.movie import write_movie
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.psf.build import build_psf
from napari_dilatedloc.simulation.simulator import simulate_movie

MODEL = "astigmatism"


def write(path, frames=40, photons=(4000, 8000), **changes):
    """A movie of the model's camera; `changes` of its PSF."""
    info = load_model(MODEL).info
    settings = SimulationConfig(photons=photons, bg=(40, 40), density_per_um2=(0.1, 0.1))
    psf = build_psf(info.psf.replace(**changes))
    movie, _ = simulate_movie(psf, info.camera, settings, frames=frames, size=(64, 64), seed=5)
    write_movie(path, movie, info.pixel_size_nm)


@pytest.fixture
def localize(run, tmp_path):
    def call(movie, *options):
        args = ("localize", movie, "--model", MODEL, "--out", tmp_path / "l.csv", "--json")
        status, out, err = run(*args, *options)
        assert status == 0
        return json.loads(out)["warnings"], " ".join(err.split())

    return call


def test_a_movie_of_the_models_own_kind(localize, tmp_path):
    write(tmp_path / "m.tif")
    warnings, err = localize(tmp_path / "m.tif")
    assert warnings == []
    assert "warning" not in err


def test_a_movie_of_other_pixels(localize, tmp_path):
    write(tmp_path / "m.tif", pixel_size_nm=130.0)
    warnings, err = localize(tmp_path / "m.tif")
    assert any("differ from the model's PSF" in sentence for sentence in warnings)
    for sentence in warnings:
        assert f"warning: {sentence}" in err


def test_a_movie_of_another_camera(localize, tmp_path):
    write(tmp_path / "m.tif")
    camera = load_model(MODEL).info.camera
    assert isinstance(camera, SCMOSConfig)
    save_yaml(camera.replace(e_per_adu=2 * camera.e_per_adu), tmp_path / "camera.yaml")
    warnings, _ = localize(tmp_path / "m.tif", "--camera", tmp_path / "camera.yaml")
    assert any("noise between the molecules" in sentence for sentence in warnings)


def test_a_movie_of_brighter_molecules(localize, tmp_path):
    write(tmp_path / "m.tif", photons=(12000, 24000))
    warnings, _ = localize(tmp_path / "m.tif")
    assert any("more than 10,500 photons" in sentence for sentence in warnings)


def test_an_empty_movie(localize, tmp_path):
    info = load_model(MODEL).info
    settings = SimulationConfig(density_per_um2=(1e-6, 1e-6), bg=(40, 40))
    psf = build_psf(info.psf)
    movie, _ = simulate_movie(psf, info.camera, settings, frames=20, size=(32, 32), seed=5)
    write_movie(tmp_path / "m.tif", movie, info.pixel_size_nm)
    warnings, _ = localize(tmp_path / "m.tif")
    assert [sentence[:22] for sentence in warnings] == ["Only 0 molecules were "]
