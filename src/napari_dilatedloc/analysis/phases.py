"""Where within a pixel localizations lie: a network that prefers some places paints a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2 as chi2_distribution

Floats64 = NDArray[np.float64]

BINS = 10


@dataclass(frozen=True)
class PhaseHistogram:
    """Sub-pixel phases of x and y against those of the truth.

    Attributes
    ----------
    deviation : ndarray (2, BINS)
        Of x, then y: surplus of localizations in each tenth of a pixel, relative to a flat
        histogram, after what the truth itself has too much there by chance was taken off. The
        first bin begins at the pixel's border.
    noise : float
        Standard deviation that counting alone gives such a value.
    chi2, p : float
        Chi-square of all deviations together (18 degrees of freedom) and the probability of a
        larger one for a network without preferred places. NaN with too few emitters.
    """

    deviation: Floats64
    noise: float
    chi2: float
    p: float

    @property
    def flatness(self) -> float:
        """Largest deviation from flat over the bins of the mean histogram of x and y."""
        return float(np.abs(self.deviation.mean(axis=0)).max())


def phase_histogram(true: Floats64, found: Floats64, molecule: NDArray[np.int64]) -> PhaseHistogram:
    """Compare sub-pixel phases found with true ones.

    Every emitter adds 1 in the bin it was found in and takes off the recall in the bin it is in,
    so that the chance unevenness of the truth cancels, and emitters missed at some places count.
    A molecule that shines in several frames is at one place in all of them, so what is independent
    are the sums s over the emitters of one molecule. The total S of K molecules has covariance
    C = sum of s s^T, and ``S^T C^+ S`` follows a chi-square (Wald's statistic with a covariance
    that allows for clusters, Liang & Zeger, Biometrika 73, 13 (1986); C^+ is the pseudo-inverse,
    as the contributions sum to zero).

    Parameters
    ----------
    true, found : ndarray (N, 2)
        Positions x, y in px (pixel centres at whole numbers); rows of `found` are NaN where an
        emitter was missed.
    molecule : ndarray of int (N,)
        Which molecule each emitter is of.
    """
    missed = np.isnan(found).any(axis=1)
    n, pairs = len(true), int((~missed).sum())
    if pairs == 0:
        return PhaseHistogram(np.full((2, BINS), np.nan), np.nan, np.nan, np.nan)
    was_found = (~missed).astype(float)[:, None]
    parts = []
    for axis in range(2):
        where = np.where(missed, 0.0, found[:, axis])
        part = was_found * _in_bins(where) - pairs / n * _in_bins(true[:, axis])
        parts.append(part - part.mean(axis=1, keepdims=True))
    contributions = np.concatenate(parts, axis=1)  # (N, 2 BINS)
    molecules, index = np.unique(molecule, return_inverse=True)
    sums = np.zeros((len(molecules), 2 * BINS))
    np.add.at(sums, index, contributions)
    return _judged(sums, pairs)


def phases_alone(position: Floats64) -> PhaseHistogram:
    """Sub-pixel phases of localizations whose truth is unknown, against flat ones.

    Where a structure lies on the camera is chance, but all that is found of it shares it. What is
    taken as independent are therefore cells of 2 by 2 px, not localizations.

    Parameters
    ----------
    position : ndarray (N, 2)
        Positions x, y in px (pixel centres at whole numbers); NaN does not count.
    """
    position = position[np.isfinite(position).all(axis=1)]
    if len(position) == 0:
        return PhaseHistogram(np.full((2, BINS), np.nan), np.nan, np.nan, np.nan)
    place = np.floor((position + 0.5) / 2).astype(np.int64)
    place -= place.min(axis=0)
    _, cell = np.unique(place[:, 0] * (place[:, 1].max() + 1) + place[:, 1], return_inverse=True)
    cells = int(cell.max()) + 1
    sums = []
    for axis in range(2):
        index = cell * BINS + _bins(position[:, axis])
        counts = np.bincount(index, minlength=cells * BINS).reshape(cells, BINS).astype(float)
        sums.append(counts - counts.mean(axis=1, keepdims=True))
    return _judged(np.concatenate(sums, axis=1), len(position))


def _judged(sums: Floats64, pairs: int) -> PhaseHistogram:
    """Histogram of sums (K, 2 BINS) over K independent groups of `pairs` localizations in all."""
    total, covariance = sums.sum(axis=0), sums.T @ sums
    freedom = 2 * (BINS - 1)
    chi2 = p = np.nan
    if len(sums) > 10 * freedom:
        chi2 = float(total @ np.linalg.pinv(covariance, rcond=1e-9, hermitian=True) @ total)
        p = float(chi2_distribution.sf(chi2, freedom))
    flat = pairs / BINS  # localizations in each bin of a flat histogram
    noise = float(np.sqrt(np.diag(covariance).mean()) / flat)
    return PhaseHistogram(total.reshape(2, BINS) / flat, noise, chi2, p)


def _in_bins(position: Floats64) -> Floats64:
    """One-hot bin of each position, (N, BINS)."""
    one_hot: Floats64 = np.eye(BINS)[_bins(position)]
    return one_hot


def _bins(position: Floats64) -> NDArray[np.int64]:
    """Bin of each position."""
    phase = np.mod(position + 0.5, 1.0)
    return np.minimum((phase * BINS).astype(np.int64), BINS - 1)
