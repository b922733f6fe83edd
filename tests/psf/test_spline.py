import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.spline import SplinePSF, bspline3, spline_from_volume


def gaussian_volume(roi_size, z_nm):
    psf = GaussianPSF(GaussianPSFConfig(roi_size=roi_size + 4))
    zeros = torch.zeros_like(z_nm)
    return psf.rois(z_nm, zeros, zeros).numpy()


@pytest.fixture(scope="module")
def spline():
    z_nm = torch.arange(-750.0, 751.0, 25.0, dtype=torch.float64)
    volume = gaussian_volume(21, z_nm)
    return spline_from_volume(volume, pixel_size_nm=100, z_min_nm=-750, z_step_nm=25)


def random_places(n, generator_seed=3):
    generator = torch.Generator().manual_seed(generator_seed)
    z, y, x = torch.rand(3, n, generator=generator, dtype=torch.float64)
    return 1400 * (z - 0.5), y - 0.5, x - 0.5


def test_agrees_with_the_gaussian_between_knots(spline):
    places = random_places(300)
    expected = GaussianPSF(GaussianPSFConfig(roi_size=21)).rois(*places)
    error = (spline.rois(*places) - expected).abs().amax((1, 2)) / expected.amax((1, 2))
    assert error.max() < 0.01
    assert error.mean() < 0.003


def test_equals_scipy_interpolation():
    volume = np.random.default_rng(0).random((6, 13, 13)) + 1
    psf = spline_from_volume(volume, pixel_size_nm=100, z_min_nm=-50, z_step_nm=20)
    z, y, x = random_places(20)
    z = z / 1400 * 100  # -50 ... 50 nm: all of the volume, both ends included
    z[:2] = torch.tensor([-50.0, 50.0])
    rois = psf.rois(z, y, x)
    pixels = np.arange(2, 11)  # the ROI inside its margin
    for i in range(20):
        grid = np.meshgrid(
            [(z[i].item() + 50) / 20], pixels - y[i].item(), pixels - x[i].item(), indexing="ij"
        )
        expected = map_coordinates(volume, grid, order=3, mode="mirror")[0]
        np.testing.assert_allclose(rois[i].numpy(), expected, atol=1e-5)


def test_knots_are_met_exactly(spline):
    z = torch.tensor([-750.0, -25.0, 0.0, 750.0])
    zeros = torch.zeros(4)
    expected = gaussian_volume(21, z)[:, 2:-2, 2:-2]
    np.testing.assert_allclose(spline.rois(z, zeros, zeros).numpy(), expected, atol=2e-7)


def test_z_beyond_the_volume_is_its_last_slice(spline):
    z = torch.tensor([-2000.0, -750.0, 750.0, 900.0])
    rois = spline.rois(z, torch.full((4,), 0.2), torch.full((4,), -0.1))
    torch.testing.assert_close(rois[0], rois[1])
    torch.testing.assert_close(rois[2], rois[3])


def test_axes_are_neither_swapped_nor_mirrored():
    """A comet whose tail points to +y, with a companion at +x that brightens with z."""
    grid_y, grid_x = np.mgrid[-10:11, -10:11]
    volume = np.stack(
        [
            np.exp(-(grid_y**2 + grid_x**2) / 4)
            + 0.5 * np.exp(-((grid_y - 4) ** 2 + grid_x**2) / 4)
            + level * np.exp(-(grid_y**2 + (grid_x - 5) ** 2) / 4)
            for level in (0.0, 0.1, 0.2, 0.3)
        ]
    )
    psf = spline_from_volume(volume, pixel_size_nm=100, z_min_nm=0, z_step_nm=100)
    z, y, x = torch.tensor([50.0, 250.0]), torch.tensor([0.4, 0.4]), torch.tensor([-0.3, -0.3])
    low, high = psf.rois(z, y, x)
    assert low[8 + 4, 8] > 4 * low[8 - 4, 8]
    assert low[8, 8 + 5] < high[8, 8 + 5]
    assert high[8, 8 + 5] > 4 * high[8, 8 - 5]
    centre = psf.rois(z, 0 * y, 0 * x)[0]
    rows, columns = torch.arange(17.0)[:, None], torch.arange(17.0)[None]
    moved_y = (low * rows).sum() / low.sum() - (centre * rows).sum() / centre.sum()
    moved_x = (low * columns).sum() / low.sum() - (centre * columns).sum() / centre.sum()
    assert moved_y.item() == pytest.approx(0.4, abs=0.02)
    assert moved_x.item() == pytest.approx(-0.3, abs=0.02)


def test_gradients():
    z_nm = torch.arange(-300.0, 301.0, 50.0, dtype=torch.float64)
    psf = spline_from_volume(
        gaussian_volume(7, z_nm), pixel_size_nm=100, z_min_nm=-300, z_step_nm=50
    )
    places = [
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in ([-130.0, 220.0], [0.21, -0.4], [-0.13, 0.37])
    ]
    assert torch.autograd.gradcheck(psf.rois, places)


def test_no_negative_light():
    volume = np.zeros((3, 11, 11))
    volume[:, 5, 5] = 1.0
    psf = spline_from_volume(volume, pixel_size_nm=100, z_min_nm=0, z_step_nm=10)
    assert psf.rois(*(value.abs() for value in random_places(50))).min() == 0


def test_b_splines_sum_to_one():
    taps = torch.arange(-3.0, 4.0)
    total = bspline3(taps[:, None] + torch.linspace(-0.5, 0.5, 11)).sum(0)
    torch.testing.assert_close(total, torch.ones(11))


@pytest.mark.parametrize("shape", [(5, 12, 12), (5, 11, 13), (11, 11)])
def test_volume_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="volume must have shape"):
        spline_from_volume(np.ones(shape), pixel_size_nm=100, z_min_nm=0, z_step_nm=10)


def test_coefficients_that_do_not_fit_are_refused(spline):
    with pytest.raises(ValueError, match=r"\(Z, 25, 25\)"):
        SplinePSF(spline.config, torch.zeros(5, 21, 21))
    with pytest.raises(ValueError, match="at least 2 slices"):
        SplinePSF(spline.config, torch.zeros(1, 25, 25))
