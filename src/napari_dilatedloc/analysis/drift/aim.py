"""Drift by adaptive intersection maximization (AIM).

After Ma, Chen, Nguyen and Liu, Science Advances 10, eadm7765 (2024): a segment of the movie has the
right shift when most of its localizations fall on places where there are localizations already.
That is counted for a few small shifts around the last one, segment after segment, and then anew
against the whole movie.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.drift.grid import Grid, Values
from napari_dilatedloc.analysis.drift.segments import Positions, Segments, cut_by_rows, to_frames

Array = NDArray[np.float64]

REACH = 3
"""Shifts tried on either side, in cells: with 20 nm the paper's 60 nm."""

RECENTRE = 12
"""How often a search may move on when its best shift lies at its border."""

COARSE = 4
"""Cells of the first round against those of the later ones."""

AXIAL_CELLS = (2.0, 2.0, 2.0)
"""Cells along x, y, z for the search in z: precision there is about half as good."""

FEWEST = 50
ENOUGH = 400
"""Localizations of a segment: at least, and those that decide how many segments there are."""

MOST_SEGMENTS = 200


def aim(
    positions: Positions, *, distance_nm: float, rounds: int, segments: int | None = None
) -> tuple[Array, int]:
    """Measure drift by AIM.

    Parameters
    ----------
    positions : Positions
        Localizations.
    distance_nm : float
        Side of a cell: localizations in one cell are at one place.
    rounds : int
        Rounds against the whole movie, after the first that goes through it once.
    segments : int, optional
        Default: as many as have 400 localizations each, 10 to 200.

    Returns
    -------
    drift : ndarray, (T, 3)
        x, y, z in nm, one row a frame.
    segments : int
        How many there were.
    """
    parts = cut_by_rows(positions.frame, segments, ENOUGH, MOST_SEGMENTS, FEWEST)
    found = np.zeros((len(parts), 3))
    steps = ((REACH, REACH, 0), (0, 0, REACH)) if positions.axial else ((REACH, REACH, 0),)
    drift = np.zeros((positions.n_frames, 3))
    for reach in steps:
        nm = positions.nm if reach[2] else positions.nm * (1.0, 1.0, 0.0)
        fine = distance_nm * (np.array(AXIAL_CELLS) if reach[2] else np.ones(3))
        found = _walk(nm - drift[positions.frame], parts, np.full(3, COARSE * distance_nm), reach)
        drift += to_frames(found, parts, positions.n_frames)
        for _ in range(rounds):
            found = _against_all(nm - drift[positions.frame], parts, fine, reach)
            drift += to_frames(found, parts, positions.n_frames)
    return drift, len(parts)


def _walk(nm: Array, parts: Segments, cell_nm: Array, reach: tuple[int, int, int]) -> Array:
    """Shift of each segment, (S, 3): against all before it, from the shift of the last one on."""
    grid = Grid.around(nm, cell_nm, reach)
    counts = np.zeros(grid.cells, dtype=np.int32)
    table, values = grid.table()
    found = np.zeros((len(parts), 3))
    for k, rows in enumerate(parts.slices()):
        if k:
            found[k] = _best(grid, table, nm[rows], found[k - 1])
        cells = grid.places(nm[rows] - found[k])
        np.add.at(counts, cells, 1)
        values[cells] = np.log1p(counts[cells])
    return found


def _against_all(nm: Array, parts: Segments, cell_nm: Array, reach: tuple[int, int, int]) -> Array:
    """Shift of each segment, (S, 3), against all others.

    The segment itself is left out: it would find itself again where it is, whatever its shift.
    """
    grid = Grid.around(nm, cell_nm, reach)
    places = grid.places(nm)
    counts = np.bincount(places, minlength=grid.cells).astype(np.int32)
    worth = np.log1p(np.arange(counts.max() + 1), dtype=np.float32)  # of a place, by its count
    table, values = grid.table()
    values[places] = worth[counts[places]]
    found = np.zeros((len(parts), 3))
    for k, rows in enumerate(parts.slices()):
        own = places[rows]
        np.subtract.at(counts, own, 1)
        values[own] = worth[counts[own]]
        found[k] = _best(grid, table, nm[rows], found[k])
        np.add.at(counts, own, 1)
        values[own] = worth[counts[own]]
    return found


def _best(grid: Grid, table: Values, nm: Array, start: Array) -> Array:
    """Shift (3,) at which positions fall best on the places, searched around `start`."""
    shift = start.copy()
    reach = np.array(grid.reach)
    for _ in range(RECENTRE):
        scores = grid.scores(table, nm - shift)
        peak = np.unravel_index(int(np.argmax(scores)), scores.shape)[::-1]  # x, y, z
        step = np.array(peak) - reach
        if np.ptp(scores) == 0 or np.all(np.abs(step) < np.maximum(reach, 1)):
            break
        shift += step * grid.cell_nm
    return np.asarray(shift + _phase(scores) * grid.cell_nm)


def _phase(scores: Array) -> Array:
    """Where the peak of scores (z, y, x) lies from their middle, cells along x, y, z.

    The phase of the slowest wave along each axis, as in the paper: a flat background has no part
    in it, and a peak in the middle gives 0 whatever its shape.
    """
    result = np.zeros(3)
    for axis in range(3):
        profile = scores.sum(axis=tuple(a for a in range(3) if a != 2 - axis))
        n = len(profile)
        if n > 1:
            wave = np.exp(2j * np.pi * (np.arange(n) - n // 2) / n)
            result[axis] = np.angle(profile @ wave) * n / (2 * np.pi)
    return result
