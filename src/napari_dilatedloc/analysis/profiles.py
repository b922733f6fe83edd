"""Localizations along a line: a histogram, its width and its peak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import curve_fit

from napari_dilatedloc.table import Localizations

Floats64 = NDArray[np.float64]

FWHM_OF_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))

MOST_BINS = 1_000_000


@dataclass(frozen=True)
class Profile:
    """Counts along a line.

    Attributes
    ----------
    edges_nm : ndarray (bins + 1,)
        Borders of the bins, nm from the beginning of the line; the last bin may be shorter.
    counts : ndarray of int (bins,)
        Localizations.
    distances_nm : ndarray (n,)
        Place of each along the line, nm.
    rows : ndarray of int (n,)
        Their rows in the table.
    length_nm : float
        Length of the line, nm.
    """

    edges_nm: Floats64
    counts: NDArray[np.intp]
    distances_nm: Floats64
    rows: NDArray[np.intp]
    length_nm: float

    @property
    def centres_nm(self) -> Floats64:
        """Centres of the bins (bins,), nm."""
        return np.asarray((self.edges_nm[1:] + self.edges_nm[:-1]) / 2)


@dataclass(frozen=True)
class Peak:
    """A Gaussian on a constant, fitted to a profile.

    Attributes
    ----------
    centre_nm : float
        nm from the beginning of the line.
    sigma_nm, fwhm_nm : float
        Standard deviation and full width at half maximum, nm, of the profile as it is: bins and
        precision make it wider than the structure.
    height, offset : float
        Counts a bin, above the constant and of the constant.
    """

    centre_nm: float
    sigma_nm: float
    fwhm_nm: float
    height: float
    offset: float


def line_profile(
    table: Localizations,
    pixel_size_nm: float,
    line: ArrayLike,
    *,
    width_px: float,
    bin_nm: float = 10.0,
) -> Profile:
    """Count localizations along a line.

    Parameters
    ----------
    table, pixel_size_nm
        Rows; camera pixel, nm.
    line : array-like (P, 2)
        Corners y, x in px; two make a line, more a polyline.
    width_px : float
        Width of the band around the line, px. It ends squarely at both ends and bends roundly at
        corners; a row near two legs belongs to the nearer one.
    bin_nm : float
        Width of a bin, nm.

    Raises
    ------
    ValueError
        If the line has no length, or width or bins are not positive.
    """
    corners = np.asarray(line, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ValueError(f"a line is corners of (y, x) in px, got shape {corners.shape}")
    moved = np.r_[True, (np.diff(corners, axis=0) != 0).any(axis=1)]
    corners = corners[moved]
    if len(corners) < 2:
        raise ValueError("a line needs two different corners; draw it longer")
    if not (width_px > 0 and bin_nm > 0):
        raise ValueError(f"width and bins must be positive, got {width_px} px and {bin_nm} nm")
    legs = np.hypot(*np.diff(corners, axis=0).T)
    length = float(legs.sum() * pixel_size_nm)
    bins = int(np.ceil(length / bin_nm * (1 - 1e-12)))
    if bins > MOST_BINS:
        raise ValueError(
            f"a line of {length:.0f} nm in bins of {bin_nm} nm has too many; widen them"
        )
    rows, along = _along(table, corners, legs, width_px / 2)
    edges = np.minimum(np.arange(bins + 1) * bin_nm, length)
    distances = np.minimum(along * pixel_size_nm, length)
    counts, _ = np.histogram(distances, edges)
    return Profile(edges, counts, distances, rows, length)


def _along(
    table: Localizations, corners: Floats64, legs: Floats64, half: float
) -> tuple[NDArray[np.intp], Floats64]:
    """Rows within `half` px of the line, and how far along it they lie, px."""
    low, high = corners.min(axis=0) - half, corners.max(axis=0) + half
    near = (table.y >= low[0]) & (table.y <= high[0]) & (table.x >= low[1]) & (table.x <= high[1])
    rows = np.flatnonzero(near)
    place = np.stack([table.y[rows], table.x[rows]], axis=1).astype(np.float64)
    best = np.full(len(rows), np.inf)
    along = np.zeros(len(rows))
    begin = np.cumsum(legs) - legs
    for k, leg in enumerate(legs):
        direction = (corners[k + 1] - corners[k]) / leg
        offset = place - corners[k]
        t = offset @ direction
        inner = np.clip(t, 0.0, leg)
        distance = np.hypot(*(offset - inner[:, None] * direction).T)
        outside = ((t < 0) & (k == 0)) | ((t > leg) & (k == len(legs) - 1))
        nearer = (distance < best) & ~outside
        best[nearer] = distance[nearer]
        along[nearer] = begin[k] + inner[nearer]
    inside = best <= half
    return rows[inside], along[inside]


def fit_peak(profile: Profile) -> Peak:
    """Fit a Gaussian on a constant to a profile, by least squares.

    Raises
    ------
    ValueError
        If there are too few localizations or bins, or no peak is found.
    """
    x, counts, width = _whole_bins(profile)
    if len(x) < 5 or counts.sum() < 5:
        raise ValueError(
            f"a peak needs five bins and localizations, got {len(x)} and {counts.sum():.0f}; use a "
            "longer or wider line, or smaller bins"
        )
    offset = float(np.percentile(counts, 10))
    above = np.clip(counts - offset, 0, None)
    top = float(x[np.argmax(counts)])
    spread = float(above.sum() * width / max(above.max(), 1e-9) / np.sqrt(2 * np.pi))
    start = (top, min(max(spread, width / 2), profile.length_nm), float(above.max()), offset)
    bounds = ([0, width / 10, 0, 0], [profile.length_nm, 2 * profile.length_nm, np.inf, np.inf])
    try:
        (centre, sigma, height, offset), _ = curve_fit(gaussian, x, counts, start, bounds=bounds)
    except RuntimeError as error:
        raise ValueError("no peak found in the profile; draw the line across one") from error
    return Peak(
        float(centre), float(sigma), float(sigma * FWHM_OF_SIGMA), float(height), float(offset)
    )


def gaussian(x: Floats64, centre: float, sigma: float, height: float, offset: float) -> Floats64:
    """Value of the fitted curve."""
    return np.asarray(offset + height * np.exp(-((x - centre) ** 2) / (2 * sigma**2)))


def half_maximum_width(profile: Profile) -> float:
    """Full width at half maximum, nm, without a model: where the counts cross half of the top.

    The constant below is the lowest tenth of the counts. Crossings are interpolated between bins;
    NaN if the counts do not fall to a half on both sides.
    """
    x, counts, _ = _whole_bins(profile)
    if not len(counts) or counts.max() <= 0:
        return float("nan")
    base = float(np.percentile(counts, 10))
    half = base + (counts.max() - base) / 2
    top = int(np.argmax(counts))
    left = np.flatnonzero(counts[:top] < half)
    right = np.flatnonzero(counts[top:] < half)
    if not len(left) or not len(right):
        return float("nan")
    i, j = int(left[-1]), top + int(right[0])
    begin = np.interp(half, counts[[i, i + 1]], x[[i, i + 1]])
    end = np.interp(half, counts[[j, j - 1]], x[[j, j - 1]])
    return float(end - begin)


def _whole_bins(profile: Profile) -> tuple[Floats64, Floats64, float]:
    """Centres and counts of the bins but for a last one that is shorter, and their width in nm."""
    widths = np.diff(profile.edges_nm)
    whole = widths > widths[0] * (1 - 1e-6)
    return profile.centres_nm[whole], profile.counts[whole].astype(np.float64), float(widths[0])
