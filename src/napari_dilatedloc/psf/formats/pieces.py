"""Splines written as cubic pieces: values on the knots, and back.

A piece is the polynomial of one voxel, ``f = sum c[pz, py, px] tz^pz ty^py tx^px`` with t from 0 to
1 between two neighbouring knots. N knots have N - 1 pieces along each axis. An interpolating spline
is known by its knots, so reading a file means to take those and to let our own spline go through.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift

from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.spline import MARGIN, SplinePSF, spline_from_volume

Array = NDArray[np.float64]
SMALLEST_SIDE = 7 + 2 * MARGIN
"""Knots along y and x of the smallest PSF."""

_log = logging.getLogger(__name__)

_MONOMIALS = np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6
"""Powers of t (rows) of a cubic B-spline from its 4 coefficients around a piece (columns)."""


def knots_of(pieces: Array) -> Array:
    """Values on the knots of cubic pieces.

    Parameters
    ----------
    pieces : ndarray
        (Z, Y, X, 4, 4, 4): piece by place, then powers of tz, ty, tx.

    Returns
    -------
    ndarray
        (Z + 1, Y + 1, X + 1). A knot is read where its piece begins; the last knot of an axis,
        where no piece begins, at the end of the last one.
    """
    values = pieces
    for axis in range(3):
        front = np.moveaxis(values, (axis, 3), (0, 1))  # the power is always the 4th axis
        ends = np.concatenate([front[:, 0], front[-1:].sum(axis=1)])
        values = np.moveaxis(ends, 0, axis)
    return values


def pieces_of(coefficients: Array) -> Array:
    """Cubic pieces (Z - 1, Y - 1, X - 1, 4, 4, 4) of B-spline coefficients (Z, Y, X).

    Beyond the border the coefficients continue as mirror images, as scipy's mode "mirror".
    """
    values = coefficients
    for axis in range(3):
        front = np.moveaxis(values, axis, 0)
        around = np.concatenate([front[1:2], front, front[-2:-1]])
        count = len(front) - 1
        taps = np.stack([around[tap : tap + count] for tap in range(4)])
        powers = np.tensordot(_MONOMIALS, taps, axes=(1, 0))  # (4, count, ...)
        values = np.moveaxis(powers, (1, 0), (axis, values.ndim))
    return values


def psf_of_knots(
    values: Array,
    *,
    centre: tuple[float, float],
    pixel_size_nm: float,
    z_zero: float,
    z_step_nm: float,
    z_sign: int,
) -> SplinePSF:
    """Spline PSF through a volume whose emitter is at `centre`.

    Parameters
    ----------
    values : ndarray
        (Z, Y, X) pixel-integrated images, one knot per pixel and slice.
    centre : tuple of float
        (y, x) of the emitter, knots from 0.
    pixel_size_nm : float
        Camera pixel, nm.
    z_zero : float
        Slice of z = 0, from 0.
    z_step_nm : float
        Distance of slices, nm.
    z_sign : int
        1 if z grows with the slices, -1 if it falls.

    Returns
    -------
    SplinePSF
        Its ROI is the largest odd square round the emitter, less two pixels on each side that the
        spline needs around it. The scale of the values is kept if about one photon (0.5 to 1.5) is
        seen at z = 0; else they are divided by what is seen there.
    """
    checked = _finite(values)
    total = _photons(checked, z_zero)
    if not 0.5 < total < 1.5:
        _log.info("the PSF holds %.3g photons at z = 0; scaled to 1", total)
        checked = checked / total
    cut = _around(checked, centre)
    if z_sign < 0:
        cut, z_zero = cut[::-1], len(cut) - 1 - z_zero
    return spline_from_volume(
        cut, pixel_size_nm=pixel_size_nm, z_min_nm=-z_zero * z_step_nm, z_step_nm=z_step_nm
    )


def _finite(values: Array) -> Array:
    if values.ndim != 3 or len(values) < 2 or not np.isfinite(values).all():
        raise PSFFileError(
            f"expected a finite (Z, Y, X) volume of 2 or more slices, got shape {values.shape}"
            f"{'' if np.isfinite(values).all() else ' with NaN in it'}; calibrate again"
        )
    return values


def _photons(values: Array, z_zero: float) -> float:
    """Sum of a slice at z = 0, mean of it and its two neighbours as SMAP does."""
    middle = int(np.clip(round(z_zero), 0, len(values) - 1))
    near = values[max(0, middle - 1) : middle + 2]
    total = float(near.sum(axis=(1, 2)).mean())
    if total <= 0:
        raise PSFFileError(
            f"expected light in the PSF at z = 0, got a sum of {total:.3g}; calibrate again"
        )
    return total


def _around(values: Array, centre: tuple[float, float]) -> Array:
    """Largest odd square with the emitter in its middle."""
    y, x = round(centre[0]), round(centre[1])
    fraction = (y - centre[0], x - centre[1])
    if max(abs(fraction[0]), abs(fraction[1])) > 1e-6:
        values = shift(values, (0, *fraction), order=3, mode="mirror")
    half = min(y, x, values.shape[1] - 1 - y, values.shape[2] - 1 - x)
    if 2 * half + 1 < SMALLEST_SIDE:
        raise PSFFileError(
            f"expected at least {SMALLEST_SIDE} px round the emitter at {centre}, got a PSF of "
            f"{values.shape[1]} x {values.shape[2]} px; calibrate with a larger ROI"
        )
    return values[:, y - half : y + half + 1, x - half : x + half + 1]


def choose_pixel_size(given: float | None, found: float | None, path: object) -> float:
    """Pixel size of the caller, else the file's, nm."""
    pixel_size = given if given is not None else found
    if pixel_size is None:
        raise PSFFileError(
            f"{path} does not say how large a camera pixel is; give pixel_size_nm "
            "(dilatedloc convert-psf FILE psf.h5 --pixel-size-nm 100)"
        )
    if not pixel_size > 0:
        raise PSFFileError(f"pixel_size_nm must be positive, got {pixel_size}; correct it")
    return float(pixel_size)


def sign_of(z_direction: str) -> int:
    """1 for "up", -1 for "down"."""
    if z_direction not in ("up", "down"):
        raise PSFFileError(f"z_direction must be up or down, got {z_direction!r}; correct it")
    return 1 if z_direction == "up" else -1
