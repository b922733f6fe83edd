"""What the colour of a localization says: z, photons, precision or frame."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np
from napari.utils.colormaps import Colormap

from napari_dilatedloc.gui.layers import even_rows
from napari_dilatedloc.table import Localizations

Limits = tuple[float, float]

RAINBOW = Colormap(
    ["#5b6cff", "#27c8ff", "#3dffa4", "#d7ff3d", "#ffb02e", "#ff4d4d"],
    name="dilatedloc rainbow",
)
"""As bright at its ends as in the middle: on black, dark ends would hide what lies there."""
UNKNOWN = (1.0, 1.0, 1.0, 1.0)
SAMPLE = 100_000
"""Values that limits are taken from: a sample of ten million has the same percentiles."""


class ColourBy(Enum):
    """Column that gives the colour; the value is its name in the dock."""

    NOTHING = "nothing"
    Z = "z"
    PHOTONS = "photons"
    PRECISION = "precision"
    FRAME = "frame"

    @property
    def label(self) -> str:
        """Name with unit."""
        return {"z": "z (nm)", "precision": "precision (nm)"}.get(self.value, self.value)


def values_of(table: Localizations, by: ColourBy, pixel_size_nm: float) -> np.ndarray:
    """Numbers that give the colours, (N,) float32; NaN where unknown.

    Precision is the rms of those along x and y, nm.
    """
    if by is ColourBy.Z:
        return table.z_nm
    if by is ColourBy.PHOTONS:
        return table.photons
    if by is ColourBy.FRAME:
        return table.frame.astype(np.float32)
    if by is ColourBy.PRECISION:
        square = (table.sigma_x**2 + table.sigma_y**2) / 2
        return (np.sqrt(square) * np.float32(pixel_size_nm)).astype(np.float32)
    return np.full(len(table), np.nan, np.float32)


def limits_of(values: np.ndarray) -> Limits:
    """First and last colour: the 1st and 99th percentile of what is known; never equal."""
    some = values[even_rows(len(values), SAMPLE)] if len(values) else values
    some = some[np.isfinite(some)]
    low, high = (0.0, 1.0) if not some.size else np.percentile(some, (1, 99)).tolist()
    return (low, high) if high > low else (low, low + 1.0)


def colours_of(values: np.ndarray, limits: Limits) -> np.ndarray:
    """RGBA of numbers, (N, 4) of 0-1; the unknown is white."""
    low, high = limits
    known = np.isfinite(values)
    share = np.clip((np.where(known, values, low) - low) / (high - low), 0, 1)
    colours = np.asarray(RAINBOW.map(share), dtype=np.float32).reshape(-1, 4)
    colours[~known] = UNKNOWN
    return colours


def said(limits: Sequence[float]) -> tuple[str, str]:
    """Both ends as short numbers."""
    low, high = (f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}" for value in limits)
    return low, high
