import math

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.psf.gaussian import GaussianPSF


def test_all_light_falls_on_a_large_roi():
    psf = GaussianPSF(GaussianPSFConfig(roi_size=41))
    z = torch.linspace(-700, 700, 15)
    rois = psf.rois(z, 0.4 * torch.ones(15), -0.5 * torch.ones(15))
    assert rois.shape == (15, 41, 41)
    torch.testing.assert_close(rois.sum((1, 2)), torch.ones(15), atol=1e-5, rtol=0)


def test_a_pixel_is_the_integral_of_the_density():
    psf = GaussianPSF(
        GaussianPSFConfig(sigma_nm=110.0, focus_x_nm=250.0, focus_y_nm=-250.0, depth_nm=400.0)
    )
    z, y, x = 300.0, 0.3, -0.2
    roi = psf.rois(*(torch.tensor([value], dtype=torch.float64) for value in (z, y, x)))[0]
    width_x = 1.1 * math.sqrt(1 + (50 / 400) ** 2)  # focus of x is 250 nm
    width_y = 1.1 * math.sqrt(1 + (550 / 400) ** 2)

    def density(v, u):
        exponent = ((v - y) / width_y) ** 2 + ((u - x) / width_x) ** 2
        return math.exp(-exponent / 2) / (2 * math.pi * width_x * width_y)

    for row, column in ((1, 2), (-1, 1), (0, 0)):
        expected, _ = dblquad(density, column - 0.5, column + 0.5, row - 0.5, row + 0.5)
        assert roi[12 + row, 12 + column].item() == pytest.approx(expected, rel=1e-6)


def test_mirrored_z_swaps_the_axes():
    psf = GaussianPSF(GaussianPSFConfig(focus_x_nm=-230.0, focus_y_nm=230.0))
    z = torch.tensor([-500.0, 0.0, 330.0])
    y, x = torch.tensor([0.1, -0.3, 0.5]), torch.tensor([-0.4, 0.2, 0.0])
    torch.testing.assert_close(psf.rois(z, y, x), psf.rois(-z, x, y).transpose(1, 2))


def test_each_axis_is_narrowest_at_its_own_focus():
    psf = GaussianPSF(GaussianPSFConfig(sigma_nm=130.0, focus_x_nm=250.0, focus_y_nm=-250.0))
    width_y, width_x = psf.widths(torch.tensor([250.0]))
    assert width_x.item() == pytest.approx(1.3)
    assert width_y.item() > width_x.item()
    roi = psf.rois(torch.tensor([250.0]), torch.zeros(1), torch.zeros(1))[0]
    rows, columns = roi.sum(1).numpy(), roi.sum(0).numpy()
    spread = (np.arange(25) - 12) ** 2
    assert (rows * spread).sum() > 1.5 * (columns * spread).sum()


def test_gradients():
    psf = GaussianPSF(GaussianPSFConfig(roi_size=9))
    z, y, x = (
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in ([-130.0, 420.0], [0.21, -0.4], [-0.13, 0.37])
    )
    assert torch.autograd.gradcheck(psf.rois, (z, y, x))
    assert psf.rois(z, y, x).dtype == torch.float64
