"""Finding beads in a stack: places, background, and why one cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

Array = NDArray[np.float64]
NAN = float("nan")
FAINTEST = 0.02
"""Spots below this part of the brightest one are not even listed as too dim."""


@dataclass(frozen=True)
class Bead:
    """One bead of a calibration stack.

    Attributes
    ----------
    y, x : float
        Position of the emitter, px of the stack (pixel centres at whole numbers).
    z_nm : float
        Height of the emitter in the stack's middle slice, nm, relative to the model's zero.
    kept : bool
        Whether it went into the model.
    reason : str
        Why it did not; empty for a bead that was kept.
    correlation : float
        Pearson correlation with the model over the whole volume; NaN where not compared.
    photons : float
        Unit-photon model times this is the bead, in ADU of the stack; NaN where not compared.
    bg : float
        Background, ADU; NaN where not compared.
    stack : int
        Which of several stacks it lies in, from 0.
    snr : float
        Peak of the bead at its brightest slice over the noise of a pixel without light; infinite
        where the background was removed, NaN where not compared.
    saturated : int
        Most clipped pixels in one slice.
    residual : float
        Root mean square of bead minus model, relative to the bead's peak.
    size : float
        Width relative to the average bead (1: alike).
    drift_y_nm, drift_x_nm : float
        Lateral movement from the first to the last slice as recorded, relative to the average
        bead, nm.
    drift_sigma_nm : float
        Standard deviation of the larger one.
    fading : float
        Change of brightness from the first to the last slice as recorded, relative to the average
        bead (-0.2: a fifth was lost).
    """

    y: float
    x: float
    z_nm: float = NAN
    kept: bool = True
    reason: str = ""
    correlation: float = NAN
    photons: float = NAN
    bg: float = NAN
    stack: int = 0
    snr: float = NAN
    saturated: int = 0
    residual: float = NAN
    size: float = NAN
    drift_y_nm: float = NAN
    drift_x_nm: float = NAN
    drift_sigma_nm: float = NAN
    fading: float = NAN

    @property
    def drift_nm(self) -> float:
        """Length of the drift relative to the average bead, nm."""
        return float(np.hypot(self.drift_y_nm, self.drift_x_nm))

    def reject(self, reason: str) -> Bead:
        """Mark as not used."""
        return replace(self, kept=False, reason=reason)


def find_beads(stack: Array, roi_size: int, threshold: float = 0.1) -> list[tuple[float, float]]:
    """Places (y, x) of beads, brightest first, px.

    The mean over z is smoothed with a Gaussian of an eighth of the ROI, which joins the lobes of
    one spot. A bead is a maximum above the median by six standard deviations of the noise (from the
    median absolute second difference, which slow background does not touch) and by `threshold` of
    the brightest one.
    """
    return [(y, x) for y, x, part in _peaks(stack, roi_size) if part > threshold]


def find_dim(
    stack: Array, roi_size: int, threshold: float = 0.1
) -> list[tuple[float, float, float]]:
    """Spots (y, x, part of the brightest) under the threshold and apart from brighter ones."""
    places: list[tuple[float, float]] = []
    dim = []
    for y, x, part in _peaks(stack, roi_size):
        apart = all(max(abs(y - v), abs(x - u)) >= roi_size for v, u in places)
        if FAINTEST < part <= threshold and apart:
            dim.append((y, x, part))
        places.append((y, x))
    return dim


def _peaks(stack: Array, roi_size: int) -> list[tuple[float, float, float]]:
    """Maxima (y, x, height relative to the highest) out of the noise, brightest first."""
    mean = stack.mean(axis=0)
    sigma = max(1.0, roi_size / 8)
    smooth = gaussian_filter(mean, sigma)
    second = mean[:, 2:] - 2 * mean[:, 1:-1] + mean[:, :-2]
    noise = 1.4826 * float(np.median(np.abs(second - np.median(second)))) / np.sqrt(6)
    level = float(np.median(smooth))
    height = smooth - level
    radius = max(2, round(1.5 * sigma))
    peaks = (smooth == maximum_filter(smooth, 2 * radius + 1)) & (
        height > 6 * noise / (2 * np.sqrt(np.pi) * sigma)
    )
    places = np.argwhere(peaks)
    parts = height[peaks] / max(float(height.max()), 1e-300)
    order = np.argsort(-parts, kind="stable")
    return [(float(places[i, 0]), float(places[i, 1]), float(parts[i])) for i in order]


def check_places(
    places: Sequence[tuple[float, float]], shape: tuple[int, ...], roi_size: int
) -> list[Bead]:
    """Reject beads too near the border or another bead."""
    margin = roi_size // 2 + 2
    beads = []
    for i, (y, x) in enumerate(places):
        bead = Bead(y, x)
        row, column = round(y), round(x)
        if min(row, column, shape[-2] - 1 - row, shape[-1] - 1 - column) < margin:
            bead = bead.reject(f"nearer than {margin} px to the border")
        elif any(
            max(abs(y - v), abs(x - u)) < roi_size for j, (v, u) in enumerate(places) if j != i
        ):
            bead = bead.reject(f"another bead within {roi_size} px")
        beads.append(bead)
    return beads


def crop(stack: Array, y: float, x: float, roi_size: int) -> Array | None:
    """Cut (Z, R + 4, R + 4) around the nearest pixel; None where the stack ends before."""
    half = roi_size // 2 + 2
    row, column = round(y), round(x)
    if min(row, column) < half or row + half >= stack.shape[1] or column + half >= stack.shape[2]:
        return None
    return stack[:, row - half : row + half + 1, column - half : column + half + 1]


def background(
    stack: Array, y: float, x: float, places: Sequence[tuple[float, float]], roi_size: int
) -> float:
    """Background of one bead, ADU: one number, since baseline and ambient light are constant.

    It is taken around the ROI, at least 3/4 of its side away from every bead, where the tails of
    the spot have died out (a ring at the ROI's edge still holds several percent of the light); in a
    small image from the tenth of its pixels farthest from the bead. Per slice the mean of the
    middle half of the pixels, smoothed over z; of these the lowest, which has the least light of
    the bead.
    """
    grid_y, grid_x = np.mgrid[: stack.shape[1], : stack.shape[2]]
    own = np.maximum(np.abs(grid_y - y), np.abs(grid_x - x))
    nearest = own.astype(float)
    for v, u in places:
        nearest = np.minimum(nearest, np.maximum(np.abs(grid_y - v), np.abs(grid_x - u)))
    field = (nearest >= 0.75 * roi_size) & (own <= 2 * roi_size)
    if field.sum() < 4 * roi_size:
        field = nearest >= np.quantile(nearest, 0.9)
    pixels = np.sort(stack[:, field], axis=1)  # (Z, pixels)
    quarter = pixels.shape[1] // 4
    levels = pixels[:, quarter : pixels.shape[1] - quarter].mean(axis=1)
    return float(gaussian_filter(levels, max(1.0, len(levels) / 40), mode="nearest").min())


def centroid(image: Array) -> tuple[float, float]:
    """Centre of light (y, x) of the part of an image above a fifth of its peak, px."""
    light = np.clip(image - 0.2 * image.max(), 0, None)
    grid_y, grid_x = np.mgrid[: image.shape[0], : image.shape[1]]
    total = max(float(light.sum()), 1e-12)
    return float((light * grid_y).sum() / total), float((light * grid_x).sum() / total)


def snapped(
    images: Array, picks: Sequence[tuple[float, float]], roi_size: int
) -> list[tuple[float, float]]:
    """Centres of light near hand-picked places (y, x), px, of a stack (Z, Y, X).

    A calibration takes given places for the emitters' own, and a hand is off by a pixel: moved to
    the centroid of the middle third of the stack, at most a quarter of the ROI away.
    """
    if np.ndim(images) != 3:
        return list(picks)  # the calibration says what is wrong
    third = len(images) // 3
    middle = images[third : len(images) - third].mean(axis=0, dtype=np.float64)[None]
    found = []
    for y, x in picks:
        row, column = y, x
        for _ in range(2):
            cut = crop(middle, row, column, roi_size)
            if cut is None:
                break
            dy, dx = centroid(cut[0] - np.median(cut))
            half = cut.shape[1] // 2
            row, column = round(row) + dy - half, round(column) + dx - half
        near = max(abs(row - y), abs(column - x)) <= roi_size / 4
        found.append((row, column) if near else (y, x))
    return found
