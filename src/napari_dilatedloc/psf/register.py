"""From places of beads to their common average: first guesses, registration, outliers, centring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from napari_dilatedloc.psf.average import (
    Average,
    BeadFit,
    NoRoomError,
    average,
    first_fits,
    fit_all,
)
from napari_dilatedloc.psf.bead_stack import BeadStack
from napari_dilatedloc.psf.beads import (
    Bead,
    background,
    centroid,
    check_places,
    crop,
    find_beads,
    find_dim,
)
from napari_dilatedloc.psf.outliers import Limits, outliers
from napari_dilatedloc.psf.tick import Tick

Array = NDArray[np.float64]
Place = tuple[float, float]
ROUNDS = 4
NEAR_CENTRE_NM = 100.0
"""The spot's centre is its centroid over this distance from z = 0."""


@dataclass(frozen=True)
class Found:
    """Beads of all stacks before any fit.

    Attributes
    ----------
    places : tuple
        Places (y, x) of each stack that count as neighbours.
    beads : tuple of Bead
        All beads; those that cannot be used say why.
    known : tuple of (y, x) or None
        Given place of each bead; None where they were searched for.
    """

    places: tuple[tuple[Place, ...], ...]
    beads: tuple[Bead, ...]
    known: tuple[Place, ...] | None


def find(
    stacks: Sequence[BeadStack],
    positions: Sequence[Sequence[Place]] | None,
    roi_size: int,
    threshold: float,
) -> Found:
    """Places of beads, searched for or given, and whether each has room, company or clipping."""
    places: list[tuple[Place, ...]] = []
    beads: list[Bead] = []
    for number, stack in enumerate(stacks):
        images = stack.images
        here = find_beads(images, roi_size, threshold) if positions is None else positions[number]
        places.append(tuple((float(y), float(x)) for y, x in here))
        checked = check_places(places[-1], images.shape, roi_size)
        if positions is None:
            checked += [
                Bead(y, x).reject(f"too dim: {part:.0%} of the brightest bead")
                for y, x, part in find_dim(images, roi_size, threshold)
            ]
        for bead in checked:
            cut = crop(images, bead.y, bead.x, roi_size)
            clipped = 0 if cut is None else stack.saturated(cut)
            beads.append(replace(bead, stack=number, saturated=clipped))
    known = tuple(place for here in places for place in here) if positions is not None else None
    return Found(tuple(places), _without_saturated(beads), known)


def _without_saturated(beads: list[Bead]) -> tuple[Bead, ...]:
    """Reject clipped beads, unless there are no others."""
    if not any(bead.kept and not bead.saturated for bead in beads):
        return tuple(beads)
    return tuple(
        bead.reject(f"saturated: up to {bead.saturated} clipped pixels in a slice")
        if bead.kept and bead.saturated
        else bead
        for bead in beads
    )


def start(stacks: Sequence[BeadStack], found: Found, roi_size: int) -> list[BeadFit]:
    """First guess of each usable bead."""
    fits = []
    longest = max(len(stack.images) for stack in stacks)
    for number, bead in enumerate(found.beads):
        if not bead.kept:
            continue
        images = stacks[bead.stack].images
        y, x = bead.y, bead.x
        if found.known is None:
            y, x = _recentred(images, y, x, roi_size)
        bg = background(images, y, x, found.places[bead.stack], roi_size)
        z = (len(images) - longest) / 2
        fits.append(BeadFit(number, bead.stack, z, y, x, amplitude=1.0, bg=bg, field_bg=bg))
    if not fits:
        reasons = sorted({bead.reason for bead in found.beads}) or [
            "nothing stands out of the noise"
        ]
        kind = NoRoomError if any("border" in reason for reason in reasons) else ValueError
        raise kind(
            f"expected at least one usable bead, got none of {len(found.beads)} found "
            f"({'; '.join(reasons)}); record beads farther apart or choose a smaller roi_size"
        )
    return fits


def _recentred(images: Array, y: float, x: float, roi_size: int) -> Place:
    """Place at the centroid of the middle third of the stack, if the ROI has room there."""
    cut = crop(images, y, x, roi_size)
    if cut is None:
        return y, x
    third = len(images) // 3
    middle = cut[third : len(images) - third]
    row, column = centroid(middle.mean(axis=0) - np.median(middle))
    half = cut.shape[1] // 2
    moved = round(y) + row - half, round(x) + column - half
    return moved if crop(images, *moved, roi_size) is not None else (y, x)


def align(
    stacks: Sequence[BeadStack],
    fits: list[BeadFit],
    roi_size: int,
    limits: Limits,
    pixel_size_nm: float,
    tick: Tick,
) -> tuple[list[BeadFit], Average]:
    """Register beads to their average and average them anew, until no bead stands out."""
    images = [stack.images for stack in stacks]
    fits = first_fits(images, fits, roi_size, tick)
    typical = float(np.median([fit.correlation for fit in fits]))
    fits = [fit.judge(min(limits.correlation, typical)) for fit in fits]
    for _ in range(len(fits)):
        fits, model = _rounds(images, fits, roi_size, limits.correlation, tick)
        reasons = outliers(stacks, fits, model, roi_size, limits, pixel_size_nm)
        if not reasons:
            break
        fits = [fit.bar(reasons[fit.number]) if fit.number in reasons else fit for fit in fits]
    return fits, model


def _rounds(
    images: Sequence[Array],
    fits: list[BeadFit],
    roi_size: int,
    min_correlation: float,
    tick: Tick,
) -> tuple[list[BeadFit], Average]:
    """Fit and average in turn, a few times."""
    longest = max(len(stack) for stack in images)
    model = average(images, fits, roi_size)
    for _ in range(ROUNDS if len(fits) > 1 else 1):
        before = fits
        fitted = fit_all(images, fits, model, roi_size, tick)
        fits = [fit.judge(min_correlation) for fit in fitted]
        if not any(fit.kept for fit in fits):
            best = max(fit.correlation for fit in fits)
            raise ValueError(
                f"expected beads that resemble their average (correlation {min_correlation} or "
                f"more), got at most {best:.3f}; use brighter beads, remove clusters, or lower "
                "min_correlation"
            )
        heights = [fit.z - (len(images[fit.stack]) - longest) / 2 for fit in fits if fit.kept]
        fits = [fit.moved(-float(np.median(heights)), 0.0, 0.0) for fit in fits]
        model = average(images, fits, roi_size)
        if _settled(before, fits):
            break
    return fits, model


def _settled(before: Sequence[BeadFit], after: Sequence[BeadFit]) -> bool:
    """Whether a round changed neither the choice of beads nor any place by 1/500 px or slice."""
    return all(
        a.kept == b.kept and max(abs(a.z - b.z), abs(a.y - b.y), abs(a.x - b.x)) < 2e-3
        for a, b in zip(before, after, strict=True)
        if a.kept or b.kept
    )


def zero_slice(model: Average, z_zero: str) -> float:
    """Slice of the stack (fractional) that is z = 0."""
    if z_zero == "stack":
        return (model.n_slices - 1) / 2
    peaks = gaussian_filter1d(model.volume.max(axis=(1, 2)), 1.0, mode="nearest")
    best = int(np.argmax(peaks))
    if not 0 < best < len(peaks) - 1:
        return float(model.first + best)
    before, at, after = peaks[best - 1 : best + 2]
    return float(model.first + best + 0.5 * (before - after) / (before - 2 * at + after))


def near(model: Average, zero: float, z_step_nm: float, distance_nm: float) -> NDArray[np.bool_]:
    """Slices of the model near z = 0, at least the nearest one."""
    away = np.abs(np.arange(len(model.volume)) + model.first - zero) * z_step_nm
    return np.asarray(away <= max(distance_nm, float(away.min()) + 1e-6))


def centre(
    images: Sequence[Array],
    fits: list[BeadFit],
    roi_size: int,
    zero: float,
    z_step_nm: float,
    known: Sequence[Place] | None,
) -> tuple[list[BeadFit], Average]:
    """Move all beads alike so that the model's emitter is at its centre pixel.

    A lateral offset common to all z is a matter of choice: it moves every localization alike. The
    centroid near z = 0 keeps the spot in the middle of the ROI; for the real tetrapod it lies
    within half a pixel of the centre of light of the whole stack.
    """
    model = average(images, fits, roi_size)
    for _ in range(2):
        if known is None:
            image = model.volume[near(model, zero, z_step_nm, NEAR_CENTRE_NM)].mean(axis=0)
            row, column = centroid(image)
            half = image.shape[0] // 2
            dy, dx = row - half, column - half
        else:
            kept = [fit for fit in fits if fit.kept]
            dy = float(np.mean([known[fit.number][0] - fit.y for fit in kept]))
            dx = float(np.mean([known[fit.number][1] - fit.x for fit in kept]))
        fits = [fit.moved(0.0, dy, dx) for fit in fits]
        model = average(images, fits, roi_size)
    return fits, model
