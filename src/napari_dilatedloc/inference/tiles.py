"""Where a tile begins: the pieces a frame is cut into and which piece owns a localization.

The frame is thought to be padded once, on the right and at the bottom, to multiples of the
network's stride; a frame in one tile is the simplest plan, not another code path. A strided
network gives the same answer only after shifts by its stride, so tiles start at multiples of it,
counted from the corner of the frame and not of the region of interest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""Half-open rectangle (y0, x0, y1, x1), px."""


@dataclass(frozen=True)
class Tile:
    """One piece of a frame.

    Attributes
    ----------
    read : Box
        What the network sees, in px of the padded frame; all four are multiples of the stride.
        At a border of the padded frame it ends there, so that the network's own zero padding
        applies as it does without tiles; elsewhere it reaches `halo` beyond what is owned.
    owned : Box
        Peak pixels whose localizations this tile gives, in px of the frame.
    """

    read: Box
    owned: Box

    @property
    def origin(self) -> tuple[int, int]:
        """(y, x) of the tile's first pixel in the frame, px."""
        return self.read[0], self.read[1]

    def owns(self, row: NDArray[np.integer], col: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which peak pixels, in px of the frame, belong to this tile."""
        y0, x0, y1, x1 = self.owned
        return (row >= y0) & (row < y1) & (col >= x0) & (col < x1)


def round_up(value: int, multiple: int) -> int:
    """Smallest multiple that is not below the value."""
    return -(-value // multiple) * multiple


def padded_shape(shape: tuple[int, int], multiple: int) -> tuple[int, int]:
    """(height, width) of the frame after padding to multiples, px."""
    return round_up(shape[0], multiple), round_up(shape[1], multiple)


def plan_tiles(
    shape: tuple[int, int], tile_size: int, halo: int, multiple: int, roi: Box | None = None
) -> tuple[Tile, ...]:
    """Cut a frame, or a region of it, into tiles of about equal size.

    Parameters
    ----------
    shape : tuple of int
        (height, width) of the frame, px.
    tile_size : int
        Largest side of what a tile owns, px; rounded down to `multiple`.
    halo : int
        How far the network (and what reads its output) looks, px; rounded up to `multiple`.
    multiple : int
        Stride of the network, px.
    roi : Box, optional
        Region whose pixels are owned; default: the whole frame. The halo around it holds true
        pixels of the frame.

    Returns
    -------
    tuple of Tile
        Row by row; every pixel of the region is owned by exactly one tile.
    """
    y0, x0, y1, x1 = roi or (0, 0, *shape)
    height, width = padded_shape(shape, multiple)
    margin = round_up(halo, multiple)
    rows = _cut(y0, y1, height, tile_size, margin, multiple)
    cols = _cut(x0, x1, width, tile_size, margin, multiple)
    return tuple(
        Tile((ry0, rx0, ry1, rx1), (oy0, ox0, oy1, ox1))
        for ry0, ry1, oy0, oy1 in rows
        for rx0, rx1, ox0, ox1 in cols
    )


def bounding_box(tiles: tuple[Tile, ...], shape: tuple[int, int]) -> Box:
    """Part of the frame that the tiles see together, without the padding, px."""
    y0, x0 = (min(tile.read[axis] for tile in tiles) for axis in (0, 1))
    y1, x1 = (max(tile.read[axis] for tile in tiles) for axis in (2, 3))
    return y0, x0, min(y1, shape[0]), min(x1, shape[1])


def _cut(
    start: int, stop: int, length: int, tile_size: int, margin: int, multiple: int
) -> list[tuple[int, int, int, int]]:
    """Cut one axis: (read start, read stop, owned start, owned stop) of each piece, px."""
    first = start // multiple * multiple
    units = -(-(stop - first) // multiple)
    pieces = -(-units // max(1, tile_size // multiple))
    side = -(-units // pieces) * multiple
    end = first + units * multiple
    cores = [(core, min(core + side, end)) for core in range(first, stop, side)]
    return [
        (
            max(0, low - margin),
            min(length, high + margin),
            max(low, start),
            min(high, stop),
        )
        for low, high in cores
    ]
