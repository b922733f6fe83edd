"""Bead volumes as cubic splines: reading them at shifted places, and registering one to another.

A shift is the same for every voxel, so a volume is read along one axis after the other with a small
matrix of spline weights; its derivatives need only the derivative's weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter
from scipy.sparse import csr_array

Array = NDArray[np.float64]
STEPS = 30
"""Most Gauss-Newton steps of one registration."""


class Shift(NamedTuple):
    """Where a bead lies relative to a model, in voxels."""

    z: float
    y: float
    x: float


@dataclass(frozen=True)
class Registration:
    """A bead expressed by a model: ``bead(p) = amplitude * model(p - shift) + bg``.

    Attributes
    ----------
    shift : Shift
        (z, y, x) in voxels.
    amplitude, bg : float
        Scale and offset, in the bead's unit.
    correlation : float
        Pearson correlation of the bead with the shifted model over the slices both have.
    """

    shift: Shift
    amplitude: float
    bg: float
    correlation: float


def coefficients_of(volume: Array) -> Array:
    """Cubic B-spline coefficients of a volume, mirrored about its first and last voxels."""
    return np.asarray(spline_filter(volume, order=3, output=np.float64, mode="mirror"))


def spline_matrix(n_knots: int, places: Array, derivative: bool = False) -> Array:
    """Weights (P, n_knots) that read a cubic spline, or its derivative, at P places.

    Places lie within [-0.5, n_knots - 0.5]; knots outside are mirror images.
    """
    first = np.floor(places).astype(int)
    fraction = places - first
    weights = np.zeros((len(places), n_knots))
    rows = np.arange(len(places))
    for tap in range(-1, 3):
        distance = fraction - tap
        knot = np.abs(first + tap)
        knot = np.clip((n_knots - 1) - np.abs(n_knots - 1 - knot), 0, n_knots - 1)
        np.add.at(weights, (rows, knot), _bspline(distance, derivative))
    return weights


def _bspline(distance: Array, derivative: bool) -> Array:
    size = np.abs(distance)
    outer, inner = np.clip(2 - size, 0, None), np.clip(1 - size, 0, None)
    if derivative:
        return np.asarray(-np.sign(distance) * (outer**2 - 4 * inner**2) / 2)
    return np.asarray((outer**3 - 4 * inner**3) / 6)


def read_axis(volume: Array, matrix: Array, axis: int) -> Array:
    """Apply a weight matrix (P, n) along one axis of a volume.

    A row has four weights, so this is a sparse product. Dense products of such small matrices took
    25 times as long on a busy machine, where the threads of BLAS wait for each other.
    """
    front = np.ascontiguousarray(np.moveaxis(volume, axis, 0))
    product = csr_array(matrix) @ front.reshape(len(front), -1)
    return np.moveaxis(np.asarray(product).reshape(len(matrix), *front.shape[1:]), 0, axis)


def read_shifted(coefficients: Array, shift: Shift, slices: Array) -> Array:
    """Volume moved by `shift` (z, y, x voxels), read at given slices: value(p - shift)."""
    _, height, width = coefficients.shape
    planes = read_axis(coefficients, spline_matrix(len(coefficients), slices - shift.z), 0)
    rows = read_axis(planes, spline_matrix(height, np.arange(height, dtype=float) - shift.y), 1)
    return read_axis(rows, spline_matrix(width, np.arange(width, dtype=float) - shift.x), 2)


def read_slopes(
    coefficients: Array, shift: Shift, slices: NDArray[np.int64]
) -> tuple[Array, Array, Array, Array]:
    """Moved volume as `read_shifted` gives it, and its slopes along z, y and x per voxel."""
    pixels = np.arange(coefficients.shape[1], dtype=np.float64)
    places: list[Array] = [slices.astype(np.float64) - shift.z, pixels - shift.y, pixels - shift.x]
    z, y, x = (spline_matrix(n, p) for n, p in zip(coefficients.shape, places, strict=True))
    along_z, along_y, along_x = (
        spline_matrix(n, p, derivative=True)
        for n, p in zip(coefficients.shape, places, strict=True)
    )
    planes = read_axis(coefficients, z, 0)
    rows = read_axis(planes, y, 1)
    return (
        read_axis(rows, x, 2),
        read_axis(read_axis(read_axis(coefficients, along_z, 0), y, 1), x, 2),
        read_axis(read_axis(planes, along_y, 1), x, 2),
        read_axis(rows, along_x, 2),
    )


def common_slices(n_model: int, n_bead: int, shift_z: float) -> NDArray[np.int64]:
    """Slices of a bead that a model moved by `shift_z` covers."""
    slices = np.arange(n_bead)
    inside = (slices - shift_z >= -1e-6) & (slices - shift_z <= n_model - 1 + 1e-6)
    return slices[inside]


def register(bead: Array, model: Array, start: Shift, search_z: float = 0.0) -> Registration:
    """Find shift, amplitude and bg of a bead by least squares (Gauss-Newton).

    Parameters
    ----------
    bead : ndarray
        (Z, S, S) crop.
    model : ndarray
        Spline coefficients (Z', S, S) of the model.
    start : Shift
        First guess, voxels.
    search_z : float
        Shifts in z within this of the guess are tried first, voxels; 0 trusts the guess.
    """
    shift = start
    if search_z > 0:
        step = max(1.0, search_z / 20)
        every = max(1, len(bead) // 30)  # a part of the slices is enough for a guess
        offsets = np.arange(-np.floor(search_z / step), np.floor(search_z / step) + 1) * step
        tried = [start._replace(z=start.z + offset) for offset in offsets]
        shift = max(tried, key=lambda guess: _match(bead, model, guess, every).correlation)
    limits = np.array([max(1.0, 0.02 * len(bead)), 0.5, 0.5])
    for _ in range(STEPS):
        step_zyx = np.clip(_step(bead, model, shift), -limits, limits)
        shift = Shift(*(np.array(shift) + step_zyx).tolist())
        too_far = max(abs(shift.y), abs(shift.x)) > bead.shape[1] / 4
        if too_far or np.abs(step_zyx).max() < 1e-3 or abs(shift.z - start.z) > len(bead) / 2:
            break
    return _match(bead, model, shift)


def _match(bead: Array, model: Array, shift: Shift, every: int = 1) -> Registration:
    """Amplitude and bg at a given shift (linear least squares)."""
    slices = common_slices(len(model), len(bead), shift.z)
    if len(slices) < max(2, len(bead) // 4):
        return Registration(shift, 0.0, float(np.median(bead)), -1.0)
    slices = slices[::every]
    moved = read_shifted(model, shift, slices.astype(float))
    part = bead[slices]
    model_c, part_c = moved - moved.mean(), part - part.mean()
    power = float((model_c**2).sum())
    product = float((model_c * part_c).sum())
    total = float((part_c**2).sum())
    if power <= 0 or total <= 0:
        return Registration(shift, 0.0, float(part.mean()), -1.0)
    amplitude = product / power
    bg = float(part.mean() - amplitude * moved.mean())
    return Registration(shift, amplitude, bg, product / float(np.sqrt(power * total)))


def _step(bead: Array, model: Array, shift: Shift) -> Array:
    """Gauss-Newton step of the shift (z, y, x) with amplitude and bg fitted along."""
    slices = common_slices(len(model), len(bead), shift.z)
    if len(slices) < max(2, len(bead) // 4):
        return np.zeros(3)
    moved, slope_z, slope_y, slope_x = read_slopes(model, shift, slices)
    columns = (moved, np.ones_like(moved), -slope_z, -slope_y, -slope_x)
    design = np.stack([column.ravel() for column in columns])
    normal = np.einsum("iv,jv->ij", design, design)  # no BLAS: see read_axis
    product = np.einsum("iv,v->i", design, bead[slices].ravel())
    solution = np.linalg.lstsq(normal, product, rcond=1e-12)[0]
    amplitude = solution[0]
    return np.asarray(solution[2:] / amplitude) if amplitude > 0 else np.zeros(3)
