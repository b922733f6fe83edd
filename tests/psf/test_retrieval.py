"""Phase retrieval from simulated beads whose aberrations are known."""

import dataclasses

import numpy as np
import pytest
import torch

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.bead_model import (
    SCALE_NM,
    BeadData,
    Parameters,
    images_and_slopes,
    unit_images,
)
from napari_dilatedloc.psf.calibrate import calibrate_beads
from napari_dilatedloc.psf.optics import build_optics
from napari_dilatedloc.psf.retrieval import retrieve
from napari_dilatedloc.psf.retrieval_starts import guesses, vortex_pupil
from napari_dilatedloc.psf.zernike import MODES_21

OPTICS = VectorialPSFConfig(
    pixel_size_nm=110.0,
    na=1.35,
    n_medium=1.4,
    n_cover=1.52,
    n_immersion=1.4,
    n_pupil=24,
    scan="stage",
)
TRUTH = {(2, 2): 55.0, (2, -2): 20.0, (3, 1): -25.0, (4, 0): 30.0}
STEP_NM = 120.0
STATED = {"fit_aperture": False}


def bead_stack(
    truth, z_scale=1.0, drift_px=(0.0, 0.0), fading=0.0, turns=0, side=25, optics=OPTICS
):
    """One bead near the middle of a small stack."""
    config = optics.replace(roi_size=25)
    optics = build_optics(config, tuple(truth), vortex_pupil(24, turns))
    z = torch.arange(-6, 7, dtype=torch.float64) * STEP_NM
    along = torch.linspace(-0.5, 0.5, len(z), dtype=torch.float64)
    sizes = torch.tensor(list(truth.values()), dtype=torch.float64)
    blur = (torch.tensor(0.6), torch.tensor(0.6))
    y, x = 0.15 + drift_px[0] * along, -0.2 + drift_px[1] * along
    rois = optics.rois(z * z_scale, y, x, sizes, blur)
    mean = 2e5 * rois * (1 - fading * (along + 0.5))[:, None, None] + 20
    return np.random.default_rng(0).poisson(mean.numpy()).astype(np.uint32)


def calibrated(stack):
    return calibrate_beads(stack, pixel_size_nm=110, z_step_nm=STEP_NM, roi_size=17)


def sizes_of(found):
    return {(n, m): nm for n, m, nm in found.psf.config.zernike_nm}


@pytest.fixture(scope="module")
def found():
    return retrieve(
        calibrated(bead_stack(TRUTH, drift_px=(0.3, 0.0), fading=0.3)), OPTICS, **STATED
    )


def test_aberrations_are_found_within_their_errors(found):
    sizes = sizes_of(found)
    assert tuple(sizes) == MODES_21
    errors = np.array([sizes[mode] - TRUTH.get(mode, 0.0) for mode in MODES_21])
    assert np.abs(errors).max() < 3.0
    scores = errors / np.array(found.zernike_sigma_nm)
    assert np.sqrt((scores**2).mean()) < 2.5
    assert found.residual < 0.01
    assert found.vortex == 0


def test_nuisances_are_told_apart(found):
    """Bleaching, drift and blur do not end up as aberrations, and the step is right."""
    assert found.drift_nm[0] == pytest.approx(33.0, abs=4.0)
    assert found.drift_nm[1] == pytest.approx(0.0, abs=4.0)
    assert found.psf.config.blur_y_px == pytest.approx(0.6, abs=0.05)
    assert found.z_scale == pytest.approx(1.0, abs=0.03)
    assert 0 < found.z_scale_sigma < 0.03


def test_the_model_is_the_measurement(found):
    assert found.measured.shape == found.modelled.shape == (13, 17, 17)
    z = torch.from_numpy(found.z_nm + found.z_offset_nm)
    alone = found.psf.rois(z, z * 0, z * 0).numpy()  # without the fit's own drift and brightness
    for model, least in ((found.modelled, 0.999), (alone, 0.99)):
        assert np.corrcoef(found.measured.ravel(), model.ravel())[0, 1] > least
    low, high = found.psf.config.z_range_nm
    assert high - low == pytest.approx(12 * STEP_NM)
    assert found.psf.config.roi_size == 17
    assert found.psf.config.pixel_size_nm == 110.0


def test_a_depth_is_for_molecules_in_the_medium(found):
    assert found.psf.config.scan == "stage"
    deep = OPTICS.replace(depth_nm=800.0, scan="emitter")
    config = retrieve(calibrated(bead_stack(TRUTH)), deep, **STATED).psf.config
    assert (config.scan, config.depth_nm) == ("emitter", 800.0)


def test_a_wrong_step_is_seen():
    found = retrieve(calibrated(bead_stack(TRUTH, z_scale=1.3)), OPTICS, **STATED)
    assert found.z_scale == pytest.approx(1.3, abs=0.06)


def test_a_tetrapod_is_found_from_nothing():
    truth = {(2, -2): -71.0, (4, -2): 115.0, (3, 1): 10.0}
    found = retrieve(calibrated(bead_stack(truth)), OPTICS, **STATED)
    sizes = sizes_of(found)
    assert max(abs(sizes[mode] - truth.get(mode, 0.0)) for mode in MODES_21) < 5.0


def test_a_vortex_is_recognised():
    found = retrieve(calibrated(bead_stack({(2, 2): 20.0}, turns=1)), OPTICS, **STATED)
    assert found.vortex == 1
    samples = found.psf.config.n_pupil
    assert found.psf.tensors()["pupil"].shape == (2, samples, samples)
    assert sizes_of(found)[2, 2] == pytest.approx(20.0, abs=4.0)


def test_a_stopped_down_aperture_is_found():
    stopped = OPTICS.replace(na=1.1)
    found = retrieve(calibrated(bead_stack(TRUTH, optics=stopped)), OPTICS)
    assert found.psf.config.na == pytest.approx(1.1, abs=0.06)
    assert sizes_of(found)[2, 2] == pytest.approx(TRUTH[2, 2], abs=6.0)
    assert found.residual < 0.02


def test_slopes_are_those_of_differences():
    modes = ((2, 2), (4, 0))
    optics = build_optics(OPTICS.replace(roi_size=13, n_pupil=24), modes)
    data = BeadData(
        images=torch.zeros(4, 13, 13, dtype=torch.float64),
        z_nm=torch.tensor([-300.0, 200.0, -100.0, 400.0], dtype=torch.float64),
        bead=torch.tensor([0, 0, 1, 1]),
        noise_floor=torch.ones(4, dtype=torch.float64),
    )
    parameters = Parameters(
        zernike=torch.tensor([0.5, -0.2], dtype=torch.float64),
        blur=torch.tensor([0.6, 0.7], dtype=torch.float64),
        places=torch.tensor([[0.3, 0.1, -0.2, 0.1, 0.0], [-0.2, 0, 0.3, 0, 0.2]]).double(),
        z_scale=torch.tensor(1.05, dtype=torch.float64),
    )
    flat = parameters.flat()
    assert torch.equal(parameters.like(flat).flat(), flat)
    unit, slopes = images_and_slopes(optics, parameters, data)
    torch.testing.assert_close(unit, unit_images(optics, parameters, data))
    for k, slope in enumerate(slopes):
        steps = torch.zeros_like(flat)
        steps[k] = 1e-4
        both = [unit_images(optics, parameters.like(flat + s), data) for s in (steps, -steps)]
        numeric = (both[0] - both[1]) / 2e-4
        assert (slope - numeric).abs().max() < 0.01 * numeric.abs().max()


def test_every_guess_names_known_modes():
    found = guesses(MODES_21)
    assert ({}, 0) in found
    assert {turns for _, turns in found} == {0, 1, -1}
    assert len(guesses(((2, 2),))) < len(found)


def test_a_gain_that_cannot_be_is_refused():
    calibration = calibrated(bead_stack(TRUTH))
    with pytest.raises(ValueError, match="adu_per_photon must be positive, got 0"):
        retrieve(calibration, OPTICS, adu_per_photon=0)


def test_the_result_is_frozen(found):
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.vortex = 2
    assert SCALE_NM > 0
