"""Precision from the data themselves: nearest neighbours in the next frame (NeNA).

Endesfelder et al., Histochem. Cell Biol. 141, 629 (2014): a molecule that shines in two frames
running is found twice, and the distance of both tells the precision, whatever was predicted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.spatial import cKDTree

from napari_dilatedloc.table import Localizations

Floats64 = NDArray[np.float64]

MAX_ROWS = 500_000
"""Of larger tables some stretches of frames are taken, all over the movie."""

STRETCHES = 50
MIN_PAIRS = 200
BINS = 100
MIN_SAME = 0.05
REACH = 8.0  # distances that are fitted, in units of sigma


@dataclass(frozen=True)
class Nena:
    """Result of `nearest_neighbour_precision`.

    Attributes
    ----------
    sigma_nm, error_nm : float
        Precision of one localization along an axis, and the standard error of its fit.
    pairs : int
        Distances fitted.
    distance_nm, density, fitted : ndarray (BINS,) float64
        Middle of each bin; the share of pairs in it per nm, measured and fitted.
    same : float
        Share of the pairs that are one molecule seen twice.
    """

    sigma_nm: float
    error_nm: float
    pairs: int
    distance_nm: Floats64
    density: Floats64
    fitted: Floats64
    same: float


def nearest_neighbour_precision(table: Localizations, pixel_size_nm: float) -> Nena:
    """NeNA precision of a table.

    Parameters
    ----------
    table : Localizations
        In any order.
    pixel_size_nm : float
        Camera pixel, nm.

    Raises
    ------
    ValueError
        Fewer than `MIN_PAIRS` neighbours, or no distance at which they gather.
    """
    limit_nm = 2 * pixel_size_nm
    distance = _distances(_some_frames(table), pixel_size_nm, limit_nm)
    if len(distance) < MIN_PAIRS:
        raise ValueError(
            f"nearest neighbours in adjacent frames need {MIN_PAIRS} pairs, got {len(distance)}; "
            "molecules must shine in more than one frame"
        )
    result = _fit(distance, limit_nm)
    for _ in range(4):  # the range of distances follows the precision found in it
        wanted = min(REACH * result.sigma_nm, 2 * pixel_size_nm)
        if abs(wanted / limit_nm - 1) < 0.1 or (distance < wanted).sum() < MIN_PAIRS:
            break
        limit_nm = wanted
        result = _fit(distance[distance < limit_nm], limit_nm)
    if not result.sigma_nm < pixel_size_nm or result.same < MIN_SAME:
        raise ValueError("neighbours in adjacent frames gather at no distance; no precision found")
    return result


def model(
    d: Floats64, a1: float, sigma: float, a2: float, centre: float, width: float, a3: float
) -> Floats64:
    """Density of distances, equation 3 of the paper.

    Same molecule (a Rayleigh density of the difference of two positions), a peak for molecules
    nearby, and a line for those further away.
    """
    same = d / (2 * sigma**2) * np.exp(-(d**2) / (4 * sigma**2))
    near = np.exp(-((d - centre) ** 2) / (2 * width**2)) / np.sqrt(2 * np.pi * width**2)
    density: Floats64 = a1 * same + a2 * near + a3 * d
    return density


def _some_frames(table: Localizations) -> Localizations:
    """At most `MAX_ROWS` rows: stretches of whole frames."""
    good = np.isfinite(table.y) & np.isfinite(table.x)
    if not good.all():
        table = table[good]
    if len(table) <= MAX_ROWS:
        return table
    first, last = int(table.frame.min()), int(table.frame.max()) + 1
    stretch = max(4, (last - first) // STRETCHES)
    keep = max(2, round(stretch * MAX_ROWS / len(table)))
    return table[(table.frame - first) % stretch < keep]


def _distances(table: Localizations, pixel_size_nm: float, limit_nm: float) -> Floats64:
    """Distance to the nearest neighbour in the next frame, nm, of those that have one."""
    if len(table) == 0:
        return np.zeros(0)
    layer = 10 * limit_nm  # frames lie so far apart that no other one is ever near
    frame = (table.frame - table.frame.min()).astype(np.float64)
    place = np.stack([table.y * pixel_size_nm, table.x * pixel_size_nm], axis=1).astype(np.float64)
    tree = cKDTree(np.column_stack([place, frame * layer]))
    there = np.column_stack([place, (frame + 1) * layer])
    found = np.asarray(tree.query(there, distance_upper_bound=limit_nm)[0])
    near: Floats64 = found[np.isfinite(found)]
    return near


def _fit(distance: Floats64, limit_nm: float) -> Nena:
    """Fit the density of distances below a limit."""
    counts, edges = np.histogram(distance, bins=BINS, range=(0, limit_nm))
    middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    density = counts / (len(distance) * width)
    error = np.sqrt(counts + 1.0) / (len(distance) * width)
    smooth = np.convolve(counts, np.ones(5) / 5, mode="same")
    peak = max(float(middle[smooth.argmax()]), 2 * width)
    guess = (0.8, peak / np.sqrt(2), 0.1, limit_nm / 2, limit_nm / 4, 0.1 / limit_nm**2)
    low = (0, width / 4, 0, 0, limit_nm / 20, 0)
    high = (2, limit_nm, 2, 2 * limit_nm, 2 * limit_nm, 2 / limit_nm**2)
    start = tuple(float(np.clip(s, a, b)) for s, a, b in zip(guess, low, high, strict=True))
    try:
        values, covariance = curve_fit(
            model, middle, density, start, sigma=error, absolute_sigma=True, bounds=(low, high)
        )
    except RuntimeError as failed:
        raise ValueError(
            "the distances of neighbours in adjacent frames could not be fitted; no precision found"
        ) from failed
    return Nena(
        float(values[1]),
        float(np.sqrt(covariance[1, 1])),
        len(distance),
        middle,
        density,
        model(middle, *values),
        float(min(1.0, values[0])),
    )
