import numpy as np
import pytest
import torch

from napari_dilatedloc.config import FieldSplinePSFConfig, GaussianPSFConfig
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.slopes import bspline3_slope, image_stack, rois_and_slopes
from napari_dilatedloc.psf.spline import (
    FieldSplinePSF,
    SplinePSF,
    bspline3,
    side,
    spline_from_volume,
)
from napari_dilatedloc.psf.vectorial import VectorialPSF


def noise_spline(oversampling, n_slices=5, roi_size=9):
    """Volume of random numbers: every knot differs, so every weight must be right."""
    size = side(roi_size, oversampling)
    volume = np.random.default_rng(oversampling).random((n_slices, size, size)) + 0.5
    return spline_from_volume(
        volume, pixel_size_nm=100, z_min_nm=-200, z_step_nm=100, oversampling=oversampling
    )


def field_spline():
    parts = [noise_spline(2), noise_spline(2).coefficients.flip(1)]
    config = FieldSplinePSFConfig(
        **parts[0].config.model_dump(exclude={"kind"}), rows_px=(0.0, 100.0), columns_px=(0.0,)
    )
    return FieldSplinePSF(config, torch.stack([parts[0].coefficients, parts[1]]))


PSFS = {
    "gaussian": lambda: GaussianPSF(GaussianPSFConfig(roi_size=13)),
    "spline": lambda: noise_spline(1),
    "two knots a pixel": lambda: noise_spline(2),
    "three knots a pixel": lambda: noise_spline(3),
    "two slices": lambda: noise_spline(1, n_slices=2),
    "field spline": field_spline,
    "vectorial": lambda: VectorialPSF(PRESETS["astigmatism"].replace(roi_size=11, n_pupil=32)),
}


@pytest.mark.parametrize("name", PSFS)
def test_slopes_are_finite_differences(name):
    psf = PSFS[name]()
    z, y, x = (
        torch.tensor(values, dtype=torch.float64)
        for values in ([-163.0, -110.0, 30.0, 171.0], [0.4, -0.31, 0.0, 0.2], [-0.1, 0.3, 0.22, 0])
    )
    place = torch.tensor([[10.0, 0.0]], dtype=torch.float64).repeat(4, 1)
    found = rois_and_slopes(psf, z, y, x, place)
    torch.testing.assert_close(found.rois, psf.rois(z, y, x, place), atol=1e-12, rtol=1e-9)
    for axis, (slope, step) in enumerate(zip(found[1:], (0.02, 1e-4, 1e-4), strict=True)):
        ends = []
        for sign in (1, -1):
            moved = [z, y, x]
            moved[axis] = moved[axis] + sign * step
            ends.append(psf.rois(*moved, place))
        numerical = (ends[0] - ends[1]) / (2 * step)
        error = (slope - numerical).abs().max() / numerical.abs().max()
        assert error < 1e-5, f"axis {axis}"


def test_beyond_its_volume_a_spline_does_not_change_with_z():
    found = rois_and_slopes(noise_spline(1), *torch.tensor([[-500.0, 300.0], [0.1, 0], [0, 0.2]]))
    assert torch.all(found.dz == 0)
    assert found.dy.abs().min() > 0


def test_a_pixel_held_at_zero_is_flat():
    volume = np.zeros((3, 11, 11))
    volume[:, 5, 5] = 1.0
    psf = spline_from_volume(volume, pixel_size_nm=100, z_min_nm=0, z_step_nm=10)
    found = rois_and_slopes(psf, *torch.tensor([[10.0], [0.3], [-0.2]]))
    dark = found.rois == 0
    assert dark.any()
    for slope in found[1:]:
        assert torch.all(slope[dark] == 0)


def test_float32_stays_float32_and_agrees():
    psf: SplinePSF = noise_spline(2)
    at = torch.tensor([[-163.0, 171.0], [0.4, -0.31], [-0.1, 0.3]])
    single, double = image_stack(psf, *at), image_stack(psf, *at.double())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, atol=1e-4, rtol=1e-4)


def test_design_can_differentiate_slopes_again():
    """d/d sigma of d/dx of the image, against a finite difference."""

    class Spot(GaussianPSF):
        def widths(self, z_nm):
            width_y, width_x = super().widths(z_nm)
            return width_y * scale, width_x * scale

    at = torch.tensor([[150.0], [0.1], [0.2]], dtype=torch.float64)
    values = []
    for number in (1.2 - 1e-5, 1.2 + 1e-5):
        scale = torch.tensor(number, dtype=torch.float64)
        values.append((rois_and_slopes(Spot(), *at).dx ** 2).sum().item())
    scale = torch.tensor(1.2, dtype=torch.float64, requires_grad=True)
    (rois_and_slopes(Spot(), *at).dx ** 2).sum().backward()
    assert scale.grad.item() == pytest.approx((values[1] - values[0]) / 2e-5, rel=1e-6)


def test_b_spline_slope():
    at = torch.linspace(-2.5, 2.5, 41, dtype=torch.float64)
    numerical = (bspline3(at + 1e-6) - bspline3(at - 1e-6)) / 2e-6
    torch.testing.assert_close(bspline3_slope(at), numerical, atol=1e-6, rtol=0)
