"""Fits of beads to their average, and the average of fitted beads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.psf.beads import crop
from napari_dilatedloc.psf.tick import Tick
from napari_dilatedloc.psf.volume import (
    Registration,
    Shift,
    coefficients_of,
    read_shifted,
    register,
)

Array = NDArray[np.float64]
SEARCH_Z = 0.35
"""Part of the stack's length over which beads may differ in height."""
CANDIDATES = 3
"""Beads tried as the first model; the one most others resemble is taken."""


class NoRoomError(ValueError):
    """No bead has room for the ROI; a smaller one may do."""


@dataclass(frozen=True)
class BeadFit:
    """Where a bead is and how it compares with the model.

    ``stack(p) = amplitude * model(p - (z, y, x)) + bg``; z in slices, y and x in px of the stack.
    `field_bg` is the background seen around the bead, `number` its place in the list of beads,
    `stack` the stack it lies in; `barred` says why it must stay out of the average.
    """

    number: int
    stack: int
    z: float
    y: float
    x: float
    amplitude: float
    bg: float
    field_bg: float
    correlation: float = 1.0
    kept: bool = True
    barred: str = ""

    def moved(self, z: float, y: float, x: float) -> BeadFit:
        """Shift in slices and px."""
        return replace(self, z=self.z + z, y=self.y + y, x=self.x + x)

    def judge(self, min_correlation: float) -> BeadFit:
        """Keep or reject by the correlation."""
        good = self.correlation >= min_correlation and self.amplitude > 0
        return replace(self, kept=good and not self.barred)

    def bar(self, reason: str) -> BeadFit:
        """Keep it out of the average from now on."""
        return replace(self, kept=False, barred=reason)

    def reason(self, min_correlation: float) -> str:
        """Why the bead is not used; empty if it is."""
        if self.kept or self.barred:
            return self.barred
        if self.correlation <= -1:
            return "could not be aligned with the others"
        return f"correlation {self.correlation:.3f} with the average is below {min_correlation}"

    @property
    def offset(self) -> tuple[float, float]:
        """Distance (y, x) of the bead from the nearest pixel, px."""
        return self.y - round(self.y), self.x - round(self.x)


@dataclass(frozen=True)
class Average:
    """Average spot.

    Attributes
    ----------
    volume : ndarray
        (Z', S, S) background-free images with the emitter at the centre pixel.
    first : int
        Slice of the stack that is the volume's first one.
    n_slices : int
        Slices of the (longest) stack.
    residual : float
        Root mean square of bead minus average, relative to the peak.
    """

    volume: Array
    first: int
    n_slices: int
    residual: float


def first_fits(
    stacks: Sequence[Array], fits: Sequence[BeadFit], roi_size: int, tick: Tick
) -> list[BeadFit]:
    """Register all beads to the one that the others resemble most."""
    if len(fits) == 1:
        return list(fits)
    best: list[BeadFit] = []
    best_score = -np.inf
    for candidate in fits[:CANDIDATES]:
        cut = crop(stacks[candidate.stack], candidate.y, candidate.x, roi_size)
        if cut is None:
            continue
        model = coefficients_of(cut - candidate.field_bg)
        dy, dx = candidate.offset
        fitted = [
            _fit(stacks, fit, model, -candidate.z, (dy, dx), roi_size, SEARCH_Z, tick)
            for fit in fits
        ]
        score = float(np.median([fit.correlation for fit in fitted]))
        if score > best_score:
            best, best_score = fitted, score
    return best


def fit_all(
    stacks: Sequence[Array], fits: Sequence[BeadFit], model: Average, roi_size: int, tick: Tick
) -> list[BeadFit]:
    """Register all beads, also those rejected so far, to the average."""
    coefficients = coefficients_of(model.volume)
    return [
        _fit(stacks, fit, coefficients, model.first, (0.0, 0.0), roi_size, 0.0, tick)
        for fit in fits
    ]


def _fit(
    stacks: Sequence[Array],
    fit: BeadFit,
    model: Array,
    first: float,
    centre: tuple[float, float],
    roi_size: int,
    search: float,
    tick: Tick,
) -> BeadFit:
    """Register one bead; the model's emitter is at its centre pixel plus `centre`."""
    tick()
    cut = crop(stacks[fit.stack], fit.y, fit.x, roi_size)
    if cut is None:
        return replace(fit, correlation=-1.0)
    dy, dx = fit.offset
    start = Shift(fit.z + first, dy - centre[0], dx - centre[1])
    found: Registration = register(cut, model, start, search_z=search * len(cut))
    row, column = round(fit.y), round(fit.x)
    return replace(
        fit,
        z=found.shift.z - first,
        y=row + found.shift.y + centre[0],
        x=column + found.shift.x + centre[1],
        amplitude=found.amplitude,
        bg=found.bg,
        correlation=found.correlation,
    )


def average(stacks: Sequence[Array], fits: Sequence[BeadFit], roi_size: int) -> Average:
    """Mean of the kept beads, each moved to the centre pixel, scaled and freed of background.

    Beads weigh by their amplitude, as photon noise wants. Slices that fewer than half of the beads
    have are dropped. Backgrounds of single beads are only known relative to the model; the median
    of what is seen around the beads fixes their common level.
    """
    cuts = ((fit, crop(stacks[fit.stack], fit.y, fit.x, roi_size)) for fit in fits if fit.kept)
    kept = [(fit, cut) for fit, cut in cuts if cut is not None]
    if not kept:
        raise NoRoomError(
            f"expected a bead {roi_size // 2 + 2} px away from the border once centred, got none; "
            "choose a smaller roi_size"
        )
    n_slices = max(len(stack) for stack in stacks)
    level = float(np.median([(fit.bg - fit.field_bg) / fit.amplitude for fit, _ in kept]))
    moved = []
    masks = []
    for fit, cut in kept:
        places = np.arange(n_slices) + fit.z
        masks.append((places >= -0.5) & (places <= len(cut) - 0.5))
        spline = coefficients_of((cut - fit.bg) / fit.amplitude + level)
        dy, dx = fit.offset
        slices = np.clip(np.arange(n_slices, dtype=float), -0.5 - fit.z, len(cut) - 0.5 - fit.z)
        moved.append(read_shifted(spline, Shift(-fit.z, -dy, -dx), slices))
    covered = np.mean(masks, axis=0) >= 0.5
    first, last = int(np.argmax(covered)), n_slices - 1 - int(np.argmax(covered[::-1]))
    weights = np.array([fit.amplitude for fit, _ in kept])[:, None] * np.array(masks)  # (beads, Z)
    weights = weights[:, first : last + 1] / weights[:, first : last + 1].sum(axis=0)
    images = np.stack(moved)[:, first : last + 1]  # (beads, Z', S, S)
    mean = np.einsum("bz,bzyx->zyx", weights, images)
    squares = np.einsum("bz,bzyx->zyx", weights, (images - mean) ** 2)
    residual = float(np.sqrt(squares.mean())) / max(float(mean.max()), 1e-300)
    return Average(mean, first, n_slices, residual)
