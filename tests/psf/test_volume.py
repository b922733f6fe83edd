import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from napari_dilatedloc.psf.volume import (
    Shift,
    coefficients_of,
    common_slices,
    read_shifted,
    register,
    spline_matrix,
)


def spot(shape, z, y, x):
    """Smooth lopsided spot whose shape changes with z."""
    grid = np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")
    dz, dy, dx = (axis - n // 2 - at for axis, n, at in zip(grid, shape, (z, y, x), strict=True))
    wide_y, wide_x = 2 + 0.1 * np.abs(dz + 5), 2 + 0.1 * np.abs(dz - 5)
    body = np.exp(-0.5 * ((dy / wide_y) ** 2 + (dx / wide_x) ** 2)) / (wide_y * wide_x)
    return body * (1 + 0.02 * dy)


def test_reading_shifted_equals_scipy():
    volume = np.random.default_rng(0).random((6, 9, 9))
    shift = Shift(0.3, -0.4, 0.25)
    slices = np.arange(1, 6, dtype=float)
    read = read_shifted(coefficients_of(volume), shift, slices)
    grid = np.meshgrid(slices - 0.3, np.arange(9) + 0.4, np.arange(9) - 0.25, indexing="ij")
    np.testing.assert_allclose(read, map_coordinates(volume, grid, order=3, mode="mirror"))


def test_derivative_weights_are_the_slope():
    places = np.array([0.2, 1.7, 3.0, 4.6])
    step = 1e-6
    slope = (spline_matrix(6, places + step) - spline_matrix(6, places - step)) / (2 * step)
    np.testing.assert_allclose(spline_matrix(6, places, derivative=True), slope, atol=1e-6)


def test_common_slices():
    assert common_slices(10, 10, 2.5).tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert common_slices(10, 10, -2.0).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("shift", [Shift(4.3, 0.4, -0.3), Shift(-6.6, -0.2, 0.45)])
def test_registration_finds_shift_amplitude_and_bg(shift):
    shape = (41, 21, 21)
    bead = 700 * spot(shape, *shift) + 30
    found = register(bead, coefficients_of(spot(shape, 0, 0, 0)), Shift(0, 0, 0), search_z=15)
    assert found.shift.z == pytest.approx(shift.z, abs=0.05)
    assert found.shift.y == pytest.approx(shift.y, abs=0.005)
    assert found.shift.x == pytest.approx(shift.x, abs=0.005)
    assert found.amplitude == pytest.approx(700, rel=0.01)
    assert found.bg == pytest.approx(30, abs=0.5)
    assert found.correlation > 0.999


def test_an_inverted_bead_does_not_match():
    shape = (21, 21, 21)
    model = coefficients_of(spot(shape, 0, 0, 0))
    found = register(-spot(shape, 0, 0, 0), model, Shift(0, 0, 0))
    assert found.correlation < -0.9
    assert found.amplitude < 0
