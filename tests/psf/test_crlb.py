import math

import numpy as np
import pytest
import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import EMCCDConfig, GaussianPSFConfig, PixelNoise, SCMOSConfig
from napari_dilatedloc.psf.crlb import (
    crlb,
    fisher_information,
    mean_crlb_nm,
    standard_deviations,
)
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.slopes import Slopes, rois_and_slopes

Z = (-400.0, 0.0, 250.0)
FIELDS = ("z_sigma_nm", "y_nm", "x_nm", "photons", "background")


def numerical_bounds(psf, z, photons, bg, noise, y, x):
    """The same bounds by finite differences of the expected image, in plain numpy."""

    def image(p):
        at = torch.tensor([[p[0]], [p[1]], [p[2]]], dtype=torch.float64)
        return p[3] * psf.rois(*at)[0].numpy() + p[4]

    centre = np.array([z, y, x, photons, bg])
    slopes = []
    for i, step in enumerate((0.01, 1e-5, 1e-5, 0.01, 0.01)):
        move = np.zeros(5)
        move[i] = step
        slopes.append(((image(centre + move) - image(centre - move)) / (2 * step)).ravel())
    jacobian = np.array(slopes)
    variance = noise.excess * image(centre).ravel() + noise.floor_photons2
    return np.sqrt(np.diag(np.linalg.inv((jacobian / variance) @ jacobian.T)))


@pytest.mark.parametrize("noise", [PixelNoise(), PixelNoise(excess=2.2, floor_photons2=3.0)])
def test_equals_a_numerical_derivative(noise):
    psf = GaussianPSF(GaussianPSFConfig(roi_size=15))
    found = crlb(psf, Z, 3000, 20, noise, y=0.2, x=-0.35)
    for i, z in enumerate(Z):
        expected = numerical_bounds(psf, z, 3000, 20, noise, 0.2, -0.35)
        expected[1:3] *= psf.config.pixel_size_nm
        got = [getattr(found, name)[i] for name in FIELDS]
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_small_pixels_without_background_give_sigma_over_root_n():
    """The textbook limit: each photon tells the position to one spot width."""
    config = GaussianPSFConfig(
        pixel_size_nm=40, roi_size=41, sigma_nm=130, focus_x_nm=0, focus_y_nm=0
    )
    found = crlb(GaussianPSF(config), 0.0, 2000, 1e-9)
    assert found.x_nm[0] == pytest.approx(130 / math.sqrt(2000), rel=0.01)
    assert found.y_nm[0] == pytest.approx(130 / math.sqrt(2000), rel=0.01)
    assert found.photons[0] == pytest.approx(math.sqrt(2000), rel=0.01)


def test_lateral_bound_follows_the_formula_with_background():
    """Mortensen et al., Nat. Methods 7, 377 (2010), equation 5: a 2-D Gaussian, pixels small."""
    config = GaussianPSFConfig(
        pixel_size_nm=40, roi_size=61, sigma_nm=130, focus_x_nm=0, focus_y_nm=0
    )
    photons, bg = 1000.0, 2.0
    tau = 2 * math.pi * bg * 130**2 / (photons * 40**2)
    t = (np.arange(100_000) + 0.5) / 100_000
    integral = np.mean(np.log(t) / (1 + t / tau))  # substitution of the Fisher integral
    expected = 130 / math.sqrt(photons) / math.sqrt(1 + integral)
    found = crlb(GaussianPSF(config), 0.0, photons, bg)
    assert found.x_nm[0] == pytest.approx(expected, rel=0.02)


def test_excess_noise_costs_root_two_and_read_noise_something():
    psf = GaussianPSF(GaussianPSFConfig(roi_size=15))
    plain = crlb(psf, Z, 3000, 20)
    doubled = crlb(psf, Z, 3000, 20, PixelNoise(excess=2.0))
    read = crlb(psf, Z, 3000, 20, PixelNoise(floor_photons2=2.0))
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(doubled, name), math.sqrt(2) * getattr(plain, name), rtol=1e-12
        )
        assert np.all(getattr(read, name) > getattr(plain, name))


def test_read_noise_is_like_background_of_the_same_variance():
    psf = GaussianPSF(GaussianPSFConfig(roi_size=15))
    read = crlb(psf, Z, 3000, 20, PixelNoise(floor_photons2=7.0))
    bright = crlb(psf, Z, 3000, 27)
    np.testing.assert_allclose(read.z_sigma_nm, bright.z_sigma_nm, rtol=1e-12)


def test_an_em_camera_is_better_only_where_light_is_faint():
    psf = GaussianPSF(GaussianPSFConfig(roi_size=15))
    scmos = build_camera(SCMOSConfig(qe=0.9, read_noise_e=10.0)).noise
    emccd = build_camera(EMCCDConfig(qe=0.9)).noise
    faint, bright = ((500, 1), (50_000, 200))
    assert crlb(psf, 0, *faint, emccd).x_nm < crlb(psf, 0, *faint, scmos).x_nm
    assert crlb(psf, 0, *bright, emccd).x_nm > crlb(psf, 0, *bright, scmos).x_nm


def test_what_leaves_no_trace_is_infinite_and_the_rest_is_not():
    round_spot = GaussianPSF(GaussianPSFConfig(focus_x_nm=0, focus_y_nm=0))
    found = crlb(round_spot, [0.0, 1.0], 5000, 50)
    assert np.isinf(found.z_sigma_nm[0])
    assert np.isfinite(found.z_sigma_nm[1])
    assert np.isfinite(found.x_nm).all()
    assert found.x_nm[0] == pytest.approx(found.x_nm[1], rel=0.001)


def test_two_parameters_that_look_alike_are_both_infinite():
    flat = torch.ones(1, 7, 7, dtype=torch.float64) / 49  # a PSF like its background
    ramp = torch.arange(7.0, dtype=torch.float64).expand(1, 7, 7)
    slopes = Slopes(flat, ramp, ramp**2, ramp.mT)
    one = torch.ones(1, dtype=torch.float64)
    assert torch.isinf(standard_deviations(fisher_information(slopes, 100 * one, one))).all()


def test_many_z_are_computed_in_parts_with_the_same_result():
    psf = GaussianPSF(GaussianPSFConfig(roi_size=25))
    z = np.linspace(-500, 500, 401)  # more than one chunk
    photons = np.linspace(1000, 2000, 401)
    found = crlb(psf, z, photons, 10)
    alone = crlb(psf, z[400], photons[400], 10)
    assert found.z_sigma_nm.shape == (401,)
    assert found.z_sigma_nm[400] == pytest.approx(alone.z_sigma_nm[0], rel=1e-12)


def test_mean_is_that_of_the_table_and_has_a_gradient():
    psf = GaussianPSF(GaussianPSFConfig(roi_size=15))
    z = torch.linspace(-300, 300, 7, dtype=torch.float64)
    photons = torch.tensor(3000.0, dtype=torch.float64, requires_grad=True)
    slopes = rois_and_slopes(psf, z, torch.zeros_like(z), torch.zeros_like(z))
    bg = torch.full_like(z, 1e-6)
    mean = mean_crlb_nm(fisher_information(slopes, photons.expand(7), bg), 100.0)
    assert mean.item() == pytest.approx(crlb(psf, z, 3000, 1e-6).mean_3d_nm, rel=1e-12)
    mean.backward()  # without background it goes like 1 / sqrt(photons)
    assert photons.grad.item() == pytest.approx(-mean.item() / 6000, rel=0.001)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 10), "photons must be above 0, got 0.0"),
        ((0, 1000, -1), "background must be above 0, got -1.0"),
        ((0, float("nan"), 10), "photons must be above 0"),
        (([0, 1, 2], [100, 200], 10), r"one per z \(3\), got shape \(2,\)"),
    ],
)
def test_nonsense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        crlb(GaussianPSF(), *arguments)


def test_an_emitter_outside_its_pixel_is_refused():
    with pytest.raises(ValueError, match=r"within \+-0.5 px, got 0.7"):
        crlb(GaussianPSF(), 0, 1000, 10, y=0.7)
