import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path

from napari_dilatedloc.analysis.roi_statistics import in_polygon, polygon_area, roi_statistics
from napari_dilatedloc.table import Localizations


def scattered(n, seed=0):
    rng = np.random.default_rng(seed)
    return Localizations.from_columns(
        frame=rng.integers(10, 90, n),
        y=rng.uniform(0, 30, n),
        x=rng.uniform(0, 40, n),
        z_nm=rng.normal(50, 120, n),
        photons=rng.exponential(1000, n),
        bg=rng.uniform(5, 15, n),
        sigma_x=np.full(n, 0.1),
        sigma_y=np.full(n, 0.2),
    )


@given(st.integers(3, 12), st.integers(0, 10**6))
def test_inside_is_what_matplotlib_says(corners, seed):
    rng = np.random.default_rng(seed)
    # corners in the order of their angle about a centre: no edges that cross
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(2, 18, corners)
    polygon = np.stack([15 + radius * np.sin(angle), 20 + radius * np.cos(angle)], axis=1)
    table = scattered(500, seed)
    places = np.stack([table.y, table.x], axis=1).astype(float)
    expected = Path(polygon).contains_points(places)
    np.testing.assert_array_equal(in_polygon(table, polygon), expected)
    np.testing.assert_array_equal(in_polygon(table, polygon[::-1]), expected)


def test_area_of_a_circle():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.stack([1e6 + 3 * np.sin(angle), 5 * np.cos(angle)], axis=1)
    assert polygon_area(circle) == pytest.approx(np.pi * 15, rel=1e-4)


def test_statistics_of_a_rectangle():
    table = scattered(12_000)
    found = roi_statistics(table, 100.0, [(5, 10), (5, 30), (25, 30), (25, 10)])
    rows = (table.y > 5) & (table.y < 25) & (table.x > 10) & (table.x < 30)
    assert found.count == rows.sum()
    assert found.area_um2 == pytest.approx(4.0)
    assert found.density_per_um2 == pytest.approx(1000, rel=0.1)  # 10 a px2 of 0.01 um2
    assert found.photons == pytest.approx(table.photons[rows].mean(), rel=1e-5)
    assert found.bg == pytest.approx(10, rel=0.02)
    assert found.sigma_lateral_nm == pytest.approx(np.sqrt(0.025) * 100)
    assert np.isnan(found.sigma_z_nm)
    assert (found.z_nm, found.z_spread_nm) == pytest.approx((50, 120), abs=8)
    assert (found.first_frame, found.last_frame, found.frames) == (10, 89, 80)
    assert found.to_dict()["sigma_z_nm"] is None


def test_a_region_without_localizations():
    found = roi_statistics(scattered(10), 100.0, [(100, 100), (100, 110), (110, 100)])
    assert (found.count, found.density_per_um2, found.frames) == (0, 0.0, 0)
    assert found.first_frame is None
    assert np.isnan(found.photons)


@pytest.mark.parametrize("polygon", [[(0, 0), (1, 1)], [(0, 0), (1, 1), (2, 2)], [0, 1, 2]])
def test_regions_that_are_none(polygon):
    with pytest.raises(ValueError, match=r"three or more corners|no area"):
        roi_statistics(scattered(10), 100.0, polygon)
