"""Has the specimen moved: the first half of a movie against the second."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_dilatedloc.analysis.frc import (
    MIN_SIDE,
    densest_square,
    frame_blocks,
    located,
    random_half,
)
from napari_dilatedloc.render import auto_pixel_nm, histogram
from napari_dilatedloc.table import Localizations

MAX_SIDE = 1024  # pixels of an image
MAX_SHIFT_NM = 500.0
MIN_ROWS = 1000
BLUR = 1.5  # pixels: makes the peak wide enough for its top to be interpolated
REPEATS = 4
DOUBT = 3.0  # uncertainties
MOST_GAP = 10  # frames


@dataclass(frozen=True)
class HalfShift:
    """By how much the second half of the movie lies beside the first.

    Attributes
    ----------
    y_nm, x_nm : float
        Shift, nm.
    noise_y_nm, noise_x_nm : float
        What the same measure gives for halves mixed at random: its uncertainty. Along filaments
        that all run one way it is far larger than across them.
    """

    y_nm: float
    x_nm: float
    noise_y_nm: float
    noise_x_nm: float

    @property
    def distance_nm(self) -> float:
        """Length of the shift."""
        return math.hypot(self.y_nm, self.x_nm)

    @property
    def sure_nm(self) -> float:
        """Length of the shift along those axes where it is beyond doubt, nm."""
        pairs = (self.y_nm, self.noise_y_nm), (self.x_nm, self.noise_x_nm)
        return math.hypot(*(shift for shift, noise in pairs if abs(shift) > DOUBT * noise))


def half_shift(table: Localizations, pixel_size_nm: float, *, seed: int = 0) -> HalfShift:
    """Shift between the halves of a movie, by the peak of their cross-correlation.

    A steady drift over the movie is twice as long as this shift.

    Parameters
    ----------
    table : Localizations
        At least `MIN_ROWS` rows over several frames.
    pixel_size_nm : float
        Camera pixel, nm.
    seed : int
        Of the random halves that tell the uncertainty.

    Raises
    ------
    ValueError
        There are too few localizations or frames.
    """
    table = located(table)
    middle = np.median(table.frame) if len(table) else 0
    late = table.frame > middle
    if len(table) < MIN_ROWS or not late.any():
        raise ValueError(
            f"halves of the movie need {MIN_ROWS} localizations over several frames to be "
            f"compared, got {len(table)}; localize more frames"
        )
    pixel_nm = max(5.0, 2 * auto_pixel_nm(table, pixel_size_nm))
    corner, side = densest_square(table, MAX_SIDE * pixel_nm / pixel_size_nm)
    if side * pixel_size_nm < MIN_SIDE * pixel_nm:
        raise ValueError(
            f"halves of the movie need a field of {MIN_SIDE} image pixels of {pixel_nm:.1f} nm to "
            f"be compared, got {side * pixel_size_nm:.1f} nm; take a larger region"
        )

    def shift(second: NDArray[np.bool_], first: NDArray[np.bool_]) -> tuple[float, float]:
        one, other = (
            gaussian_filter(
                histogram(table[rows], (side, side), pixel_size_nm / pixel_nm, corner=corner), BLUR
            )
            for rows in (first, second)
        )
        y, x = _peak(one, other, max(3, int(MAX_SHIFT_NM / pixel_nm)))
        return y * pixel_nm, x * pixel_nm

    rng = np.random.default_rng(seed)
    blocks = frame_blocks(table.frame)
    inside = inside_blocks(table.frame, blocks)
    mixed = []
    for _ in range(REPEATS):
        half = random_half(blocks, rng)
        mixed.append(shift(half & inside, ~half & inside))
    y, x = shift(late, ~late)
    noise_y, noise_x = np.sqrt(np.mean(np.square(mixed), axis=0))
    return HalfShift(y, x, float(noise_y), float(noise_x))


def inside_blocks(frame: NDArray[np.int32], blocks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows far from the borders of their blocks, (N,).

    A molecule that is on over a border would be in both halves, and a few of them are enough to pin
    the peak to no shift at all, however little the structure tells.
    """
    first = np.full(int(blocks.max()) + 1, np.iinfo(np.int64).max)
    last = np.full(len(first), -1)
    np.minimum.at(first, blocks, frame)
    np.maximum.at(last, blocks, frame)
    gap = np.minimum(MOST_GAP, (last - first + 1) // 6)[blocks]
    inside: NDArray[np.bool_] = (frame - first[blocks] >= gap) & (last[blocks] - frame >= gap)
    return inside


def _peak(one: NDArray[np.float32], other: NDArray[np.float32], reach: int) -> tuple[float, float]:
    """Shift (y, x) of the second image against the first, pixels."""
    shape = [2 * side for side in one.shape]  # zeros around: nothing wraps into the search
    a, b = (np.fft.rfft2(image - image.mean(), s=shape) for image in (one, other))
    correlation = np.fft.irfft2(np.conj(a) * b, s=shape)
    reach = min(reach, one.shape[0] - 2, one.shape[1] - 2)
    near = np.roll(correlation, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    i, j = (int(k) for k in np.unravel_index(int(near.argmax()), near.shape))
    return (
        i - reach + _vertex(near[:, j], i),
        j - reach + _vertex(near[i], j),
    )


def _vertex(profile: NDArray[np.float64], top: int) -> float:
    """Where the parabola through the highest value and its neighbours has its vertex."""
    if not 0 < top < len(profile) - 1:
        return 0.0
    before, at, after = (float(value) for value in profile[top - 1 : top + 2])
    bend = before - 2 * at + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
