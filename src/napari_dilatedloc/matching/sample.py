"""A part of a movie that is small enough to look at closely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_dilatedloc.camera import Camera

PIXELS = 1_500_000
"""Pixels times frames of a sample; a whole match takes about ten to twenty seconds on one core."""
RUN_FRAMES = 25
"""Consecutive frames, long enough to see molecules switch on and off."""
WINDOW_PX = 128
SMALLEST_PX = 16


@dataclass(frozen=True)
class MovieSample:
    """Runs of consecutive frames, each of one window of the chip.

    Attributes
    ----------
    adu : Tensor float32 (R, L, H, W)
        Camera counts of R runs of L frames.
    origin : Tensor int64 (R, 2)
        First pixel (y, x) of each window on the chip.
    first_frame : tuple of int
        First frame of each run.
    chip : Camera
        Of the whole frame.
    """

    adu: Tensor
    origin: Tensor
    first_frame: tuple[int, ...]
    chip: Camera

    @property
    def camera(self) -> Camera:
        """Camera of the windows; maps, where there are any, are (R, 1, H, W)."""
        return self.chip.at(self.origin, self.size)

    @property
    def photons(self) -> Tensor:
        """Photons per pixel (R, L, H, W); may be negative."""
        return self.camera.to_photons(self.adu)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of a window, px."""
        return self.adu.shape[2], self.adu.shape[3]

    @property
    def frames(self) -> int:
        """Frames looked at, of all runs together."""
        return self.adu.shape[0] * self.adu.shape[1]


def take_sample(
    movie: Any,
    camera: Camera,
    *,
    frames: tuple[int, int] | None = None,
    window_px: int = WINDOW_PX,
    pixels: int = PIXELS,
) -> MovieSample:
    """Runs from all over a movie and its field.

    Parameters
    ----------
    movie : array or lazy array (T, Y, X)
        Camera counts; only what is taken is read.
    camera : Camera
        Of the whole frame.
    frames : tuple of int, optional
        Half-open range of frames to look at; default: all.
    window_px : int
        Largest side of a window, px.
    pixels : int
        Pixels times frames taken at most (at least one run is).

    Raises
    ------
    ValueError
        If the movie is not (T, Y, X), its frames are below 16 px, or the range is not in it.
    """
    start, stop = _check(movie, frames)
    camera.check_shape(int(movie.shape[1]), int(movie.shape[2]))
    length = (stop - start) // max(1, (stop - start) // RUN_FRAMES)  # 32 frames are one run
    height, width = (min(window_px, int(n)) for n in movie.shape[1:])
    rows, columns = (
        _starts(int(n), side) for n, side in zip(movie.shape[1:], (height, width), strict=True)
    )
    times = list(range(start, stop - length + 1, length))
    places = [(t, y, x) for t in times for y in rows for x in columns]
    count = max(1, min(len(places), pixels // (length * height * width)))
    chosen = _spread(places, len(rows) * len(columns), count)
    parts = [np.asarray(movie[t : t + length, y : y + height, x : x + width]) for t, y, x in chosen]
    adu = torch.from_numpy(np.stack(parts).astype(np.float32))
    if not torch.isfinite(adu).all():
        raise ValueError("the movie holds NaN or infinity; replace these pixels or leave them out")
    origin = torch.tensor([(y, x) for _, y, x in chosen])
    return MovieSample(
        adu=adu,
        origin=origin,
        first_frame=tuple(t for t, _, _ in chosen),
        chip=camera,
    )


def _check(movie: Any, frames: tuple[int, int] | None) -> tuple[int, int]:
    """Frames (start, stop) to look at."""
    shape = tuple(int(n) for n in movie.shape)
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"expected a movie (T, Y, X), got shape {shape}; pick one channel")
    if min(shape[1:]) < SMALLEST_PX:
        raise ValueError(
            f"frames must be at least {SMALLEST_PX} x {SMALLEST_PX} px, got {shape[1]} x "
            f"{shape[2]}; use a larger part of the camera"
        )
    start, stop = frames or (0, shape[0])
    if not 0 <= start < stop <= shape[0]:
        raise ValueError(
            f"frames must be A:B with 0 <= A < B <= {shape[0]}, got {start}:{stop}; choose frames "
            "of this movie"
        )
    return start, stop


def _starts(length: int, side: int) -> list[int]:
    """First pixels of windows side by side, in the middle of the frame."""
    count = length // side
    return [(length - count * side) // 2 + side * k for k in range(count)]


def _spread(
    places: list[tuple[int, int, int]], windows: int, count: int
) -> list[tuple[int, int, int]]:
    """`count` of the places, evenly over time and each time in another window."""
    if count == len(places):
        return places
    times = len(places) // windows
    if count < times:
        order = np.random.default_rng(0).permutation(windows)
        return [places[k * times // count * windows + order[k % windows]] for k in range(count)]
    picked = np.random.default_rng(0).choice(len(places), count, replace=False)
    return [places[k] for k in sorted(picked)]
