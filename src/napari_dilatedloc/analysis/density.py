"""How crowded it is around each localization, over all frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

CHUNK_ROWS = 2**17
"""Rows whose neighbours are looked up at a time: bounds memory."""


def has_neighbours(
    places: NDArray[np.float64], min_neighbours: int, radius_nm: float
) -> NDArray[np.bool_]:
    """Rows with at least so many others within a radius, over all frames.

    Parameters
    ----------
    places : ndarray (N, 2) or (N, 3)
        What `quantities.positions_nm` gives.
    min_neighbours : int
        Fewest neighbours, the row itself not counted.
    radius_nm : float
        Radius, nm.

    Returns
    -------
    ndarray of bool (N,)
        False also for rows without a place (NaN).
    """
    kept = np.zeros(len(places), dtype=bool)
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    if len(known) <= min_neighbours:
        return kept
    places = places[known]
    crowded = _in_full_cell(places, radius_nm, min_neighbours)
    kept[known[crowded]] = True
    open_rows = np.flatnonzero(~crowded)
    if not len(open_rows):
        return kept
    beyond = np.nextafter(radius_nm, np.inf)
    tree = KDTree(places, balanced_tree=False, compact_nodes=False)
    for start in range(0, len(open_rows), CHUNK_ROWS):
        rows = open_rows[start : start + CHUNK_ROWS]
        # the nearest is the row itself; only the k-th neighbour is asked for
        found: Any = tree.query(places[rows], k=[min_neighbours + 1], distance_upper_bound=beyond)
        kept[known[rows]] = found[0][:, 0] <= radius_nm
    return kept


def _in_full_cell(
    places: NDArray[np.float64], radius: float, min_neighbours: int
) -> NDArray[np.bool_]:
    """Rows in a cell that has enough of them, where all in one cell are within the radius.

    In dense parts, where searches are slow, this decides about nearly all rows.
    """
    side = radius / np.sqrt(places.shape[1]) * (1 - 1e-9)
    cells = places - places.min(axis=0)
    cells /= side
    np.floor(cells, out=cells)
    extent = cells.max(axis=0) + 1
    if float(np.prod(extent)) > 2.0**62:
        return np.zeros(len(places), dtype=bool)
    key = np.ravel_multi_index(tuple(cells.astype(np.int64).T), tuple(extent.astype(np.int64)))
    _, cell, count = np.unique(key, return_inverse=True, return_counts=True)
    return np.asarray(count[cell] > min_neighbours)
