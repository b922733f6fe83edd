"""Spot widths through z: Gaussian-weighted moments, the same way for measurement and model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROUNDS = 60
WIDEST = 0.3
"""Widest spot a ROI can show, in sides: a flat image has a standard deviation of 0.29."""


def spot_widths(images: Array) -> tuple[Array, Array, Array]:
    """Widths and centres of background-free spots.

    The second moments are taken under a Gaussian window as wide as the spot itself, which is found
    by iteration (adaptive moments: Bernstein & Jarvis, Astron. J. 123, 583 (2002)). Of a Gaussian
    spot they are its standard deviations, and noise far away from the spot has no weight, while
    plain moments are ruled by it. A spot of several lobes is given the width of all of them.

    Parameters
    ----------
    images : ndarray
        (Z, R, R) spots.

    Returns
    -------
    width_y, width_x : ndarray
        (Z,) standard deviations, px, pixel included; NaN where there is no spot or the ROI is
        too small to show it.
    centre : ndarray
        (Z, 2) centre (y, x) of the windowed spot relative to the middle pixel, px.
    """
    side = images.shape[1]
    place = np.arange(side, dtype=np.float64) - side // 2
    centre = np.zeros((2, len(images)))  # y, x
    variance = np.full((2, len(images)), (side / 5) ** 2)
    for _ in range(ROUNDS):
        away = place - centre[..., None]  # (2, Z, R)
        window = np.exp(-0.5 * away**2 / variance[..., None])
        seen = images * window[0][:, :, None] * window[1][:, None, :]
        total = seen.sum(axis=(1, 2))
        profiles = np.stack([seen.sum(axis=2), seen.sum(axis=1)])  # (2, Z, R)
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = (profiles * away).sum(axis=2) / total
            spread = (profiles * away**2).sum(axis=2) / total - shift**2
        # a Gaussian spot under an equal window has half the variance
        good = (total > 0) & np.isfinite(shift) & np.isfinite(spread)
        centre = np.clip(centre + np.where(good, 1.5 * shift, 0), -side / 4, side / 4)
        wanted = 1.0 / np.maximum(1.0 / np.maximum(spread, 1e-3) - 1.0 / variance, 1e-6)
        variance = np.where(good, np.clip(wanted, 0.05, (side / 2) ** 2), variance)
    poor = (images.sum(axis=(1, 2)) <= 0) | (variance >= (WIDEST * side) ** 2).any(axis=0)
    width = np.where(poor, np.nan, np.sqrt(variance))
    return width[0], width[1], centre.T
