"""``dilatedloc design`` from arguments to a PSF file."""

import json

import pytest

from napari_dilatedloc.config import VectorialPSFConfig, load_yaml, save_yaml
from napari_dilatedloc.psf.build import load_psf

OPTICS = VectorialPSFConfig(
    na=1.2, n_medium=1.33, n_immersion=1.34, roi_size=17, n_pupil=24, depth_nm=500.0
)


@pytest.fixture
def optics(tmp_path):
    path = tmp_path / "optics.yaml"
    save_yaml(OPTICS, path)
    return path


@pytest.mark.parametrize("suffix", [".yaml", ".h5"])
def test_design(run, tmp_path, optics, suffix):
    out, plot = tmp_path / f"new{suffix}", tmp_path / "new.png"
    arguments = ["--optics", optics, "--z-range", "-400:400", "--iterations", 3, "--json"]
    status, stdout, _ = run("design", *arguments, "--out", out, "--plot", plot)
    assert status == 0
    figures = json.loads(stdout)
    assert figures["mean_bound_nm"] < figures["mean_bound_start_nm"]
    assert figures["mean_bound_tetrapod-3um_nm"] > 0
    psf = load_psf(out)
    assert psf.config.z_range_nm == (-400, 400)
    assert psf.config.roi_size == 17
    assert [list(one) for one in psf.config.zernike_nm] == figures["zernike_nm"]
    assert plot.stat().st_size > 10_000


def test_larger_range_gets_a_larger_roi_and_stays_in_the_medium(run, tmp_path, optics):
    out = tmp_path / "new.yaml"
    arguments = ["--optics", optics, "--z-range", "-800:800", "--iterations", 1]
    status, _, stderr = run("design", *arguments, "--out", out)
    assert status == 0
    assert "800 nm above the cover slip" in stderr
    config = load_yaml(VectorialPSFConfig, out)
    assert config.depth_nm == 800
    assert config.roi_size > 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--z-range": "400:-400"}, "LOW:HIGH"),
        ({"--out": "new.txt"}, ".yaml or .h5"),
        ({"--optics": "nothing"}, "no PSF named"),
        ({"--photons": "0"}, "above 0"),
    ],
)
def test_bad_input_is_one_sentence(run, tmp_path, optics, changes, message):
    options = {"--z-range": "-400:400", "--out": "new.yaml", "--optics": str(optics), **changes}
    options["--out"] = str(tmp_path / options["--out"])
    status, _, stderr = run("design", *[word for pair in options.items() for word in pair])
    assert status == 2
    assert message in stderr
