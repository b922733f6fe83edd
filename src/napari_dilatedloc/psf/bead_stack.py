"""Bead stacks as they come in: checked, turned so that z grows, with their noise and ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
MIN_SLICES = 5
MIN_ROI = 7
TIES = 3
"""Pixels of one slice on the stack's largest value that betray a clipped camera."""


@dataclass(frozen=True)
class BeadStack:
    """One stack of beads through focus.

    Attributes
    ----------
    images : ndarray
        (Z, Y, X) ADU; the emitters' z grows with the slice.
    noise : float
        Standard deviation of one pixel without bead, ADU; 0 where the background was removed.
    ceiling : float
        ADU from which on a pixel counts as clipped; infinite where none is.
    """

    images: Array
    noise: float
    ceiling: float

    @property
    def background_removed(self) -> bool:
        """Whether most pixels hold one and the same value, as after a clipped subtraction."""
        return self.noise == 0

    def saturated(self, cut: Array) -> int:
        """Most clipped pixels in one slice of a crop (Z, S, S)."""
        return int((cut >= self.ceiling).sum(axis=(1, 2)).max())


def as_stacks(
    stack: ArrayLike | Sequence[ArrayLike], max_adu: float | None, falling: bool
) -> tuple[list[BeadStack], bool]:
    """One stack or several, checked; and whether several were given.

    Parameters
    ----------
    stack : array_like or sequence of array_like
        (Z, Y, X), or a list or tuple of such.
    max_adu : float, optional
        Largest value of the camera; default: seen from ties at the top, or the dtype's largest.
    falling : bool
        The emitter's z falls with the slice; stacks are turned.
    """
    several = isinstance(stack, list | tuple) and len(stack) > 0 and np.ndim(stack[0]) == 3
    found: Sequence[ArrayLike] = stack if several else [stack]  # type: ignore[assignment,list-item]
    ready = []
    for one in found:
        raw = _checked(np.asarray(one))
        images = raw.astype(np.float64)
        ready.append(
            BeadStack(images[::-1] if falling else images, _noise(images), _ceiling(raw, max_adu))
        )
    return ready, several


def _checked(raw: NDArray[np.generic]) -> NDArray[np.generic]:
    """Give it back, or one sentence on what is wrong."""
    if raw.ndim != 3 or not np.issubdtype(raw.dtype, np.number):
        raise ValueError(
            f"a bead stack must be numbers of shape (Z, Y, X), got {raw.dtype} of shape "
            f"{raw.shape}; pass one channel of one stack, or a list of stacks"
        )
    if np.iscomplexobj(raw) or not np.isfinite(raw).all():
        raise ValueError("a bead stack must hold finite real numbers, got others; repair the file")
    if len(raw) < MIN_SLICES or min(raw.shape[1:]) < MIN_ROI + 4:
        raise ValueError(
            f"a bead stack needs at least 5 slices of {MIN_ROI + 4} x {MIN_ROI + 4} px, "
            f"got {raw.shape}; record more"
        )
    return raw


def _noise(images: Array) -> float:
    """Standard deviation of a pixel outside the beads, ADU.

    From the median absolute second difference along x, which slow background does not touch.
    """
    second = images[:, :, 2:] - 2 * images[:, :, 1:-1] + images[:, :, :-2]
    return float(1.4826 * np.median(np.abs(second)) / np.sqrt(6))


def _ceiling(raw: NDArray[np.generic], max_adu: float | None) -> float:
    """Value from which on pixels are clipped.

    Photon noise does not put several pixels of a slice on the very same largest value. A single
    pixel may be there by a stretch of contrast, so the dtype's largest value needs two.
    """
    if max_adu is not None:
        return float(max_adu)
    top = float(raw.max())
    values = raw.astype(np.float64)
    ties = int((values == top).sum(axis=(1, 2)).max())
    at_dtype_end = np.issubdtype(raw.dtype, np.integer) and top == float(_largest(raw.dtype))
    flat = top == float(np.median(values))  # an empty stack: every pixel is the largest
    return top if not flat and ties >= (2 if at_dtype_end else TIES) else float("inf")


def _largest(dtype: np.dtype[np.generic]) -> int:
    return int(np.iinfo(dtype.name).max)
