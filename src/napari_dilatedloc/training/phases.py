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


def phase_histogram(true: Floats64, found: Floats64) -> PhaseHistogram:
    """Compare sub-pixel phases found with true ones.

    Every emitter adds 1 in the bin it was found in and takes off the recall in the bin it is in,
    so that the chance unevenness of the truth cancels, and emitters missed at some places count.
    These contributions are independent from emitter to emitter, so their mean over N emitters
    has covariance C / N, and ``N mean^T C^+ mean`` follows a chi-square (Hotelling's T^2; C^+ is
    the pseudo-inverse, as the contributions sum to zero).

    Parameters
    ----------
    true, found : ndarray (N, 2)
        Positions x, y in px (pixel centres at whole numbers); rows of `found` are NaN where an
        emitter was missed.
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
    mean = contributions.mean(axis=0)
    covariance = np.cov(contributions, rowvar=False) if n > 1 else np.zeros((2 * BINS, 2 * BINS))
    unit = pairs / n / BINS  # a flat histogram's share in each bin
    freedom = 2 * (BINS - 1)
    chi2 = p = np.nan
    if n > 10 * freedom:
        chi2 = float(n * mean @ np.linalg.pinv(covariance, rcond=1e-9, hermitian=True) @ mean)
        p = float(chi2_distribution.sf(chi2, freedom))
    noise = float(np.sqrt(np.diag(covariance).mean() / n) / unit)
    return PhaseHistogram(mean.reshape(2, BINS) / unit, noise, chi2, p)


def _in_bins(position: Floats64) -> Floats64:
    """One-hot bin of each position, (N, BINS)."""
    phase = np.mod(position + 0.5, 1.0)
    index = np.minimum((phase * BINS).astype(int), BINS - 1)
    one_hot: Floats64 = np.eye(BINS)[index]
    return one_hot
