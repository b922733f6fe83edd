"""Where an image lies over the camera's pixels, and where a localization falls in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Floats64 = NDArray[np.float64]
Place = tuple[float, float]

CHUNK_ROWS = 2**20
"""Rows worked on at a time: what is held besides the image does not grow with the table."""


class Spots(Protocol):
    """What is drawn: columns of `Localizations`, or of an index over them."""

    @property
    def y(self) -> NDArray[np.float32]:
        """Position, px."""

    @property
    def x(self) -> NDArray[np.float32]:
        """Position, px."""

    @property
    def z_nm(self) -> NDArray[np.float32]:
        """Distance from focus, nm."""

    @property
    def sigma_y(self) -> NDArray[np.float32]:
        """Precision of y, px."""

    @property
    def sigma_x(self) -> NDArray[np.float32]:
        """Precision of x, px."""

    @property
    def sigma_z_nm(self) -> NDArray[np.float32]:
        """Precision of z, nm."""


@dataclass(frozen=True)
class View:
    """An image over a part of the camera.

    Attributes
    ----------
    corner : tuple of float
        First camera pixel (y, x) drawn; the image begins at its border, half a pixel before.
    magnification : float
        Image pixels along a camera pixel.
    size : tuple of int
        (rows, columns) of the image.
    """

    corner: Place
    magnification: float
    size: tuple[int, int]

    @classmethod
    def over(cls, shape: Place, magnification: float, corner: Place = (0.0, 0.0)) -> View:
        """View of `shape` (height, width) camera pixels from `corner` on."""
        if not magnification > 0:
            raise ValueError(f"magnification must be positive, got {magnification}; 10 is usual")
        if not min(shape) > 0:
            raise ValueError(f"the part to draw must have an extent, got {shape} px; enlarge it")
        # what rounding adds to a whole number of pixels is no further pixel
        height, width = (math.ceil(side * magnification - 1e-6) for side in shape)
        return cls(corner, magnification, (max(1, height), max(1, width)))

    def blank(self) -> Image:
        """Empty image."""
        return np.zeros(self.size, dtype=np.float32)

    def places(self, spots: Spots, rows: slice | NDArray[Any]) -> tuple[Floats64, Floats64]:
        """Row and column of some spots in image pixels; floor() is the index."""
        return _in_image(spots.y[rows], spots.x[rows], self.magnification, self.corner)


def sub_pixels(localizations: Spots, magnification: float) -> tuple[Floats64, Floats64]:
    """Row and column in sub-pixels from the corner of the camera: floor() is the index."""
    return _in_image(localizations.y, localizations.x, magnification, (0.0, 0.0))


def _in_image(
    y: NDArray[np.float32], x: NDArray[np.float32], magnification: float, corner: Place
) -> tuple[Floats64, Floats64]:
    """The image begins half a camera pixel before the centre of its first one."""
    v, u = y.astype(np.float64), x.astype(np.float64)
    for place, first in ((v, corner[0]), (u, corner[1])):
        place += 0.5 - first
        place *= magnification
    return v, u


def chunks(count: int) -> list[slice]:
    """Slices over `count` rows."""
    return [slice(start, start + CHUNK_ROWS) for start in range(0, count, CHUNK_ROWS)]
