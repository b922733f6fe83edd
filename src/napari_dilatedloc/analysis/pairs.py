"""Which rows of given frames lie close to each other: a grid with one sheet a frame.

Rows are sorted by frame, then by row and column of a square grid as wide as the largest distance.
The three cells beside each other in which a neighbour can lie are then one stretch of the sorted
rows, so that three pairs of binary searches find all candidates of all frames at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ints64 = NDArray[np.int64]
Floats64 = NDArray[np.float64]
Rows = NDArray[np.intp]
Pairs = tuple[Rows, Rows, Floats64]

CHUNK_PAIRS = 2**21
"""Candidate pairs held at a time."""


class FrameGrid:
    """Rows by frame and place.

    Parameters
    ----------
    frame : ndarray of int (N,)
        Frame of each row.
    yx : ndarray (N, 2)
        Place; rows without one (NaN) are never found.
    cell : float
        Largest distance that is asked for, in the unit of `yx`.
    """

    def __init__(self, frame: NDArray[np.integer], yx: Floats64, cell: float) -> None:
        usable = np.flatnonzero(np.isfinite(yx).all(axis=1))
        self._cell = cell
        self._low = yx[usable].min(axis=0) if len(usable) else np.zeros(2)
        self._first = int(frame[usable].min()) if len(usable) else 0
        cells = self._cells(yx[usable])
        # a free cell on each side: the last of one row is no neighbour of the first of the next
        high = cells.max(axis=0) if len(usable) else np.zeros(2, np.int64)
        self._height, self._width = (int(v) + 3 for v in high)
        frames = int(frame[usable].max()) - self._first + 1 if len(usable) else 1
        if float(frames) * self._height * self._width > 2.0**62:
            raise ValueError(
                f"{frames} frames of {self._height} x {self._width} cells of the largest distance "
                f"are more than can be numbered; remove rows that lie far outside the movie"
            )
        self._frames = frames
        keys = self._key(frame[usable], cells)
        order = np.argsort(keys, kind="stable")
        self._keys, self._rows = keys[order], usable[order]

    def candidates(self, frame: NDArray[np.integer], yx: Floats64) -> Iterator[tuple[Rows, Rows]]:
        """Pairs of these queries with rows of the grid in cells that touch, in chunks.

        Yields
        ------
        query, row : ndarray of int
            Numbers of queries (N', 2) and of rows of the grid. All pairs closer than `cell` are
            there, and some that are further apart; each once.
        """
        inside = np.isfinite(yx).all(axis=1)
        inside &= (frame >= self._first) & (frame < self._first + self._frames)
        queries = np.flatnonzero(inside)
        cells = self._cells(yx[queries])
        size = np.array([self._height, self._width]) - 2
        near = ((cells >= -1) & (cells <= size)).all(axis=1)
        queries, cells = queries[near], cells[near]
        for step in (-1, 0, 1):
            key = self._key(frame[queries], cells + np.array([step, 0]))
            begin = np.searchsorted(self._keys, key - 1, side="left")
            count = np.searchsorted(self._keys, key + 1, side="right") - begin
            yield from self._expand(queries, begin, count)

    def _expand(self, queries: Rows, begin: Rows, count: Rows) -> Iterator[tuple[Rows, Rows]]:
        some = np.flatnonzero(count)
        queries, begin, count = queries[some], begin[some], count[some]
        ends = np.cumsum(count)
        start, done = 0, 0
        while start < len(queries):
            stop = max(int(np.searchsorted(ends, done + CHUNK_PAIRS, side="right")), start + 1)
            part = slice(start, stop)
            offset = np.repeat(ends[part] - count[part] - begin[part] - done, count[part])
            found = np.arange(len(offset)) - offset
            yield np.repeat(queries[part], count[part]), self._rows[found]
            start, done = stop, int(ends[stop - 1])

    def _cells(self, yx: Floats64) -> Ints64:
        return np.floor((yx - self._low) / self._cell).astype(np.int64)

    def _key(self, frame: NDArray[np.integer], cells: Ints64) -> Ints64:
        sheet = (frame.astype(np.int64) - self._first) * self._height
        return np.asarray((sheet + cells[:, 0] + 1) * self._width + cells[:, 1] + 1)


def joined(parts: list[Pairs]) -> Pairs:
    """Pairs of several chunks, one after another."""
    none = (np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0))
    i, j, distance = (np.concatenate(column) for column in zip(none, *parts, strict=True))
    return i, j, distance


def closest_first(i: Rows, j: Rows, distance: Floats64) -> tuple[Rows, Rows]:
    """Choose pairs so that nobody is in two: the closest, then the closest of what is left.

    Parameters
    ----------
    i, j : ndarray of int (P,)
        Candidates, each pair once.
    distance : ndarray (P,)
        How far apart; of equally close ones the first counts.
    """
    order = np.lexsort((j, i, distance))
    i, j = i[order], j[order]
    left, right = (int(rows.max(initial=-1)) + 1 for rows in (i, j))
    chosen: list[tuple[Rows, Rows]] = [(i[:0], j[:0])]
    while len(i):
        rank = np.arange(len(i))
        best_i, best_j = np.full(left, len(i)), np.full(right, len(j))
        best_i[i[::-1]] = rank[::-1]  # the last that is written stays: the closest
        best_j[j[::-1]] = rank[::-1]
        mutual = (best_i[i] == rank) & (best_j[j] == rank)
        chosen.append((i[mutual], j[mutual]))
        taken_i, taken_j = np.zeros(left, bool), np.zeros(right, bool)
        taken_i[i[mutual]] = True
        taken_j[j[mutual]] = True
        open_pairs = ~(taken_i[i] | taken_j[j])
        i, j = i[open_pairs], j[open_pairs]
    return np.concatenate([a for a, _ in chosen]), np.concatenate([b for _, b in chosen])
