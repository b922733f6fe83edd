import base64
import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.calibrate import calibrate_beads
from napari_dilatedloc.psf.report import write_report
from napari_dilatedloc.psf.report_beads import short_reason
from napari_dilatedloc.psf.report_figure import bead_and_model
from napari_dilatedloc.psf.vectorial import VectorialPSF
from napari_dilatedloc.psf.widths import spot_widths

# torch itself, on the first forward-mode derivative of a process (the CRLB of a vectorial PSF)
PNG = b"\x89PNG\r\n\x1a\n"
CONFIG = VectorialPSFConfig(
    roi_size=19,
    na=1.4,
    n_medium=1.518,
    wavelength_nm=600,
    zernike_nm=((2, 2, 60.0), (3, 1, -10.0), (4, 0, 5.0)),
)


@dataclass(frozen=True)
class Fitted:
    """Stands in for a fitted vectorial model."""

    psf: VectorialPSF
    zernike_sigma_nm: tuple[float, ...]
    residual: float
    z_offset_nm: float
    z_scale: float
    z_scale_sigma: float
    drift_nm: tuple[float, float]
    z_nm: np.ndarray
    measured: np.ndarray
    modelled: np.ndarray


@pytest.fixture(scope="module")
def calibration():
    """Three beads to use, a dim one, and one at the border."""
    z = torch.linspace(-600, 600, 25, dtype=torch.float64)
    rois = VectorialPSF(CONFIG).rois(z, 0 * z, 0 * z).detach().numpy()
    stack = np.full((25, 70, 70), 50.0)
    for row, column, photons in ((20, 16, 1e5), (20, 50, 8e4), (52, 20, 9e4), (52, 52, 4e3)):
        stack[:, row - 9 : row + 10, column - 9 : column + 10] += photons * rois
    stack[:, :8, 30:37] += 1e5 * rois[:, 6:14, 6:13]
    noisy = np.random.default_rng(0).poisson(stack).astype(np.uint16)
    return calibrate_beads(noisy, pixel_size_nm=108, z_step_nm=50, roi_size=15)


@pytest.fixture(scope="module")
def retrieval(calibration):
    z = torch.as_tensor(calibration.z_nm)
    psf = VectorialPSF(CONFIG.replace(roi_size=15))
    modelled = psf.rois(z, 0 * z, 0 * z).detach().numpy()
    return Fitted(
        psf,
        zernike_sigma_nm=(1.0, 2.0, 3.0),
        residual=0.01,
        z_offset_nm=0.0,
        z_scale=1.01,
        z_scale_sigma=0.01,
        drift_nm=(3.0, -2.0),
        z_nm=calibration.z_nm,
        measured=calibration.measured,
        modelled=modelled,
    )


@pytest.fixture(scope="module")
def written(calibration, retrieval, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "new"
    return write_report(folder, calibration, retrieval=retrieval, photons=3000, bg=20)


def test_page_picture_and_numbers_are_written(written):
    assert [path.name for path in written] == ["report.html", "report.png", "report.json"]
    page = written[0].read_text(encoding="utf-8")
    inside = re.search(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert base64.b64decode(inside.group(1)) == written[1].read_bytes()
    assert written[1].read_bytes().startswith(PNG)
    assert len(list(written[0].parent.iterdir())) == 3  # no half files


def test_page_names_verdicts_before_the_picture_and_every_rejection(written, calibration):
    page = written[0].read_text(encoding="utf-8")
    assert page.index("Verdicts") < page.index("<img")
    rejected = [bead for bead in calibration.beads if not bead.kept]
    assert len(rejected) >= 2
    assert all(bead.reason in page for bead in rejected)
    assert page.count("rejected: ") >= len(rejected)
    assert "nm rms (Noll)" in page


def test_numbers_are_those_of_the_calibration(written, calibration):
    numbers = json.loads(written[2].read_text())
    assert numbers["beads_used"] == len(calibration.kept)
    assert [bead["reason"] for bead in numbers["beads"]] == [b.reason for b in calibration.beads]
    assert numbers["crlb"]["photons"] == 3000
    assert numbers["retrieval"]["zernike"][0] == {"n": 2, "m": 2, "nm_rms": 60.0, "sigma_nm": 1.0}
    assert {verdict["level"] for verdict in numbers["verdicts"]} <= {"ok", "warning", "problem"}
    # the spline made of noisy beads promises nearly what the optics that made them do
    for axis in ("x_nm", "y_nm", "z_sigma_nm"):
        ratio = np.array(numbers["crlb"]["spline"][axis][5:-5]) / np.array(
            numbers["crlb"]["vectorial"][axis][5:-5]
        )
        assert np.median(ratio) == pytest.approx(1, abs=0.15)


def test_a_path_names_all_three_files(calibration, tmp_path):
    paths = write_report(tmp_path / "beads.html", calibration)
    assert [path.name for path in paths] == ["beads.html", "beads.png", "beads.json"]
    assert "retrieval" not in json.loads(paths[2].read_text())
    assert "Zernike" not in paths[0].read_text(encoding="utf-8")


def test_reasons_are_escaped(calibration, tmp_path):
    beads = (
        calibration.beads[0],
        calibration.beads[1].reject("<b>odd</b>"),
        *calibration.beads[2:],
    )
    page = write_report(tmp_path, replace(calibration, beads=beads))[0].read_text(encoding="utf-8")
    assert "&lt;b&gt;odd" in page


def test_a_bead_is_its_model_within_photon_noise(calibration):
    """A third of the noise of a bead is in the average of three."""
    for seen in calibration.images:
        measured, modelled = bead_and_model(calibration, seen)
        bg = calibration.beads[seen.bead].bg
        chi = (measured - modelled) / np.sqrt(np.clip(modelled, 0, None) + bg)
        assert (chi[2:-2] ** 2).mean() == pytest.approx(2 / 3, abs=0.2)


def test_reasons_have_a_short_name(calibration):
    assert short_reason("nearer than 12 px to the border") == "border"
    assert short_reason("too dim: 5% of the brightest bead") == "dim"
    assert short_reason("moved by 90 nm over the stack relative to the other beads") == "drifts"
    assert short_reason("correlation 0.8 with the average is below 0.9") == "unlike"
    assert short_reason("something new") == "rejected"


def test_widths_of_gaussian_spots():
    place = np.arange(25) - 12.0
    sigmas = [(1.0, 1.0), (1.3, 2.2), (3.5, 1.5)]
    images = np.stack(
        [
            np.exp(-0.5 * ((place - 0.3) / y) ** 2)[:, None]
            * np.exp(-0.5 * ((place + 0.4) / x) ** 2)
            for y, x in sigmas
        ]
    )
    width_y, width_x, centre = spot_widths(images)
    np.testing.assert_allclose(np.stack([width_y, width_x], 1), sigmas, rtol=0.01)
    np.testing.assert_allclose(centre, [[0.3, -0.4]] * 3, atol=0.01)
    assert np.isnan(spot_widths(np.ones((1, 25, 25)))[0]).all()
    assert np.isnan(spot_widths(np.zeros((1, 25, 25)))[0]).all()
