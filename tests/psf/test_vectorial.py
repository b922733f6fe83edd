"""The vectorial PSF against integrals that share no code with it, and against its symmetries."""

import numpy as np
import pytest
import torch
from scipy.special import j1, jv

from napari_dilatedloc.config import ConfigError, VectorialPSFConfig, parse_config
from napari_dilatedloc.psf.build import build_psf, load_psf, save_psf
from napari_dilatedloc.psf.optics import needed_pupil
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.vectorial import VectorialPSF

PLAIN = VectorialPSFConfig(
    pixel_size_nm=40.0,
    roi_size=61,
    na=1.2,
    wavelength_nm=600.0,
    n_medium=1.33,
    n_cover=1.52,
    n_immersion=1.52,
    blur_y_px=0.0,
    blur_x_px=0.0,
    n_pupil=128,
)


def rois(config, z=(0.0,), y=0.0, x=0.0):
    z = torch.tensor(z, dtype=torch.float64)
    return VectorialPSF(config).rois(z, torch.full_like(z, y), torch.full_like(z, x))


def radial_intensity(config, r_nm, z_nm):
    """Intensity of a freely rotating dipole at radii, by Bessel integrals over the angle.

    Without aberrations the azimuthal integral is done by hand: J0, J1 and J2 remain, as in Richards
    & Wolf (1959). Density normalized over the plane.
    """
    rho, weight = np.polynomial.legendre.leggauss(800)
    rho, weight = (rho + 1) / 2, weight / 2
    n = (config.n_medium, config.n_cover, config.n_immersion)
    cosine = [np.sqrt(1 - (rho * config.na / i) ** 2 + 0j) for i in n]
    s = p = np.ones_like(rho)
    for (n1, c1), (n2, c2) in zip(
        list(zip(n, cosine, strict=True))[:2], list(zip(n, cosine, strict=True))[1:], strict=True
    ):
        s = s * 2 * n1 * c1 / (n1 * c1 + n2 * c2)
        p = p * 2 * n1 * c1 / (n2 * c1 + n1 * c2)
    apodization = np.sqrt(cosine[2]) / cosine[0]
    p, s = p * apodization, s * apodization
    tilted, upright = p * cosine[0], p * rho * config.na / config.n_medium
    k = 2 * np.pi / config.wavelength_nm
    wave = np.exp(1j * k * n[0] * cosine[0] * z_nm)
    kr = k * config.na * rho * np.asarray(r_nm)[:, None]
    area = weight * rho * wave
    i0 = (area * (tilted + s) * jv(0, kr)).sum(1)
    i2 = (area * (tilted - s) * jv(2, kr)).sum(1)
    i1 = (area * upright * jv(1, kr)).sum(1)
    # average over the angle: |I0|^2 + |I2|^2 for in-plane, 2 |I1|^2 for the axial dipole
    density = np.abs(i0) ** 2 + np.abs(i2) ** 2 + 2 * np.abs(i1) ** 2
    energy = (weight * rho * (np.abs(tilted) ** 2 + np.abs(s) ** 2 + np.abs(upright) ** 2)).sum()
    return density * (k * config.na) ** 2 / (4 * np.pi * energy)


@pytest.mark.parametrize("z_nm", [0.0, -350.0, 500.0])
def test_agrees_with_bessel_integrals(z_nm):
    image = rois(PLAIN, (z_nm,))[0].numpy() / 40.0**2
    parts = (np.arange(8) + 0.5) / 8 - 0.5  # the average over each pixel's area
    places = np.array([0, 1, 3, 6, 12, 20])
    for direction in ((0, 1), (1, 0), (0.6, 0.8)):
        y, x = np.round(np.outer(direction, places)).astype(int)
        radii = np.hypot((y[:, None, None] + parts[:, None]) * 40, (x[:, None, None] + parts) * 40)
        expected = radial_intensity(PLAIN, radii.ravel(), z_nm).reshape(radii.shape).mean((1, 2))
        np.testing.assert_allclose(image[30 + y, 30 + x], expected, atol=2e-3 * image.max())


def test_low_aperture_is_the_airy_disc():
    config = PLAIN.replace(na=0.2, n_medium=1.0, n_cover=1.0, n_immersion=1.0, pixel_size_nm=150.0)
    row = rois(config)[0, 30].numpy()
    v = 2 * np.pi / 600 * 0.2 * 150 * np.arange(-30, 31)
    v[30] = 1e-9
    airy = (2 * j1(v) / v) ** 2
    np.testing.assert_allclose(row / row.max(), airy, atol=0.01)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_photon_is_somewhere(name):
    config = PRESETS[name]
    low, high = config.z_range_nm
    wide = config.replace(roi_size=101, z_range_nm=(low, high))
    z = (0.4 * low, 0.0, 0.4 * high)
    total = rois(wide, z).sum((1, 2))
    assert (total > 0.87).all()
    assert (total < 1.001).all()
    inside = rois(config, z).sum((1, 2))
    assert (inside < total).all()
    assert (inside > 0.5).all()


def test_pixels_of_any_grid_hold_the_same_light():
    """A pixel of 120 nm is nine of 40 nm: the filter integrates, it does not sample."""
    fine = rois(PLAIN.replace(roi_size=99), (250.0,))[0]
    coarse = rois(PLAIN.replace(pixel_size_nm=120.0, roi_size=21), (250.0,))[0]
    binned = fine[18:81, 18:81].reshape(21, 3, 21, 3).sum((1, 3))
    torch.testing.assert_close(coarse, binned, atol=2e-3 * coarse.max().item(), rtol=0)


def test_symmetric_without_aberrations():
    image = rois(PLAIN, (300.0,))[0]
    for other in (image.flip(0), image.flip(1), image.T):
        torch.testing.assert_close(image, other, atol=1e-9, rtol=0)


def test_sign_flip_of_even_aberrations_mirrors_z():
    """In one medium, conjugating the pupil turns z around and the image by 180 degrees."""
    even = PLAIN.replace(
        n_medium=1.52, roi_size=31, zernike_nm=((2, -2, 50.0), (2, 2, 40.0), (4, 0, 30.0))
    )
    flipped = even.replace(zernike_nm=tuple((n, m, -v) for n, m, v in even.zernike_nm))
    above, below = rois(even, (400.0,))[0], rois(flipped, (-400.0,))[0]
    torch.testing.assert_close(above, below.flip(0, 1), atol=1e-9, rtol=0)
    assert (above - rois(even, (-400.0,))[0]).abs().max() > 0.1 * above.max()


def test_natural_axes():
    """Coma (3, 1) points its tail to -x; (2, 2) is narrow along x above the focus."""
    coma = rois(PLAIN.replace(zernike_nm=((3, 1, 60.0),)))[0]
    column = torch.arange(61.0, dtype=torch.float64)
    peak = coma.sum(0).argmax()
    assert (coma.sum(0) * column).sum() / coma.sum() < peak
    torch.testing.assert_close(coma, coma.flip(0), atol=1e-9, rtol=0)
    above = rois(PLAIN.replace(zernike_nm=((2, 2, 70.0),)), (300.0,))[0]
    near = above * (above > 0.2 * above.max())
    along_y, along_x = near.sum(1), near.sum(0)
    assert spread(along_x) < 0.7 * spread(along_y)


def spread(profile):
    at = torch.arange(len(profile), dtype=profile.dtype)
    mean = (profile * at).sum() / profile.sum()
    return ((profile * (at - mean) ** 2).sum() / profile.sum()).sqrt()


def test_moving_the_emitter_moves_the_spot():
    config = PLAIN.replace(pixel_size_nm=100.0, roi_size=41, zernike_nm=((2, -2, 60.0),))
    moved, centred = rois(config, y=0.3, x=-0.4)[0], rois(config)[0]
    at = torch.arange(41.0, dtype=torch.float64)
    for dim, shift in ((1, 0.3), (0, -0.4)):
        mean = [(image.sum(dim) * at).sum() / image.sum() for image in (moved, centred)]
        assert (mean[0] - mean[1]).item() == pytest.approx(shift, abs=0.02)


def test_float32_is_the_fast_path_of_float64():
    config = PRESETS["tetrapod-3um"]
    psf = VectorialPSF(config)
    z = torch.linspace(-1500, 1500, 7)
    wide = psf.rois(z.double(), z.double() * 0 + 0.3, z.double() * 0 - 0.2)
    fast = psf.rois(z, z * 0 + 0.3, z * 0 - 0.2)
    assert fast.dtype == torch.float32
    assert ((fast - wide).abs().amax() / wide.amax()).item() < 1e-5


def test_derivatives_are_those_of_differences():
    config = PRESETS["astigmatism"].replace(roi_size=9, n_pupil=24)
    psf = VectorialPSF(config)
    places = [
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in ([-230.0, 320.0], [0.21, -0.4], [-0.13, 0.37])
    ]
    assert torch.autograd.gradcheck(psf.rois, places, eps=1e-4, atol=1e-7, rtol=1e-3)


def test_blur_widens_along_its_axis():
    plain, blurred = rois(PLAIN)[0], rois(PLAIN.replace(blur_y_px=3.0))[0]
    assert blurred.sum(1)[30] < 0.9 * plain.sum(1)[30]
    assert blurred.sum(0)[30].item() == pytest.approx(plain.sum(0)[30].item(), rel=0.01)


def test_a_mask_on_the_pupil_acts_like_the_aberration():
    """Half the astigmatism given as a phase mask is the same as all of it in coefficients."""
    from napari_dilatedloc.psf.zernike import disc, zernike

    config = PLAIN.replace(n_pupil=64, roi_size=31, zernike_nm=((2, 2, 60.0),))
    y, x, _ = disc(64)
    phase = 2 * torch.pi / 600 * 30 * zernike(2, 2, y, x)
    half = VectorialPSF(
        config.replace(zernike_nm=((2, 2, 30.0),)), torch.stack([torch.ones_like(phase), phase])
    )
    z = torch.tensor([200.0], dtype=torch.float64)
    torch.testing.assert_close(half.rois(z, z * 0, z * 0), rois(config, (200.0,)))


def test_file_round_trip_with_and_without_a_mask(tmp_path):
    config = PRESETS["saddle-point"].replace(n_pupil=32)
    pupil = torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(0))
    for psf in (VectorialPSF(config), VectorialPSF(config, pupil)):
        again = load_psf(save_psf(tmp_path / "psf.h5", psf))
        assert again.config == psf.config
        z = torch.tensor([100.0, -300.0])
        torch.testing.assert_close(again.rois(z, z * 0, z * 0), psf.rois(z, z * 0, z * 0))


def test_presets_have_their_published_sizes():
    total = {name: sum(v**2 for _, _, v in c.zernike_nm) ** 0.5 for name, c in PRESETS.items()}
    assert total["astigmatism"] == pytest.approx(70.0)
    assert total["saddle-point"] == pytest.approx(102.5, abs=0.5)  # waves of 670 nm, not nm
    assert total["tetrapod-3um"] == pytest.approx((107.17**2 + 155.68**2 + 10.47**2) ** 0.5)
    assert total["tetrapod-6um"] == pytest.approx(275.7, abs=0.2)


def test_impossible_optics_are_refused():
    with pytest.raises(ConfigError, match="na must be smaller than n_cover"):
        parse_config(VectorialPSFConfig, {"na": 1.6}, "psf.yaml")
    with pytest.raises(ValueError, match=r"n - \|m\| even"):
        build_psf(PLAIN.replace(zernike_nm=((2, 1, 10.0),)))
    with pytest.raises(ValueError, match=r"shape \(2, 128, 128\)"):
        VectorialPSF(PLAIN, torch.ones(2, 64, 64))


def test_no_emitters_no_rois():
    empty = torch.zeros(0)
    assert VectorialPSF(PLAIN).rois(empty, empty, empty).shape == (0, 61, 61)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_sample_their_pupil_finely_enough(name):
    config = PRESETS[name]
    assert needed_pupil(config) <= config.n_pupil
    low, high = config.z_range_nm
    wide = config.replace(z_range_nm=(4 * low, 4 * high))
    assert needed_pupil(wide) > 2 * needed_pupil(config)


def test_the_needed_pupil_is_enough():
    """At the far end of z the image no longer depends on the sampling."""
    config = PLAIN.replace(roi_size=31, z_range_nm=(-3000.0, 3000.0))
    enough = needed_pupil(config)
    images = [rois(config.replace(n_pupil=n), (3000.0,))[0] for n in (enough // 2, enough, 256)]
    errors = [((image - images[-1]).abs().max() / images[-1].max()).item() for image in images]
    assert errors[1] < 0.05
    assert errors[0] > 0.1
