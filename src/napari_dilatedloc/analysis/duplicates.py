"""Rows of one frame that are one and the same molecule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.pairs import FrameGrid
from napari_dilatedloc.table import Localizations


def not_duplicated(
    table: Localizations,
    pixel_size_nm: float,
    distance_nm: float,
    *,
    axial_nm: float | None = None,
) -> NDArray[np.bool_]:
    """Rows to keep so that in no frame two lie closer than a distance.

    The most probable row stays, of equally probable ones the brightest, and what lies close to it
    goes; then the same with what is left.

    Parameters
    ----------
    table, pixel_size_nm
        Rows in any order; camera pixel, nm.
    distance_nm : float
        Smallest lateral distance of two rows of a frame, nm.
    axial_nm : float, optional
        Rows further apart in z are no duplicates; default: z does not count.

    Returns
    -------
    ndarray of bool (N,)
        False for duplicates.
    """
    better, worse = _ranked_pairs(table, pixel_size_nm, distance_nm, axial_nm)
    undecided = np.ones(len(table), dtype=bool)
    kept = np.ones(len(table), dtype=bool)
    while len(better):
        # who has nobody better beside it stays, whoever is beside that goes
        beaten = np.zeros(len(table), dtype=bool)
        beaten[worse] = True
        stays = undecided & ~beaten
        goes = worse[stays[better]]
        kept[goes] = False
        undecided &= ~stays
        undecided[goes] = False
        still = undecided[better] & undecided[worse]
        better, worse = better[still], worse[still]
    return kept


def _ranked_pairs(
    table: Localizations, pixel_size_nm: float, distance_nm: float, axial_nm: float | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs that are too close, the better row of each and the worse one."""
    yx = np.stack([table.y, table.x], axis=1).astype(np.float64) * pixel_size_nm
    order = np.lexsort((-np.nan_to_num(table.photons), -np.nan_to_num(table.prob)))
    rank = np.empty(len(table), dtype=np.intp)
    rank[order] = np.arange(len(table))
    better, worse = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    grid = FrameGrid(table.frame, yx, distance_nm)
    for i, j in grid.candidates(table.frame, yx):
        ahead = rank[i] < rank[j]  # each pair once
        i, j = i[ahead], j[ahead]
        close = ((yx[i] - yx[j]) ** 2).sum(axis=1) < distance_nm**2
        if axial_nm is not None:
            close &= ~(np.abs(table.z_nm[i] - table.z_nm[j]) > axial_nm)
        better.append(i[close])
        worse.append(j[close])
    return np.concatenate(better), np.concatenate(worse)
