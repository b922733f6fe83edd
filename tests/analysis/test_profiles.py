from itertools import pairwise

import numpy as np
import pytest

from napari_dilatedloc.analysis.profiles import (
    fit_peak,
    gaussian,
    half_maximum_width,
    line_profile,
)
from napari_dilatedloc.table import Localizations

PIXEL = 100.0


def at(yx):
    y, x = np.asarray(yx, float).T
    return Localizations.from_columns(frame=np.zeros(len(y)), y=y, x=x)


def filament(n, sigma_nm, background, angle=0.0, seed=0):
    """A filament along y through (50, 50), turned by an angle, on a background of 100 x 100 px."""
    rng = np.random.default_rng(seed)
    along, across = rng.uniform(-20, 20, n), rng.normal(size=n) * sigma_nm / PIXEL
    y = 50 + along * np.cos(angle) + across * np.sin(angle)
    x = 50 - along * np.sin(angle) + across * np.cos(angle)
    return at(np.concatenate([np.stack([y, x], axis=1), rng.uniform(0, 100, (background, 2))]))


def across(angle, half_px):
    step = half_px * np.array([np.sin(angle), np.cos(angle)])
    return np.array([50.0, 50.0]) + np.array([-1, 1])[:, None] * step


@pytest.mark.parametrize("angle", [0.0, 0.6, 2.5])
def test_the_width_of_a_filament(angle):
    table = filament(20_000, 20.0, 20_000, angle)
    profile = line_profile(table, PIXEL, across(angle, 3), width_px=10, bin_nm=5)
    assert profile.length_nm == pytest.approx(600)
    assert len(profile.counts) == 120
    peak = fit_peak(profile)
    assert peak.centre_nm == pytest.approx(300, abs=2)
    assert peak.sigma_nm == pytest.approx(20, rel=0.03)
    assert peak.fwhm_nm == pytest.approx(20 * 2.3548, rel=0.03)
    assert peak.offset == pytest.approx(2 * 10 * 0.05, abs=0.4)  # 2 per px2 in 10 px x 5 nm
    assert half_maximum_width(profile) == pytest.approx(47, rel=0.12)
    fitted = gaussian(profile.centres_nm, peak.centre_nm, peak.sigma_nm, peak.height, peak.offset)
    assert fitted.sum() == pytest.approx(profile.counts.sum(), rel=0.03)


def test_the_last_bin_may_be_shorter():
    table = filament(20_000, 20.0, 0)
    profile = line_profile(table, PIXEL, across(0, 3.01), width_px=10, bin_nm=50)
    assert np.diff(profile.edges_nm)[-1] == pytest.approx(2.0)
    assert profile.counts.sum() == len(profile.rows)
    # bins of 50 nm widen a peak of 20 nm: integrated over them, its variance grows by 50^2 / 12
    assert fit_peak(profile).sigma_nm == pytest.approx(np.hypot(20, 50 / np.sqrt(12)), rel=0.1)


def test_rows_along_a_polyline_are_those_of_loops():
    rng = np.random.default_rng(1)
    table = at(rng.uniform(0, 20, (3000, 2)))
    corners = np.array([[2.0, 3.0], [15.0, 4.0], [15.0, 4.0], [12.0, 16.0], [4.0, 17.0]])
    profile = line_profile(table, PIXEL, corners, width_px=3)
    legs = [(a, b) for a, b in pairwise(corners) if (a != b).any()]
    found = {}
    for row in range(len(table)):
        place = np.array([table.y[row], table.x[row]], float)
        begin, best = 0.0, (np.inf, 0.0)
        for number, (a, b) in enumerate(legs):
            leg = np.linalg.norm(b - a)
            t = (place - a) @ (b - a) / leg
            beyond = (t < 0 and number == 0) or (t > leg and number == len(legs) - 1)
            foot = a + np.clip(t, 0, leg) * (b - a) / leg
            if not beyond:
                best = min(best, (np.linalg.norm(place - foot), begin + np.clip(t, 0, leg)))
            begin += leg
        if best[0] <= 1.5:
            found[row] = best[1] * PIXEL
    assert 200 < len(found) < 2000
    assert profile.rows.tolist() == list(found)
    np.testing.assert_allclose(profile.distances_nm, list(found.values()), atol=1e-6)
    np.testing.assert_array_equal(
        profile.counts, np.histogram(profile.distances_nm, profile.edges_nm)[0]
    )


@pytest.mark.parametrize(
    ("line", "options", "sentence"),
    [
        ([(1, 1), (1, 1)], {}, "two different corners"),
        ([(1, 1, 1), (1, 2, 1)], {}, "corners of"),
        ([(1, 1), (1, 9)], {"width_px": 0}, "must be positive, got 0 px"),
        ([(1, 1), (1, 9)], {"bin_nm": 1e-5}, "has too many; widen them"),
    ],
)
def test_lines_that_are_none(line, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        line_profile(at([(1, 1)]), PIXEL, line, **{"width_px": 2, **options})


def test_no_peak_where_there_is_nothing():
    profile = line_profile(at([(1, 1), (1, 3)]), PIXEL, [(1, 0), (1, 9)], width_px=2)
    with pytest.raises(ValueError, match="five bins and localizations, got 90 and 2"):
        fit_peak(profile)
    nothing = line_profile(Localizations.empty(), PIXEL, [(1, 0), (1, 9)], width_px=2)
    assert np.isnan(half_maximum_width(nothing))
    edge = line_profile(at([(1, 0.05)] * 9), PIXEL, [(1, 0), (1, 9)], width_px=2)
    assert np.isnan(half_maximum_width(edge))  # falls on one side only
