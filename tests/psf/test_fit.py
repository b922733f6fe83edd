import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import EMCCDConfig, GaussianPSFConfig, PixelNoise, SCMOSConfig
from napari_dilatedloc.psf.compile import compile_psf
from napari_dilatedloc.psf.crlb import crlb
from napari_dilatedloc.psf.fit import fit_emitters
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.vectorial import VectorialPSF

SIDE = 13
CONFIG = GaussianPSFConfig(roi_size=SIDE + 2)
N = 4000
TOLERANCE = 0.05
"""The bound is to be met within 5%; the rms of N errors itself scatters by 1/sqrt(2 N) = 1%."""


@pytest.fixture(scope="module")
def spline():
    return compile_psf(GaussianPSF(CONFIG))


def truth(n, z_nm=400.0, lateral=0.5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    z, y, x = 2 * torch.rand(3, n, generator=generator) - 1
    return z_nm * z, lateral * y, lateral * x


def images(z, y, x, photons, bg, side=SIDE):
    """Expected images; the formula holds at any offset, so nothing is moved by whole pixels."""
    return photons * GaussianPSF(CONFIG.replace(roi_size=side)).rois(z, y, x) + bg


def errors_in_sigmas(fit, z, y, x):
    return [
        (found - true.numpy()) / sigma
        for found, true, sigma in (
            (fit.z_nm, z, fit.sigma_z_nm),
            (fit.y, y, fit.sigma_y),
            (fit.x, x, fit.sigma_x),
        )
    ]


@pytest.mark.parametrize("camera", [None, SCMOSConfig(read_noise_e=3.0), EMCCDConfig()])
@pytest.mark.parametrize(("photons", "bg"), [(5000.0, 50.0), (2000.0, 5.0)])
def test_reaches_the_bound(spline, camera, photons, bg):
    at = truth(N)
    generator = torch.Generator().manual_seed(2)
    if camera is None:
        data, noise = torch.poisson(images(*at, photons, bg), generator=generator), PixelNoise()
    else:
        built = build_camera(camera)
        noise = built.noise
        data = built.to_photons(built.to_adu(images(*at, photons, bg), generator))
    fit = fit_emitters(data, spline, noise)
    assert fit.converged.all()
    for error in errors_in_sigmas(fit, *at):
        assert np.sqrt(np.mean(error**2)) == pytest.approx(1, abs=TOLERANCE)
        assert abs(error.mean()) < 5 / np.sqrt(N)
    for found, true, sigma in (
        (fit.photons, photons, fit.sigma_photons),
        (fit.bg, bg, fit.sigma_bg),
    ):
        assert np.std((found - true) / sigma) == pytest.approx(1, abs=TOLERANCE)
        assert found.mean() == pytest.approx(true, rel=0.01)


def test_reaches_the_bound_of_the_table_at_one_place(spline):
    """The error itself against `crlb`, which knows the truth, not against the fit's own sigma."""
    zeros = torch.zeros(N)
    data = torch.poisson(
        images(zeros + 150, zeros, zeros, 5000, 20), generator=torch.Generator().manual_seed(4)
    )
    fit = fit_emitters(data, spline)
    bound = crlb(GaussianPSF(CONFIG.replace(roi_size=SIDE)), 150, 5000, 20)
    pixel = CONFIG.pixel_size_nm
    for error, expected in (
        (fit.z_nm - 150, bound.z_sigma_nm),
        (fit.y * pixel, bound.y_nm),
        (fit.x * pixel, bound.x_nm),
    ):
        assert np.sqrt(np.mean(error**2)) == pytest.approx(expected[0], rel=TOLERANCE)


def test_finds_the_maximum_a_general_optimiser_finds():
    psf = GaussianPSF(CONFIG)
    at = truth(5, seed=9)
    data = torch.poisson(images(*at, 1500, 10), generator=torch.Generator().manual_seed(3)).double()
    rois, noise = data.numpy(), PixelNoise(excess=1.5, floor_photons2=2.0)
    fit = fit_emitters(data, psf, noise)
    for i in range(5):

        def cost(p, roi=rois[i]):
            position = (torch.tensor([v]).double() for v in (100 * p[0], p[1], p[2]))
            mean = images(*position, 1000 * p[3], p[4])[0].numpy()
            t, m = ((v + noise.floor_photons2 / 1.5) / 1.5 for v in (roi, mean))
            return (m - t * np.log(m)).sum()

        start = [at[0][i] / 100, at[1][i], at[2][i], 1.5, 10.0]
        best = minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
        sigmas = (fit.sigma_z_nm[i], fit.sigma_y[i], fit.sigma_x[i])
        found = (fit.z_nm[i], fit.y[i], fit.x[i])
        for value, sigma, expected in zip(
            found, sigmas, best.x[:3] * np.array([100, 1, 1]), strict=True
        ):
            assert value == pytest.approx(expected, abs=0.03 * sigma)


def test_emitters_up_to_one_and_a_half_pixels_off_centre(spline):
    at = truth(2000, lateral=1.45)
    data = torch.poisson(images(*at, 5000, 20), generator=torch.Generator().manual_seed(2))
    fit = fit_emitters(data, spline)
    for error in errors_in_sigmas(fit, *at):
        assert np.sqrt(np.mean(error**2)) == pytest.approx(1, abs=0.06)


def test_the_ratio_is_that_of_a_right_model_and_grows_for_a_wrong_one(spline):
    at = truth(500)
    data = torch.poisson(images(*at, 5000, 50), generator=torch.Generator().manual_seed(2))
    freedom = SIDE**2 - 5
    assert fit_emitters(data, spline).log_likelihood_ratio.mean() == pytest.approx(
        freedom, rel=0.03
    )
    other = GaussianPSF(CONFIG.replace(sigma_nm=100.0))
    assert fit_emitters(data, other).log_likelihood_ratio.mean() > 1.3 * freedom


def test_tetrapods_do_not_fall_into_wrong_maxima():
    """Lobes look alike at several z; all but none of the fits may be off by many sigmas."""
    config = PRESETS["tetrapod-3um"].replace(roi_size=29, z_range_nm=(-1000.0, 1000.0), n_pupil=48)
    psf = compile_psf(VectorialPSF(config), tolerance=0.02)
    at = truth(400, z_nm=950.0)
    generator = torch.Generator().manual_seed(2)
    data = torch.poisson(3000 * psf.rois(*at)[:, 1:-1, 1:-1] + 20, generator=generator)
    fit = fit_emitters(data, psf)
    error = np.abs(errors_in_sigmas(fit, *at)[0])
    assert fit.converged.mean() > 0.99
    assert np.mean(error > 6) < 0.005
    assert np.sqrt(np.mean(error[error < 6] ** 2)) == pytest.approx(1, abs=0.15)


def test_a_given_start_and_float64_lead_to_the_same_place(spline):
    at = truth(50)
    data = torch.poisson(images(*at, 3000, 20), generator=torch.Generator().manual_seed(2))
    fit = fit_emitters(data, spline)
    double = fit_emitters(data.double(), spline, start=torch.stack(at, dim=1))
    np.testing.assert_allclose(double.z_nm, fit.z_nm, atol=0.03 * fit.sigma_z_nm.max())
    np.testing.assert_allclose(double.x, fit.x, atol=0.03 * fit.sigma_x.max())


def test_z_stays_in_its_range_and_empty_data_do_no_harm(spline):
    at = truth(20)
    data = torch.poisson(images(*at, 3000, 20), generator=torch.Generator().manual_seed(2))
    fit = fit_emitters(data, spline, z_range_nm=(0.0, 100.0))
    assert fit.z_nm.min() == 0
    assert fit.z_nm.max() == 100
    dark = fit_emitters(torch.zeros(3, SIDE, SIDE) - 5, spline, PixelNoise(floor_photons2=1.0))
    assert np.isfinite(dark.z_nm).all()
    assert len(fit_emitters(torch.zeros(0, SIDE, SIDE), spline)) == 0


@pytest.mark.parametrize(
    ("rois", "options", "message"),
    [
        (torch.ones(2, 12, 12), {}, r"S odd, got \(2, 12, 12\)"),
        (torch.full((2, 9, 9), torch.nan), {}, "finite numbers, got NaN"),
        (torch.ones(2, 9, 9), {"start": torch.ones(2, 2)}, r"shape \(2, 3\) as z_nm, y, x"),
        (torch.ones(2, 9, 9), {"place": torch.ones(3, 2)}, r"shape \(2, 2\) as y, x"),
    ],
)
def test_nonsense_is_refused(rois, options, message):
    with pytest.raises(ValueError, match=message):
        fit_emitters(rois, GaussianPSF(CONFIG), **options)
