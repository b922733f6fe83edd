"""Frames on their way into buffers: read already, or read when they are poured."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.cores import usable_cores
from napari_dilatedloc.inference.tiles import Box
from napari_dilatedloc.io.frames import FrameStack
from napari_dilatedloc.io.movie import MovieError

THREADS = min(4, usable_cores())
SMALLEST_SHARE = 8 * 2**20  # bytes below which copying is not shared among threads


def frame_bytes(movie: Any) -> int:
    """Size of a frame as the movie stores it, bytes."""
    return int(movie.shape[1]) * int(movie.shape[2]) * int(np.dtype(movie.dtype).itemsize)


class Piece(Protocol):
    """Consecutive frames on their way into buffers."""

    def __len__(self) -> int: ...

    def pour(self, start: int, out: NDArray[Any]) -> None:
        """Write the frames from `start` on into `out`."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Frames that are read already."""

    frames: NDArray[Any]

    def __len__(self) -> int:
        return len(self.frames)

    def pour(self, start: int, out: NDArray[Any]) -> None:
        """Copy."""
        _convert(self.frames[start : start + len(out)], out)


@dataclass(frozen=True)
class Repeated:
    """One frame of a piece, several times."""

    piece: Piece
    frame: int
    times: int

    def __len__(self) -> int:
        return self.times

    def pour(self, start: int, out: NDArray[Any]) -> None:
        """Read it once."""
        self.piece.pour(self.frame, out[:1])
        out[1:] = out[:1]


@dataclass(frozen=True)
class OnDisk:
    """Frames low to high of files, read when they are poured, by several threads.

    ``mine`` are the same frames for the thread that pours, which reads small parts alone.
    """

    stack: FrameStack
    mine: FrameStack
    low: int
    high: int
    box: Box
    pool: ThreadPoolExecutor

    def __len__(self) -> int:
        return self.high - self.low

    def pour(self, start: int, out: NDArray[Any]) -> None:
        """Read straight into `out` where it holds whole frames as they are stored."""
        first, count = self.low + start, len(out)
        copies = max(1, count * frame_bytes(self.stack) // SMALLEST_SHARE)
        parts = min(count, THREADS, count if self.stack.coded else copies)
        if parts == 1:
            self._pour(self.mine, first, out)
            return
        edges = [count * i // parts for i in range(parts + 1)]
        jobs = [
            self.pool.submit(self._pour, self.stack, first + low, out[low:high])
            for low, high in pairwise(edges)
        ]
        for job in jobs:
            job.result()

    def _pour(self, stack: FrameStack, first: int, out: NDArray[Any]) -> None:
        y0, x0, y1, x1 = self.box
        last = first + len(out)
        with telling(first, last):
            if stack.shape[1:] == out.shape[1:] and stack.dtype == out.dtype:
                stack.read_into(first, out)
                frames = out
            else:
                frames = stack[first:last, y0:y1, x0:x1]
        check_numbers(frames, first)
        if frames is not out:
            _convert(frames, out)


def _convert(frames: NDArray[Any], out: NDArray[Any]) -> None:
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite
        np.copyto(out, frames, casting="unsafe")


@contextmanager
def telling(low: int, high: int) -> Iterator[None]:
    """Errors of a read as one sentence with its frames."""
    try:
        yield
    except MovieError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise MovieError(
            f"frames {low} to {high - 1} of the movie cannot be read ({reason}); "
            "check that the file is whole"
        ) from error


def check_numbers(frames: NDArray[Any], first: int) -> None:
    """Refuse frames with pixels that are no numbers."""
    if frames.dtype.kind != "f":
        return
    finite = np.isfinite(frames).all(axis=(1, 2))
    if not finite.all():
        raise MovieError(
            f"frame {first + int(np.argmin(finite))} of the movie holds NaN or infinite "
            "pixels, expected camera counts; mend it or choose other frames"
        )
