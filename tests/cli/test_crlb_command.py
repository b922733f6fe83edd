import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import EMCCDConfig, GaussianPSFConfig, save_yaml
from napari_dilatedloc.psf.build import save_psf
from napari_dilatedloc.psf.crlb import crlb
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.plots import plot_crlb

PSF = GaussianPSF(GaussianPSFConfig(roi_size=15))
NAMES = ["z_nm", "x_nm", "y_nm", "z_sigma_nm", "photons", "background"]


@pytest.fixture
def psf(tmp_path):
    return save_psf(tmp_path / "spot.psf.h5", PSF)


def test_json_is_what_the_library_gives(run, psf, tmp_path):
    camera = EMCCDConfig()
    save_yaml(camera, tmp_path / "camera.yaml")
    options = ["--photons", 3000, "--background", 20, "--camera", tmp_path / "camera.yaml"]
    status, out, _ = run(
        "crlb", "--psf", psf, *options, "--z-range", "-300:200", "--points", 6, "--json"
    )
    assert status == 0
    found = json.loads(out)
    assert list(found) == NAMES
    expected = crlb(PSF, np.linspace(-300, 200, 6), 3000, 20, build_camera(camera).noise)
    for name in NAMES:
        np.testing.assert_allclose(found[name], getattr(expected, name), rtol=1e-9)


def test_defaults_span_the_range_of_a_preset(run):
    status, out, _ = run("crlb", "--psf", "astigmatism", "--points", 3, "--json")
    assert status == 0
    assert json.loads(out)["z_nm"] == [-700, 0, 700]


def test_table_and_picture(run, psf, tmp_path):
    picture = tmp_path / "bound.png"
    status, out, err = run("crlb", "--psf", psf, "--points", 5, "--out", picture)
    assert status == 0
    assert len(out.splitlines()) == 1 + 5 + 1
    assert "mean 3-D bound" in out
    assert "bound.png" in err
    assert imread(picture)[..., :3].std() > 0.05


def test_what_cannot_be_told_is_null(run, tmp_path):
    psf = GaussianPSF(GaussianPSFConfig(focus_x_nm=0, focus_y_nm=0))
    file = save_psf(tmp_path / "round.h5", psf)
    status, out, _ = run("crlb", "--psf", file, "--z-range", "0:0", "--points", 1, "--json")
    assert status == 0
    assert json.loads(out)["z_sigma_nm"] == [None]
    assert json.loads(out)["x_nm"][0] > 0


def test_the_plot_shows_three_curves_in_nm():
    axis = Figure().subplots()
    plot_crlb(axis, crlb(PSF, [-100, 0, 100], 1000, 10))
    lines = {line.get_label(): line.get_ydata() for line in axis.get_lines()}
    assert list(lines) == ["x", "y", "z"]
    np.testing.assert_allclose(lines["z"], crlb(PSF, [-100, 0, 100], 1000, 10).z_sigma_nm)
    assert "nm" in axis.get_xlabel()
    assert "nm" in axis.get_ylabel()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--photons", "0"], "photons must be above 0, got 0.0"),
        (["--z-range", "5"], "--z-range must be 2 numbers like"),
        (["--z-range", "300:-300"], "--z-range must be LOW:HIGH"),
        (["--out", "picture.txt"], "--out must end in .png"),
        (["--out", "no/such/folder/a.png"], "no folder"),
        (["--camera", "absent.yaml"], "no such file"),
    ],
)
def test_mistakes_end_in_one_sentence(run, psf, options, message):
    status, out, err = run("crlb", "--psf", psf, *options)
    assert status == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err
