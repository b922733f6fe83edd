"""How single beads differ from their average: size, drift, brightness, residual, lost light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.psf.average import Average, BeadFit
from napari_dilatedloc.psf.beads import NAN, crop
from napari_dilatedloc.psf.volume import (
    Shift,
    coefficients_of,
    common_slices,
    read_slopes,
)

Array = NDArray[np.float64]
CONTAINED = 0.97
"""A ROI is large enough when it holds this part of the light found in larger ones."""


@dataclass(frozen=True)
class Deviation:
    """What changes the average bead into this one, to first order.

    Attributes
    ----------
    size : float
        Relative width, 1 for alike.
    drift_y_px, drift_x_px : float
        Lateral movement from the first to the last slice (of growing z), px.
    drift_sigma_px : float
        Standard deviation of the larger one.
    fading : float
        Relative change of brightness from the first to the last slice.
    residual : float
        Root mean square of bead minus average, relative to the bead's peak, with only the bead's
        position, amplitude and background fitted.
    slices : ndarray
        (K,) slices of the average's grid that the bead has (fractional).
    slice_residual : ndarray
        (K,) as `residual`, per slice.
    """

    size: float
    drift_y_px: float
    drift_x_px: float
    drift_sigma_px: float
    fading: float
    residual: float
    slices: Array
    slice_residual: Array


def deviation(stacks: Sequence[Array], fit: BeadFit, model: Average, roi_size: int) -> Deviation:
    """Compare one fitted bead with the average.

    One linear least-squares fit of the bead's volume by the average, a constant, and the changes of
    the average under a shift in z, y and x, a scaling of its width (minus radius times slope), and
    shifts and amplitude that grow linearly from the first to the last slice.
    """
    cut = crop(stacks[fit.stack], fit.y, fit.x, roi_size)
    unknown = Deviation(NAN, NAN, NAN, NAN, NAN, NAN, np.zeros(0), np.zeros(0))
    if cut is None or fit.amplitude <= 0:
        return unknown
    dy, dx = fit.offset
    shift = Shift(fit.z + model.first, dy, dx)
    slices = common_slices(len(model.volume), len(cut), shift.z)
    if len(slices) < 2:
        return unknown
    moved, slope_z, slope_y, slope_x = read_slopes(coefficients_of(model.volume), shift, slices)
    data = cut[slices]
    off = (data - fit.amplitude * moved - fit.bg) / (fit.amplitude * model.volume.max())
    place = np.arange(cut.shape[1]) - cut.shape[1] // 2
    radial = (place - dy)[:, None] * slope_y + (place - dx) * slope_x
    time = (slices / (len(cut) - 1) - 0.5)[:, None, None]
    changes = (-slope_z, -slope_y, -slope_x, -radial, -time * slope_y, -time * slope_x)
    values, sigmas = _linear(data, (moved, np.ones_like(moved), *changes, time * moved))
    return Deviation(
        size=float(1 + values[5]),
        drift_y_px=float(values[6]),
        drift_x_px=float(values[7]),
        drift_sigma_px=float(max(sigmas[6:8])),
        fading=float(values[8]),
        residual=float(np.sqrt((off**2).mean())),
        slices=np.asarray(slices - fit.z, dtype=np.float64),
        slice_residual=np.sqrt((off**2).mean(axis=(1, 2))),
    )


def _linear(data: Array, columns: Sequence[Array]) -> tuple[Array, Array]:
    """Coefficients relative to the first one, and their standard deviations."""
    design = np.stack([column.ravel() for column in columns])
    normal = np.einsum("iv,jv->ij", design, design)  # no BLAS: see volume.read_axis
    product = np.einsum("iv,v->i", design, data.ravel())
    inverse = np.linalg.pinv(normal, rcond=1e-12)
    solution = inverse @ product
    rest = float((data**2).sum() - solution @ product)
    variance = max(rest, 0.0) / max(data.size - len(columns), 1)
    sigmas = np.sqrt(np.clip(variance * np.diag(inverse), 0, None))
    return solution / solution[0], sigmas / abs(solution[0])


@dataclass(frozen=True)
class LightLoss:
    """Light beyond the ROI at the two ends of the z range.

    Attributes
    ----------
    first, last : float
        Part of the light outside the ROI in the lowest and highest tenth of the slices.
    enough_px : int
        Smallest side that holds 97% at both ends; 0 where the surroundings cannot tell.
    largest_px : int
        Largest side looked at; `enough_px` may be this only because there was no more room.
    """

    first: float
    last: float
    enough_px: int
    largest_px: int


def lost_light(
    stacks: Sequence[Array],
    fits: Sequence[BeadFit],
    places: Sequence[Sequence[tuple[float, float]]],
    roi_size: int,
) -> LightLoss | None:
    """Light that a ROI misses, from larger squares around the kept beads; None without room.

    Parameters
    ----------
    stacks : sequence of ndarray
        (Z, Y, X) images, ADU.
    fits : sequence of BeadFit
        Beads to look at.
    places : sequence
        Places (y, x) of all beads of each stack; squares end halfway to the next one.
    roi_size : int
        Side of the model, px.
    """
    found = []
    for fit in fits:
        stack = stacks[fit.stack]
        side = min(_room(fit, stack.shape, places[fit.stack]), 3 * roi_size)
        if fit.kept and side >= roi_size + 4:
            found.append(_light_curve(stack, fit, roi_size, side))
    if not found:
        return None
    largest = max(loss.largest_px for loss in found)
    found = [loss for loss in found if loss.largest_px >= 0.8 * largest]
    return LightLoss(
        first=float(np.median([loss.first for loss in found])),
        last=float(np.median([loss.last for loss in found])),
        enough_px=max(loss.enough_px for loss in found),
        largest_px=largest,
    )


def _room(fit: BeadFit, shape: tuple[int, ...], places: Sequence[tuple[float, float]]) -> int:
    """Side of the largest square around a bead without border or half the way to another bead."""
    row, column = round(fit.y), round(fit.x)
    half = min(row, column, shape[1] - 1 - row, shape[2] - 1 - column)
    apart = [max(abs(fit.y - v), abs(fit.x - u)) for v, u in places]
    others = [distance for distance in apart if distance > 3]  # the bead itself is nearer
    return 2 * min([half, *(int(distance / 2) for distance in others)]) + 1


def _light_curve(stack: Array, fit: BeadFit, roi_size: int, side: int) -> LightLoss:
    """Light in squares of growing side, less what the rim of the largest one takes for dark."""
    half, row, column = side // 2, round(fit.y), round(fit.x)
    square = stack[:, row - half : row + half + 1, column - half : column + half + 1]
    tenth = max(1, len(square) // 10)
    grid = np.abs(np.mgrid[-half : half + 1, -half : half + 1]).max(axis=0)
    parts, enough = [], roi_size
    for image in (square[:tenth].mean(axis=0), square[-tenth:].mean(axis=0)):
        ring = np.bincount(grid.ravel(), weights=image.ravel() - fit.bg)
        light = np.cumsum(ring)
        if light[-1] <= 0:
            parts.append(NAN)
            continue
        parts.append(float(np.clip(1 - light[roi_size // 2] / light[-1], 0, 1)))
        enough = max(enough, 2 * int(np.argmax(light >= CONTAINED * light[-1])) + 1)
    return LightLoss(parts[0], parts[1], enough, side)
