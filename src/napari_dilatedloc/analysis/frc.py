"""Fourier ring correlation: down to which detail two halves of the data tell the same.

Nieuwenhuizen et al., Nat. Methods 10, 557 (2013); Banterle et al., J. Struct. Biol. 183, 363
(2013). The frames are cut into blocks, a random half of which gives one image and the others the
second, so that a molecule that shines in a few frames running comes to one of them only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, uniform_filter
from scipy.signal.windows import tukey

from napari_dilatedloc.render import auto_pixel_nm, histogram
from napari_dilatedloc.table import Localizations

Floats64 = NDArray[np.float64]

THRESHOLD = 1 / 7
BLOCKS = (10, 100)
"""Fewest and most."""
BLOCK_FRAMES = 50
"""Wanted: a molecule that is on over the border of a block is in both halves."""
REPEATS = 5
MAX_SIDE = 2048
"""Pixels of the largest image; of a larger field the densest part is taken."""

MIN_LOCALIZATIONS = 200
MIN_SIDE = 8
"""Pixels of the smallest image that tells anything."""

MOST_CELLS = 2000
"""Along a side of the grid in which the densest part is looked for."""


@dataclass(frozen=True)
class RingCorrelation:
    """Result of `ring_correlation`.

    Attributes
    ----------
    resolution_nm : float
        Mean over random halves; NaN where the curve crosses the threshold nowhere.
    spread_nm : float
        Standard deviation over random halves.
    frequency : ndarray (Q,) float64
        Spatial frequency, 1/nm.
    correlation : ndarray (Q,) float64
        Smoothed curve, mean over random halves.
    pixel_nm, side_nm : float
        Pixel and side of the images.
    used : int
        Localizations in them.
    """

    resolution_nm: float
    spread_nm: float
    frequency: Floats64
    correlation: Floats64
    pixel_nm: float
    side_nm: float
    used: int


def ring_correlation(
    table: Localizations,
    pixel_size_nm: float,
    *,
    pixel_nm: float | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> RingCorrelation:
    """Fourier ring correlation resolution of a table.

    Parameters
    ----------
    table : Localizations
        At least `MIN_LOCALIZATIONS` rows over more than one frame.
    pixel_size_nm : float
        Camera pixel, nm.
    pixel_nm : float, optional
        Pixel of the images; default: half of the median precision.
    repeats, seed : int
        Number of random halves, and their seed.

    Raises
    ------
    ValueError
        There are too few localizations or frames.
    """
    table = located(table)
    frames = table.frame
    if len(table) < MIN_LOCALIZATIONS or frames.min() == frames.max():
        raise ValueError(
            f"ring correlation needs {MIN_LOCALIZATIONS} localizations over several frames, got "
            f"{len(table)}; localize more frames"
        )
    pixel_nm = auto_pixel_nm(table, pixel_size_nm) if pixel_nm is None else pixel_nm
    corner, side = densest_square(table, MAX_SIDE * pixel_nm / pixel_size_nm)
    if side * pixel_size_nm < MIN_SIDE * pixel_nm:
        raise ValueError(
            f"ring correlation needs a field of {MIN_SIDE} image pixels of {pixel_nm:.1f} nm, got "
            f"{side * pixel_size_nm:.1f} nm; take a larger region"
        )
    table = _inside(table, corner, side)
    curves = [
        _curve(*halves, pixel_nm)
        for halves in _random_halves(table, corner, side, pixel_size_nm / pixel_nm, repeats, seed)
    ]
    resolutions = [crossing_nm(frequency, curve) for frequency, curve in curves]
    return RingCorrelation(
        float(np.mean(resolutions)),
        float(np.std(resolutions, ddof=1)) if repeats > 1 else float("nan"),
        curves[0][0],
        np.mean([curve for _, curve in curves], axis=0),
        pixel_nm,
        side * pixel_size_nm,
        len(table),
    )


def located(table: Localizations) -> Localizations:
    """Rows with a known position."""
    known = np.isfinite(table.y) & np.isfinite(table.x)
    return table if known.all() else table[known]


def densest_square(table: Localizations, largest: float) -> tuple[tuple[float, float], float]:
    """Corner (y, x) and side, px, of the square of at most `largest` px that holds most rows."""
    table = located(table)
    y, x = table.y.astype(float), table.x.astype(float)
    low = y.min(), x.min()
    extent = max(float(np.ptp(y)), float(np.ptp(x))) + 1e-3
    side = min(extent, largest)
    if side == extent:
        return (low[0] + 0.5, low[1] + 0.5), side
    cells = max(1, round(8 * extent / side))
    if cells > MOST_CELLS:  # some lie far outside: first the surroundings of the densest part
        return densest_square(_inside(table, *densest_square(table, extent / 100)), largest)
    cell = extent / cells
    count, _, _ = np.histogram2d(y, x, bins=cells, range=[[a, a + extent] for a in low])
    width = min(cells, round(side / cell))
    sums = uniform_filter(count, width, mode="constant", origin=-(width // 2))
    inner = sums[: cells - width + 1, : cells - width + 1]
    i, j = np.unravel_index(int(inner.argmax()), inner.shape)
    return (low[0] + 0.5 + float(i) * cell, low[1] + 0.5 + float(j) * cell), side


def crossing_nm(frequency: Floats64, curve: Floats64) -> float:
    """Inverse of the first frequency at which a curve falls below 1/7; NaN if it never does."""
    below = np.flatnonzero(curve < THRESHOLD)
    if len(below) == 0 or below[0] == 0:
        return float("nan")
    k = below[0]
    part = (curve[k - 1] - THRESHOLD) / (curve[k - 1] - curve[k])
    return float(1 / (frequency[k - 1] + part * (frequency[k] - frequency[k - 1])))


def _random_halves(
    table: Localizations,
    corner: tuple[float, float],
    side: float,
    magnification: float,
    repeats: int,
    seed: int,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Images of random halves of the blocks of frames."""
    blocks = frame_blocks(table.frame)
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        half = random_half(blocks, rng)
        one, other = (
            histogram(table[rows], (side, side), magnification, corner=corner)
            for rows in (half, ~half)
        )
        yield one, other


def _inside(table: Localizations, corner: tuple[float, float], side: float) -> Localizations:
    # in float32 the outermost row would fall beyond its own border by rounding
    y, x = (a.astype(np.float64) + 0.5 - c for a, c in zip((table.y, table.x), corner, strict=True))
    return table[(y >= 0) & (y < side) & (x >= 0) & (x < side)]


def frame_blocks(frame: NDArray[np.int32]) -> NDArray[np.int64]:
    """Block of frames of each row; blocks hold alike many rows, and no frame is in two."""
    blocks = int(np.clip(np.ptp(frame) // BLOCK_FRAMES if len(frame) else 0, *BLOCKS))
    edges = np.quantile(frame, np.arange(1, blocks) / blocks)
    return np.searchsorted(edges, frame, side="right")


def random_half(blocks: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Rows of a random half of the blocks that there are, (N,)."""
    some = rng.permutation(np.unique(blocks))  # a very short movie has fewer than `BLOCKS`
    return np.isin(blocks, some[: len(some) // 2])


def _curve(
    one: NDArray[np.float32], other: NDArray[np.float32], pixel_nm: float
) -> tuple[Floats64, Floats64]:
    """Frequency of the rings, 1/nm, and smoothed correlation."""
    side = one.shape[0]
    window = tukey(side, 0.25).astype(np.float32)
    a, b = (np.fft.rfft2((i - i.mean()) * window[:, None] * window) for i in (one, other))
    v, u = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    ring = np.rint(np.hypot(v, u) * side).astype(np.intp).reshape(-1)
    rings = side // 2
    power = [_ring_sums(ring, (p * np.conj(q)).real, rings) for p, q in ((a, b), (a, a), (b, b))]
    curve = power[0] / np.sqrt(np.maximum(power[1] * power[2], 1e-300))
    weight = np.bincount(ring, minlength=rings)[:rings].astype(float)
    width = max(1.0, rings / 80)  # as wide as the span of the published local regression
    smooth = gaussian_filter1d(curve[1:] * weight[1:], width, mode="nearest")
    smooth /= gaussian_filter1d(weight[1:], width, mode="nearest")
    return np.arange(1, rings) / (side * pixel_nm), smooth


def _ring_sums(ring: NDArray[np.intp], values: Floats64, rings: int) -> Floats64:
    sums = np.bincount(ring, weights=values.reshape(-1), minlength=rings)[:rings]
    return sums.astype(np.float64)
