"""Places counted on a grid, and how well other positions fall on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Values = NDArray[np.float32]

MOST_CELLS = 2**24
"""Cells of a grid: 64 MB. Larger fields are folded onto it."""

MOST_PLANES = 256


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells in space, folded at their ends like a torus.

    A field of any size fits: places a whole side apart share a cell, which adds to every score the
    same small background.

    Attributes
    ----------
    origin_nm : ndarray, (3,)
        Corner x, y, z of the first cell.
    cell_nm : ndarray, (3,)
        Sides of a cell along x, y, z.
    sides : tuple of int
        Cells along x, y, z.
    reach : tuple of int
        Largest shift that `scores` tries along x, y, z, in cells.
    """

    origin_nm: Array
    cell_nm: Array
    sides: tuple[int, int, int]
    reach: tuple[int, int, int]

    @classmethod
    def around(cls, nm: Array, cell_nm: Array, reach: tuple[int, int, int]) -> Grid:
        """Grid for positions (N, 3), with room for shifts; folded if need be."""
        room = np.array(reach)
        x, y, z = (int(n) for n in np.ptp(nm, axis=0) / cell_nm + 2 * room + 2)
        depth = min(z, MOST_PLANES)
        lateral = int(np.sqrt(MOST_CELLS / depth))
        origin = nm.min(axis=0) - room * cell_nm
        return cls(origin, cell_nm, (min(x, lateral), min(y, lateral), depth), reach)

    @property
    def cells(self) -> int:
        """Number of cells."""
        x, y, z = self.sides
        return x * y * z

    def table(self) -> tuple[Values, Values]:
        """Zeros for `scores`, and the view of its cells (cells,) to be filled."""
        margin = self._further(*self.reach)
        table = np.zeros(self.cells + 2 * margin, dtype=np.float32)
        return table, table[margin : margin + self.cells]

    def places(self, nm: Array) -> Ints:
        """Cell of each position (N, 3), (N,)."""
        x, y, z = (
            np.mod(np.floor((column - origin) / cell).astype(np.int64), side)
            for column, origin, cell, side in zip(
                nm.T, self.origin_nm, self.cell_nm, self.sides, strict=True
            )
        )
        return np.asarray((z * self.sides[1] + y) * self.sides[0] + x)

    def scores(self, table: Values, nm: Array) -> Array:
        """Sum of a table over positions, each moved back by every shift up to `reach`.

        A shift is the same step along the table for all positions, so that each is one look-up
        without arithmetic. What leaves the grid at the end of a row meets the next one; there is
        room enough for that to matter only where a field is folded.

        Parameters
        ----------
        table : ndarray of float32
            What `table` gave, filled.
        nm : ndarray, (N, 3)
            Positions.

        Returns
        -------
        ndarray, (2 rz + 1, 2 ry + 1, 2 rx + 1)
            Entry of shift s: the sum of the table at ``position - s``.
        """
        places = self.places(nm)
        rx, ry, rz = self.reach
        margin = self._further(rx, ry, rz)
        result = np.empty((2 * rz + 1, 2 * ry + 1, 2 * rx + 1))
        for k, j, i in np.ndindex(*result.shape):
            start = margin - self._further(i - rx, j - ry, k - rz)
            result[k, j, i] = table[start : start + self.cells].take(places).sum()
        return result

    def _further(self, x: int, y: int, z: int) -> int:
        """Steps along the table for a shift in cells."""
        return (z * self.sides[1] + y) * self.sides[0] + x
