import pytest
import tifffile
from typer.testing import CliRunner

from napari_dilatedloc.cli.app import app
from napari_dilatedloc.config import GaussianPSFConfig, SimulationConfig, save_yaml


@pytest.fixture
def psf(tmp_path):
    save_yaml(GaussianPSFConfig(), tmp_path / "psf.yaml")
    return tmp_path / "psf.yaml"


def run(*args):
    return CliRunner().invoke(app, ["simulate", *(str(arg) for arg in args)])


def test_settings_come_from_a_file_and_options_override_them(tmp_path, psf):
    settings = SimulationConfig(
        density_per_um2=(1e-6, 1e-6), bg=(400, 400), bg_structure=0, photon_distribution="gamma"
    )
    save_yaml(settings, tmp_path / "simulation.yaml")
    out = tmp_path / "movie.tif"
    common = ("--out", out, "--psf", psf, "--simulation", tmp_path / "simulation.yaml")
    shape = ("--frames", 4, "--size", 32)
    result = run(*common, *shape)
    assert result.exit_code == 0, result.output
    bright = tifffile.imread(out).mean()
    assert bright == pytest.approx(100 + 400 * 0.9 / 0.47, rel=0.01)  # the default camera
    # photons below the smallest target are no obstacle to a movie
    result = run(*common, *shape, "--bg", 40, "--photons", "20:80")
    assert result.exit_code == 0, result.output
    assert tifffile.imread(out).mean() == pytest.approx(100 + 40 * 0.9 / 0.47, rel=0.02)


def test_impossible_options_are_refused(tmp_path, psf):
    for option, value in (("--photons", "0:0"), ("--photons=-5:90", None), ("--photons", "9:5")):
        given = (option,) if value is None else (option, value)
        result = run("--out", tmp_path / "movie.tif", "--psf", psf, *given)
        assert result.exit_code != 0
        assert not (tmp_path / "movie.tif").exists()


def test_a_truth_that_cannot_be_written_is_refused_before_the_movie_is(tmp_path, psf):
    out, truth = tmp_path / "movie.tif", tmp_path / "nowhere" / "truth.csv"
    result = run("--out", out, "--psf", psf, "--truth", truth)
    assert "no folder" in str(result.exception)
    assert not out.exists()
