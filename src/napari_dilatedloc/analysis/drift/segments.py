"""A movie cut into segments, and values of segments turned into values of frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from napari_dilatedloc.analysis.parts import Placed

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST_FOR_SMOOTHING = 8
"""Segments below which the spline goes through every value."""

STIFFNESS = np.geomspace(1e-3, 1e2, 41)
"""Of smoothing splines, in mean distances of segments: waves shorter than 1 to 20 are damped."""


@dataclass(frozen=True, eq=False)
class Positions:
    """What drift is measured from: known positions, in frame order.

    Attributes
    ----------
    nm : ndarray, (N, 3)
        x, y, z in nm from the centre of the first pixel; z is 0 where `axial` is False.
    frame : ndarray of int, (N,)
        Never falling.
    n_frames : int
        Of the movie.
    axial : bool
        Whether there is a z to measure.
    """

    nm: Array
    frame: Ints
    n_frames: int
    axial: bool

    def moved(self, drift_nm: Array) -> Array:
        """Positions with a drift (T, 3) taken off, (N, 3)."""
        return np.asarray(self.nm - drift_nm[self.frame])


def positions_of(
    table: Placed, pixel_size_nm: float, n_frames: int | None, *, axial: bool
) -> Positions:
    """Positions of a table in nm and in frame order, rows without a known position left out.

    A table has z if more than half of its rows have one and they are not all alike.
    """
    known = np.isfinite(table.x) & np.isfinite(table.y) & (table.frame >= 0)
    z = np.isfinite(table.z_nm)
    deep = axial and bool((z & known).sum() > known.sum() / 2 and np.ptp(table.z_nm[z & known]) > 0)
    rows = np.flatnonzero(known & z if deep else known)
    rows = rows[np.argsort(table.frame[rows], kind="stable")]
    nm = np.zeros((len(rows), 3))
    nm[:, 0] = table.x[rows]
    nm[:, 1] = table.y[rows]
    nm[:, :2] *= pixel_size_nm
    if deep:
        nm[:, 2] = table.z_nm[rows]
    frame = table.frame[rows].astype(np.int64)
    last = int(table.frame.max()) + 1 if len(table) else 0  # of rows left out here, too
    return Positions(nm, frame, max(n_frames or 0, last), deep)


@dataclass(frozen=True, eq=False)
class Segments:
    """Parts of a movie.

    Attributes
    ----------
    rows : ndarray of int, (S + 1,)
        Segment k has the rows from ``rows[k]`` up to ``rows[k + 1]``.
    time : ndarray, (S,)
        Mean frame of its localizations.
    span : tuple of int
        First and last frame with a localization.
    """

    rows: Ints
    time: Array
    span: tuple[int, int]

    def __len__(self) -> int:
        return len(self.time)

    def slices(self) -> list[slice]:
        """Rows of each segment."""
        return [slice(int(a), int(b)) for a, b in zip(self.rows[:-1], self.rows[1:], strict=True)]

    def of_rows(self) -> Ints:
        """Segment of each row, (N,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.rows))


def cut(frame: Ints, segments: int, fewest: int) -> Segments:
    """Cut the frames from the first to the last localization into equal parts.

    A part with fewer than `fewest` localizations is joined to the next one (the last one to the
    one before), so that there is something to measure in each.

    Parameters
    ----------
    frame : ndarray of int, (N,)
        Frames in rising order.
    segments : int
        Parts to begin with.
    fewest : int
        Localizations a part must have.

    Raises
    ------
    ValueError
        If not even two parts are left.
    """
    if len(frame) < 2 * fewest or frame[0] == frame[-1]:
        frames = len(np.unique(frame))
        raise ValueError(
            f"drift needs at least {2 * fewest} localizations in two or more frames, got "
            f"{len(frame)} in {frames}; take a longer movie or another method"
        )
    first, last = int(frame[0]), int(frame[-1])
    edges = np.linspace(first, last + 1, min(segments, last + 1 - first) + 1).round()
    ends = np.searchsorted(frame, edges)
    rows = [0]
    for end in ends[1:]:
        if end - rows[-1] >= fewest:
            rows.append(int(end))
    rows[-1] = len(frame)
    bounds = np.array(rows, dtype=np.int64)
    total = np.concatenate([[0], np.cumsum(frame)])
    time = (total[bounds[1:]] - total[bounds[:-1]]) / np.diff(bounds)
    if len(time) < 2:
        raise ValueError(
            f"drift needs two segments of at least {fewest} localizations; nearly all of the "
            f"{len(frame)} lie in one part of the movie, so nothing can be compared"
        )
    return Segments(bounds, time, (first, last))


def cut_by_rows(frame: Ints, segments: int | None, enough: int, most: int, fewest: int) -> Segments:
    """Cut as `cut` does, into parts of about `enough` localizations unless `segments` says more.

    Parameters
    ----------
    frame, fewest
        As there.
    segments : int, optional
        Parts to begin with; default: as many as have `enough` rows, 10 to `most`.
    enough, most : int
        Localizations that a part should have; parts there are at most.
    """
    return cut(frame, segments or int(np.clip(len(frame) // enough, 10, most)), fewest)


def to_frames(values: Array, segments: Segments, n_frames: int) -> Array:
    """Values of every frame from those of segments, by a cubic spline.

    Before the first and after the last localization the drift stands still; from there to the
    middle of the outermost segments it goes on straight. With enough segments the spline is a
    smoothing one, so that the noise of the segments does not become drift.

    Parameters
    ----------
    values : ndarray, (S, A)
        One row a segment, in any unit.
    segments : Segments
        When they were.
    n_frames : int
        Frames asked for.

    Returns
    -------
    ndarray, (n_frames, A)
        0 in the first frame with a localization, and before.
    """
    t = segments.time
    asked = np.clip(np.arange(n_frames), *segments.span).astype(np.float64)
    inside = np.clip(asked, t[0], t[-1])
    if len(t) >= FEWEST_FOR_SMOOTHING:
        values = smoothed(t, values)
    spline = CubicSpline(t, values, bc_type="natural")
    result = spline(inside) + spline(inside, 1) * (asked - inside)[:, None]
    return np.asarray(result - result[segments.span[0]])


def smoothed(t: Array, values: Array) -> Array:
    """Values (S, A) of the cubic smoothing spline at its knots `t` (S,).

    How stiff it is, generalized cross-validation decides for each column (Craven and Wahba 1979,
    Numerische Mathematik 31:377), on a grid of stiffness: its minimum over all is often one of a
    straight line through a few points. The matrices are those of Reinsch (1967, Numerische
    Mathematik 10:177); in the eigenvectors of their product each stiffness is one division.
    """
    n = len(t)
    step = np.diff(t) * (n - 1) / (t[-1] - t[0])  # in mean distances of segments
    inner = np.arange(n - 2)
    bend = np.zeros((n, n - 2))
    bend[inner, inner] = 1 / step[:-1]
    bend[inner + 1, inner] = -1 / step[:-1] - 1 / step[1:]
    bend[inner + 2, inner] = 1 / step[1:]
    mass = np.diag((step[:-1] + step[1:]) / 3)
    mass += np.diag(step[1:-1] / 6, 1) + np.diag(step[1:-1] / 6, -1)
    size, vectors = np.linalg.eigh(bend @ np.linalg.solve(mass, bend.T))
    kept = 1 / (1 + STIFFNESS[:, None] * np.clip(size, 0, None))  # (stiffnesses, S)
    parts = vectors.T @ values
    lost = (1 - kept) ** 2 @ parts**2  # (stiffnesses, A)
    score = lost / (n - kept.sum(axis=1))[:, None] ** 2
    return np.asarray(vectors @ (kept[np.argmin(score, axis=0)].T * parts))
