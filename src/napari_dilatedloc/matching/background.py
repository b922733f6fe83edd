"""Background of a sample, and the noise that comes with it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

CELL_PX = 8
"""Side of the cells that the background is read in; molecules are smaller, illumination larger."""
CLEAR = 0.3
"""Pixels count as free of spots where these give less than this part of the noise."""
SPREAD = 2.5
"""Largest over smallest variance from which on their line is trusted: below, molecules too dim to
see, which blink where the background is bright, tilt it."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Background:
    """Background in cells of 8 x 8 px.

    Attributes
    ----------
    cells : Tensor (R, h, w)
        Mean photons per pixel of each run.
    variance : Tensor (R, h, w)
        Variance of a pixel from frame to frame, photons^2; NaN where nothing was free of spots.
    """

    cells: Tensor
    variance: Tensor

    def per_pixel(self, size: tuple[int, int]) -> Tensor:
        """Smooth map (R, 1, H, W), photons per pixel."""
        return spread_cells(self.cells, size)


def spread_cells(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Cells (R, h, w) as a smooth map (R, 1, H, W)."""
    height, width = (CELL_PX * n for n in cells.shape[1:])
    fine = interpolate(cells[:, None], (height, width), mode="bilinear", align_corners=False)
    # what is left of a cell at the far border continues the last one
    rows = torch.arange(size[0]).clamp(max=height - 1)
    columns = torch.arange(size[1]).clamp(max=width - 1)
    return fine[:, :, rows][..., columns]


def rough_background(photons: Tensor) -> Background:
    """Background before any spot is known: frames that are dark in a cell speak for it.

    Parameters
    ----------
    photons : Tensor (R, L, H, W)
        Frames.
    """
    means = _cells(photons).mean((-1, -2))  # (R, L, h, w)
    return Background(means.quantile(0.3, dim=1), torch.full_like(means[:, 0], torch.nan))


def clear_background(photons: Tensor, light: Tensor, noise: Tensor) -> Background:
    """Background of pixels free of spots: the median over the frames of each cell's mean.

    Parameters
    ----------
    photons : Tensor (R, L, H, W)
        Frames.
    light : Tensor (R, L, H, W)
        What the spots seen give in each pixel; it is taken off.
    noise : Tensor (R, 1, 1, 1)
        Standard deviation of a pixel, photons.
    """
    clear = light < CLEAR * noise
    rest = photons - light
    weight = _cells(clear.to(rest.dtype))
    count = weight.sum((-1, -2))
    mean = (_cells(rest) * weight).sum((-1, -2)) / count
    mean[count < CELL_PX**2 / 4] = torch.nan
    cells = mean.nanmedian(dim=1).values
    # where spots never leave a cell, it is as bright as its darkest moment with them taken off
    dark = _cells(rest).mean((-1, -2)).quantile(0.3, dim=1)
    cells = torch.where(torch.isnan(cells), dark, cells)
    return Background(cells, _variance(photons, clear))


def _variance(photons: Tensor, clear: Tensor) -> Tensor:
    """Variance of a pixel from frame to frame in each cell (R, h, w), of the median frame."""
    if photons.shape[1] < 2:
        return torch.full_like(_cells(photons[:, 0])[..., 0, 0], torch.nan)
    both = _cells((clear[:, 1:] & clear[:, :-1]).to(photons.dtype))
    squares = 0.5 * _cells(photons[:, 1:] - photons[:, :-1]) ** 2
    count = both.sum((-1, -2))
    found = (squares * both).sum((-1, -2)) / count
    found[count < CELL_PX**2 / 2] = torch.nan
    return found.nanmedian(dim=1).values


def pixel_noise(photons: Tensor) -> Tensor:
    """Standard deviation of a pixel of each run (R, 1, 1, 1), photons.

    From the median difference of consecutive frames, which blinking spots hardly move; of a single
    frame from that of neighbouring pixels.
    """
    if photons.shape[1] > 1:
        steps = (photons[:, 1:] - photons[:, :-1]).abs()
    else:
        steps = (photons[..., 1:] - photons[..., :-1]).abs()
    middle = steps.flatten(1).median(dim=1).values
    noise: Tensor = 1.4826 / math.sqrt(2) * middle
    return noise.clamp_min(1e-3)[:, None, None, None]


def _cells(values: Tensor) -> Tensor:
    """(..., H, W) as (..., h, w, 8, 8); what is left at the far border is dropped."""
    height, width = (n // CELL_PX * CELL_PX for n in values.shape[-2:])
    cut = values[..., :height, :width]
    return cut.unfold(-2, CELL_PX, CELL_PX).unfold(-2, CELL_PX, CELL_PX)


def noise_ratio_in_time(background: Background, excess: float, floor: float) -> tuple[float, int]:
    """Variance from frame to frame over the expected one, and how many cells it rests on.

    Photons that are `k` times too large have a variance k^2 times and a mean k times too large:
    the ratio is k (photon transfer: Janesick, Photon Transfer, 2007, ch. 5).
    """
    expected = excess * background.cells.clamp_min(0) + floor
    ratio = (background.variance / expected.clamp_min(1e-6)).flatten()
    ratio = ratio[torch.isfinite(ratio)]
    return (float(ratio.median()), len(ratio)) if len(ratio) else (float("nan"), 0)


def transfer_line(background: Background) -> tuple[float, float] | None:
    """Slope of variance against mean and the mean at no variance; None where means are alike.

    A straight line through the medians of ten groups of cells of equal mean. It needs no baseline:
    an offset of the counts moves the line sideways.
    """
    mean, variance = (t.flatten().numpy() for t in (background.cells, background.variance))
    known = np.isfinite(mean) & np.isfinite(variance)
    mean, variance = mean[known].astype(np.float64), variance[known].astype(np.float64)
    if len(mean) < 100:
        return None
    groups = np.array_split(np.argsort(mean), 10)
    x = np.array([np.median(mean[g]) for g in groups])
    y = np.array([np.median(variance[g]) for g in groups])
    middle = float(np.median(y))
    if y[-1] < SPREAD * y[0] or middle <= 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a poor fit shows in its slope
        slope, start = np.polyfit(x, y, 1)
    return (float(slope), float(-start / slope)) if slope > 0 else None
