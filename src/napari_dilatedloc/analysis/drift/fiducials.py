"""Drift from fiducials: beads that shine in nearly all frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.drift.aim import aim
from napari_dilatedloc.analysis.drift.segments import Positions, cut, to_frames

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST = 10
"""Localizations of all beads in a segment, at least."""

FRAMES_A_SEGMENT = 20
MOST_SEGMENTS = 400
ROUNDS = 50
FURTHEST_OUT = 4.0
"""Localizations of a bead further from its middle than so many standard deviations are others."""

WORST = 3.0
"""Beads that move against the others this much more than the middle one do are left out."""

LEAST_NM = 5.0
"""Movement against the others that no bead is left out for, nm."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Localizations of beads, in frame order.

    Attributes
    ----------
    bead : ndarray of int, (M,)
        Which.
    frame : ndarray of int, (M,)
        When.
    nm : ndarray, (M, 3)
        Where: x, y, z, a rough drift taken off.
    """

    bead: Ints
    frame: Ints
    nm: Array


def fiducials(
    positions: Positions,
    *,
    given_nm: Array | None,
    radius_nm: float,
    presence: float,
    aim_distance_nm: float,
    segments: int | None = None,
) -> tuple[Array, int]:
    """Measure drift by fiducials.

    A rough drift, by AIM over all localizations, keeps a bead in one place even if it moves further
    than its radius. What beads then still move is common to them; each has a place of its own, so
    that one which is missing for a while makes no step.

    Parameters
    ----------
    positions : Positions
        Localizations, those of beads among them.
    given_nm : ndarray, (B, 2), optional
        x, y of beads where they are on average; default: those found.
    radius_nm : float
        All localizations of a bead lie within this of its mean, drift taken off.
    presence : float
        Share of frames in which a bead must be found.
    aim_distance_nm : float
        For the rough drift.
    segments : int, optional
        Default: of 20 frames each, 400 at most.

    Returns
    -------
    drift : ndarray, (T, 3)
        x, y, z in nm, one row a frame.
    segments : int
        How many there were.

    Raises
    ------
    ValueError
        If there are no beads.
    """
    rough, _ = aim(positions, distance_nm=aim_distance_nm, rounds=1)
    rough -= rough.mean(axis=0)
    nm = positions.moved(rough)
    frames = len(np.unique(positions.frame))
    if given_nm is None:
        places = find(nm, positions.frame, radius_nm, presence * frames)
        if not len(places):
            raise ValueError(
                f"no fiducial found: nothing is localized in {presence:.0%} of the frames within "
                f"{radius_nm:g} nm; give their positions, a smaller presence, or use aim"
            )
    else:
        places = given_nm
    tracks = follow(nm, positions.frame, places, radius_nm)
    missing = np.setdiff1d(np.arange(len(places)), tracks.bead)
    if len(missing):
        x, y = places[missing[0]]
        raise ValueError(
            f"no localization within {radius_nm:g} nm of the fiducial at x {x:.0f}, y {y:.0f} nm; "
            "correct its position, (y, x) in px, or take a larger radius"
        )
    wanted = segments or int(np.clip(frames // FRAMES_A_SEGMENT, 2, MOST_SEGMENTS))
    parts = cut(tracks.frame, wanted, FEWEST)
    common = _common(tracks, parts.of_rows(), len(parts), len(places))
    drift = rough + to_frames(common, parts, positions.n_frames)
    return drift - drift[positions.frame[0]], len(parts)


def find(nm: Array, frame: Ints, radius_nm: float, fewest_frames: float) -> Array:
    """Places (B, 2) as x, y in nm that have localizations in at least so many frames.

    Cells of twice the radius are laid four times, shifted by half, so that a bead at the edge of
    one lies in the middle of another; those seen oftenest come first.
    """
    cell = 2 * radius_nm
    candidates: list[tuple[int, float, float]] = []
    for shift in ((0, 0), (0, 0.5), (0.5, 0), (0.5, 0.5)):
        key = np.floor(nm[:, :2] / cell + shift).astype(np.int64)
        key -= key.min(axis=0)
        place = key[:, 1] * (key[:, 0].max() + 1) + key[:, 0]
        once = np.unique(place * (frame[-1] + 1) + frame) // (frame[-1] + 1)
        seen, counts = np.unique(once, return_counts=True)
        for where in np.flatnonzero(counts >= fewest_frames):
            middle = np.median(nm[place == seen[where], :2], axis=0)
            candidates.append((int(counts[where]), float(middle[0]), float(middle[1])))
    beads: list[tuple[float, float]] = []
    for _, x, y in sorted(candidates, reverse=True):
        inside = np.hypot(nm[:, 0] - x, nm[:, 1] - y) < radius_nm
        often = len(np.unique(frame[inside])) >= fewest_frames
        if often and all(np.hypot(x - a, y - b) > radius_nm for a, b in beads):
            beads.append((x, y))
    return np.array(beads).reshape(-1, 2)


def follow(nm: Array, frame: Ints, places: Array, radius_nm: float) -> Tracks:
    """Localizations of beads at `places` (B, 2): in each frame the one nearest to the middle."""
    rows_of, bead_of = [], []
    for number, place in enumerate(places):
        inside = np.flatnonzero(np.hypot(*(nm[:, :2] - place).T) < radius_nm)
        if not len(inside):
            continue
        middle = np.median(nm[inside, :2], axis=0)
        off = np.hypot(*(nm[inside, :2] - middle).T)
        order = np.lexsort((off, frame[inside]))
        rows = inside[order]
        rows = rows[np.r_[True, np.diff(frame[rows]) > 0]]
        rows = rows[_inliers(nm[rows])]
        rows_of.append(rows)
        bead_of.append(np.full(len(rows), number))
    rows = np.concatenate(rows_of) if rows_of else np.zeros(0, dtype=np.int64)
    bead = np.concatenate(bead_of) if bead_of else np.zeros(0, dtype=np.int64)
    order = np.argsort(frame[rows], kind="stable")
    return Tracks(bead[order], frame[rows][order], nm[rows][order])


def _inliers(nm: Array) -> NDArray[np.bool_]:
    """Rows that lie near the middle, measured by the median distance from it."""
    off = np.abs(nm - np.median(nm, axis=0))
    sigma = np.median(off, axis=0) / 0.6745
    return np.asarray((off <= FURTHEST_OUT * np.maximum(sigma, 1e-9)).all(axis=1))


def _common(tracks: Tracks, segment: Ints, segments: int, beads: int) -> Array:
    """Movement all beads have in common, nm, (S, 3); a bead that moves otherwise is left out."""
    cell = segment * beads + tracks.bead
    counts: Array = np.bincount(cell, minlength=segments * beads).astype(np.float64)
    sums = np.stack([np.bincount(cell, column, segments * beads) for column in tracks.nm.T], 1)
    means = (sums / np.maximum(counts, 1)[:, None]).reshape(segments, beads, 3)
    counts = counts.reshape(segments, beads)
    kept = counts * _steady(np.where(counts[:, :, None] > 0, means, np.nan), counts)
    if (kept.sum(axis=1) == 0).any():  # a segment would have no bead
        kept = counts
    return _split(means, kept)


def _steady(means: Array, counts: Array) -> NDArray[np.bool_]:
    """Beads (B,) that move as the middle one does; means (S, B, 3) are NaN where there is none."""
    places = np.nanmedian(means, axis=0)
    off = means - places
    off = off - np.nanmedian(off, axis=1, keepdims=True)
    square = np.nansum(counts[:, :, None] * (off - np.nanmedian(off, axis=0)) ** 2, axis=0)
    rms = np.sqrt(square[:, :2].sum(axis=1) / np.maximum(counts.sum(axis=0), 1))
    return np.asarray(rms <= max(WORST * float(np.median(rms)), LEAST_NM))


def _split(means: Array, weight: Array) -> Array:
    """Movement (S, 3) that, with a place (B, 3) for each bead, fits the means (S, B, 3) best."""
    own = np.zeros(means.shape[1:])
    drift = np.zeros((len(means), 3))
    of_segment, of_bead = weight.sum(axis=1)[:, None], weight.sum(axis=0)[:, None]
    for _ in range(ROUNDS):
        drift = np.einsum("sb,sba->sa", weight, means - own) / np.maximum(of_segment, 1e-9)
        own = np.einsum("sb,sba->ba", weight, means - drift[:, None]) / np.maximum(of_bead, 1e-9)
    return drift
