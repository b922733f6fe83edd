"""Segments, splines, grids and pairs, against brute force and SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import make_smoothing_spline
from scipy.ndimage import fourier_shift, gaussian_filter

from napari_dilatedloc.analysis.drift import rcc, segments
from napari_dilatedloc.analysis.drift.aim import _phase
from napari_dilatedloc.analysis.drift.grid import Grid
from napari_dilatedloc.analysis.drift.pairs import all_pairs, solve_pairs
from napari_dilatedloc.analysis.drift.segments import cut, positions_of, smoothed, to_frames
from napari_dilatedloc.table import Localizations


@given(
    st.lists(st.integers(0, 60), min_size=40, max_size=200),
    st.integers(2, 30),
    st.integers(1, 12),
)
def test_segments_hold_every_row_once_and_enough_of_them(frames, wanted, fewest):
    frame = np.sort(frames).astype(np.int64)
    try:
        parts = cut(frame, wanted, fewest)
    except ValueError:
        assert np.bincount(frame).max() > len(frame) - 2 * fewest or len(np.unique(frame)) < 60
        return
    sizes = np.diff(parts.rows)
    assert parts.rows[0] == 0
    assert parts.rows[-1] == len(frame)
    assert len(parts) <= wanted
    assert sizes.min() >= fewest
    for rows, time in zip(parts.slices(), parts.time, strict=True):
        assert time == pytest.approx(frame[rows].mean())
    ends = parts.rows[1:-1]
    assert (frame[ends - 1] < frame[ends]).all()  # no frame lies in two segments


def test_too_few_to_compare():
    with pytest.raises(
        ValueError, match="at least 100 localizations in two or more frames, got 30"
    ):
        cut(np.arange(30), 5, 50)
    with pytest.raises(ValueError, match="got 300 in 1;"):
        cut(np.full(300, 7), 5, 50)
    with pytest.raises(ValueError, match="two segments of at least 50"):
        cut(np.r_[np.zeros(290, int), np.full(10, 9)], 5, 50)


def test_a_straight_drift_is_straight_in_every_frame():
    frame = np.repeat(np.arange(10, 190), 5)
    parts = cut(frame, 12, 10)
    drift = to_frames(np.outer(parts.time, [3.0, -1.0]), parts, 220)
    expected = np.clip(np.arange(220), 10, 189) - 10
    np.testing.assert_allclose(drift[:, 0], 3.0 * expected, atol=1e-6)
    np.testing.assert_allclose(drift[:, 1], -1.0 * expected, atol=1e-6)


@pytest.mark.parametrize("stiffness", [0.01, 1.0, 50.0])
def test_smoothing_is_that_of_scipy(monkeypatch, stiffness):
    rng = np.random.default_rng(1)
    t = np.cumsum(rng.uniform(0.5, 1.5, 30))
    t = (t - t[0]) / (t[-1] - t[0]) * 29  # a mean distance of 1, as ours counts
    values = np.sin(t / 4) + 0.1 * rng.standard_normal(30)
    monkeypatch.setattr(segments, "STIFFNESS", np.array([stiffness]))
    expected = make_smoothing_spline(t, values, lam=stiffness)(t)
    np.testing.assert_allclose(smoothed(t, values[:, None])[:, 0], expected, atol=1e-6)


def test_smoothing_takes_noise_but_no_movement():
    rng = np.random.default_rng(2)
    t = np.arange(150.0)
    true = np.stack([100 * np.sin(t / 12), 40 * np.cos(t / 25)], axis=1)
    noisy = true + 3 * rng.standard_normal(true.shape)
    left = smoothed(t, noisy) - true
    assert np.all(left.std(axis=0) < 1.8)
    np.testing.assert_allclose(smoothed(t, true), true, atol=0.05)


def test_scores_are_those_of_counting_one_by_one():
    rng = np.random.default_rng(3)
    nm = rng.uniform(-80, 300, (60, 3))
    others = rng.uniform(-80, 300, (4000, 3))
    cell = np.array([10.0, 12.0, 15.0])
    grid = Grid.around(np.concatenate([nm, others]), cell, (3, 1, 2))
    table, values = grid.table()
    np.add.at(values, grid.places(others), 1)
    scores = grid.scores(table, nm)
    assert scores.shape == (5, 3, 7)
    cells = np.floor((others - grid.origin_nm) / cell)
    for k, j, i in np.ndindex(scores.shape):
        moved = np.floor((nm - grid.origin_nm) / cell) - [i - 3, j - 1, k - 2]
        same = (moved[:, None] == cells[None]).all(axis=2)
        assert scores[k, j, i] == same.sum()


def test_a_large_field_needs_no_more_memory_and_is_folded():
    corners = np.array([[0, 0, -500], [1e6, 1e6, 500.0]])
    grid = Grid.around(corners, np.array([20.0, 20.0, 20.0]), (3, 3, 3))
    assert grid.cells <= 2**24
    side = np.array([grid.sides[0] * 20.0, 0, 0])
    np.testing.assert_array_equal(grid.places(corners), grid.places(corners + side))


def test_the_phase_of_a_peak_is_where_it_is():
    at = np.arange(-3, 4)
    peak = np.exp(-0.5 * ((at - 0.4) / 1.1) ** 2)
    found = _phase(5.0 + peak[None, :, None] * np.exp(-0.5 * (at / 1.1) ** 2))
    np.testing.assert_allclose(found, [0, 0.4, 0], atol=0.06)


def test_all_pairs_together_overrule_those_that_are_wrong():
    rng = np.random.default_rng(4)
    true = np.r_[0, np.cumsum(rng.normal(0, 30, 19))]
    first, second = all_pairs(20)
    shifts = true[second] - true[first] + rng.normal(0, 1, len(first))
    wrong = rng.choice(len(first), 40, replace=False)
    shifts[wrong] = rng.uniform(-1000, 1000, 40)
    shifts[first == 3] = np.nan
    found = solve_pairs(shifts, 20)
    assert found[0] == 0
    np.testing.assert_allclose(found - found.mean(), true - true.mean(), atol=2.0)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.3, -2.6), (-7.45, 5.5)])
def test_the_peak_of_a_correlation_lies_between_cells(shift):
    rng = np.random.default_rng(5)
    image = gaussian_filter(rng.random((64, 96)) > 0.98, 1.5, mode="wrap", output=np.float64)
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(image), shift)).real
    cross = np.conj(np.fft.rfft2(image)) * np.fft.rfft2(moved)
    cross[0, 0] = 0
    x, y = rcc._peak(cross.astype(np.complex64), image.shape, 12)
    np.testing.assert_allclose((y, x), shift, atol=0.02)


def test_positions_are_in_nm_in_frame_order_and_known():
    table = Localizations.from_columns(
        frame=[4, 1, 1, 2],
        x=[1.0, 2.0, np.nan, 4.0],
        y=[5.0, 6.0, 7.0, 8.0],
        z_nm=[9, 8, 7, np.nan],
    )
    positions = positions_of(table, 110.0, None, axial=True)
    np.testing.assert_allclose(positions.nm, [[220, 660, 8], [110, 550, 9]])
    assert positions.frame.tolist() == [1, 4]
    assert positions.n_frames == 5
    flat = positions_of(table, 110.0, 30, axial=False)
    np.testing.assert_allclose(flat.nm[:, 2], 0)
    assert len(flat.frame) == 3
    assert flat.n_frames == 30
    assert not positions_of(table.replace(z_nm=np.zeros(4)), 110.0, None, axial=True).axial


def test_frames_of_rows_without_a_place_belong_to_the_movie():
    """They go with the others when the drift is taken off."""
    table = Localizations.from_columns(frame=[3, 4, 9], x=[1, 2, np.nan], y=[1, 2, 3])
    positions = positions_of(table, 100.0, None, axial=True)
    assert (len(positions.frame), positions.n_frames) == (2, 10)
    assert positions_of(Localizations.empty(), 100.0, None, axial=True).n_frames == 0
