"""Shifts between all pairs of segments, brought together into one drift."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]

ROUNDS = 20
LEAST_NM = 1.0
"""Disagreement that is always allowed, nm."""


def all_pairs(segments: int) -> tuple[Ints, Ints]:
    """Numbers i < j of all pairs of segments, each (P,)."""
    first, second = np.triu_indices(segments, 1)
    return first, second


def solve_pairs(shifts: Array, segments: int) -> Array:
    """Drift of segments whose differences fit the shifts of all pairs best.

    The redundant system of Wang et al. (2014), Optics Express 22:15982, equation 3. There a pair
    that disagrees by more than a threshold is struck out; here its weight falls with its
    disagreement (Cauchy's), measured by the median one, so that no threshold must be chosen and
    the system never falls apart.

    Parameters
    ----------
    shifts : ndarray, (P,)
        Drift of segment j less that of segment i, nm, for `all_pairs`; NaN where not measured.
    segments : int
        Number S of segments.

    Returns
    -------
    ndarray, (S,)
        nm; 0 for the first segment.
    """
    first, second = all_pairs(segments)
    known = np.isfinite(shifts)
    first, second, shifts = first[known], second[known], shifts[known]
    weight = np.ones(len(shifts))
    drift = np.zeros(segments)
    for _ in range(ROUNDS):
        before = drift
        drift = _weighted(first, second, shifts, weight, segments)
        off = np.abs(drift[second] - drift[first] - shifts)
        scale = max(float(np.median(off)) / 0.6745, LEAST_NM)
        weight = 1 / (1 + (off / (2 * scale)) ** 2)
        if np.abs(drift - before).max() < 1e-3:
            break
    return drift


def _weighted(first: Ints, second: Ints, shifts: Array, weight: Array, segments: int) -> Array:
    """Weighted least squares, the first segment held at 0."""
    matrix = np.zeros((segments, segments))
    np.add.at(matrix, (first, first), weight)
    np.add.at(matrix, (second, second), weight)
    np.add.at(matrix, (first, second), -weight)
    np.add.at(matrix, (second, first), -weight)
    right = np.bincount(second, weight * shifts, segments)
    right -= np.bincount(first, weight * shifts, segments)
    result = np.zeros(segments)
    result[1:] = np.linalg.lstsq(matrix[1:, 1:], right[1:], rcond=None)[0]
    return result
