"""Rows of a table by place: what a zoomed-in view draws costs what it shows, not the whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.render.gaussian import MIN_SIGMA_PX
from napari_dilatedloc.render.spots import TRUNCATE
from napari_dilatedloc.render.view import Place, Spots

ROWS_PER_CELL = 64
WIDE = 4.0
"""Spots so many times wider than the median are looked at apart: few, and seen from afar."""

_COLUMNS = ("y", "x", "z_nm", "sigma_y", "sigma_x", "sigma_z_nm")


@dataclass(frozen=True, eq=False)
class PlacedSpots:
    """Columns that are drawn, as `Spots`; float32 (N,), px and nm."""

    y: NDArray[np.float32]
    x: NDArray[np.float32]
    z_nm: NDArray[np.float32]
    sigma_y: NDArray[np.float32]
    sigma_x: NDArray[np.float32]
    sigma_z_nm: NDArray[np.float32]

    @classmethod
    def of(cls, parts: Iterable[Spots]) -> PlacedSpots:
        """Those of all rows of a table that is read part by part."""
        columns = [[getattr(part, name) for name in _COLUMNS] for part in parts]
        return cls(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def __len__(self) -> int:
        return len(self.y)


class PlaceIndex:
    """Spots sorted once into square cells of the camera.

    Parameters
    ----------
    spots : Spots
        A table; rows without a place are left out. The index holds a copy of six columns.

    Examples
    --------
    >>> from napari_dilatedloc.table import Localizations
    >>> table = Localizations.from_columns(frame=[0, 0, 0], x=[1, 30, 31], y=[2, 40, 42])
    >>> index = PlaceIndex(table)
    >>> index.within((38, 28), (5, 5)).x.tolist()
    [30.0, 31.0]
    """

    def __init__(self, spots: Spots) -> None:
        y, x = spots.y, spots.x
        sigma = np.fmax(spots.sigma_y, spots.sigma_x)
        known = np.isfinite(sigma)
        typical = float(np.median(sigma[known])) if known.any() else 0.0
        self._margin = WIDE * max(typical, MIN_SIGMA_PX)  # none is drawn narrower
        wide = sigma > self._margin
        good = np.isfinite(y) & np.isfinite(x)
        self._wide = _taken(spots, np.flatnonzero(good & wide))
        rows = np.flatnonzero(good & ~wide)
        y, x = y[rows], x[rows]
        self._low = (float(y.min()), float(x.min())) if len(rows) else (0.0, 0.0)
        extent = [float(a.max() - a.min()) + 1e-3 if len(rows) else 1.0 for a in (y, x)]
        cells = max(1.0, len(rows) / ROWS_PER_CELL)
        self._side = max((extent[0] * extent[1] / cells) ** 0.5, max(extent) / 4000)
        self._cells = tuple(int(side / self._side) + 1 for side in extent)
        cell = self._cell(y, 0).astype(np.int32)
        cell *= self._cells[1]
        cell += self._cell(x, 1).astype(np.int32)
        order = np.argsort(cell, kind="stable")
        count = np.bincount(cell, minlength=self._cells[0] * self._cells[1])
        self._starts = np.concatenate([[0], np.cumsum(count)])
        self._spots = _taken(spots, rows[order])

    def __len__(self) -> int:
        return len(self._spots) + len(self._wide)

    def within(self, corner: Place, shape: Place) -> PlacedSpots:
        """Spots whose light falls into a part of the camera.

        Parameters
        ----------
        corner, shape : tuple of float
            First camera pixel (y, x), and (height, width) in px.

        Returns
        -------
        PlacedSpots
            All that reach into it, and some around it.
        """
        margin = TRUNCATE * self._margin
        low = [c - 0.5 - margin for c in corner]
        high = [c - 0.5 + s + margin for c, s in zip(corner, shape, strict=True)]
        parts = [self._spots_of(slice(*run)) for run in self._runs(low, high)]
        wide = self._wide
        reach = TRUNCATE * np.fmax(wide.sigma_y, wide.sigma_x)
        near = (wide.y > low[0] + margin - reach) & (wide.y < high[0] - margin + reach)
        near &= (wide.x > low[1] + margin - reach) & (wide.x < high[1] - margin + reach)
        parts.append(_taken(wide, np.flatnonzero(near)))
        return PlacedSpots(
            **{name: np.concatenate([getattr(p, name) for p in parts]) for name in _COLUMNS}
        )

    def _runs(self, low: list[float], high: list[float]) -> list[tuple[int, int]]:
        """First and last row of each run of neighbouring cells in a box."""
        first = [int(self._cell(np.asarray(value), axis)) for axis, value in enumerate(low)]
        last = [int(self._cell(np.asarray(value), axis)) for axis, value in enumerate(high)]
        width = self._cells[1]
        if first[1] == 0 and last[1] == width - 1:  # whole rows of cells follow one another
            return [(self._starts[first[0] * width], self._starts[(last[0] + 1) * width])]
        return [
            (self._starts[row * width + first[1]], self._starts[row * width + last[1] + 1])
            for row in range(first[0], last[0] + 1)
        ]

    def _cell(self, place: NDArray[np.floating], axis: int) -> NDArray[np.floating]:
        """Cell along an axis; what lies outside belongs to the outermost."""
        cell = np.floor((place - self._low[axis]) / self._side)
        clipped: NDArray[np.floating] = np.clip(cell, 0, self._cells[axis] - 1)
        return clipped

    def _spots_of(self, rows: slice) -> PlacedSpots:
        return PlacedSpots(**{name: getattr(self._spots, name)[rows] for name in _COLUMNS})


def _taken(spots: Spots, rows: NDArray[np.intp]) -> PlacedSpots:
    return PlacedSpots(**{name: getattr(spots, name)[rows] for name in _COLUMNS})
