"""A thread that reads a movie ahead of the network, into a fixed ring of buffers.

Each block of frames comes with its true neighbour frames in time. Nothing here waits with a
timeout: buffers go round through two queues, and a sentinel ends either side.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import dask.array as da
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.inference.device import host_buffer
from napari_dilatedloc.inference.tiles import Box
from napari_dilatedloc.io.movie import MovieError

LARGEST_READ = 256 * 2**20  # bytes read in one go, however large the chunks of the movie
TRAVEL_TYPES = {"u1": torch.uint8, "b1": torch.uint8, "i2": torch.int16, "u2": torch.uint16}


@dataclass(frozen=True)
class ReadRequest:
    """What is read of a movie, and how.

    Attributes
    ----------
    frames : tuple of int
        Frames (start, stop) of the run, half-open.
    box : Box
        Part of each frame, px.
    reach : int
        Neighbour frames on either side. They are the movie's own also where they lie outside
        `frames`; before its first and after its last frame, that frame is repeated.
    block_frames : int
        Frames a block, without neighbours.
    buffers : int
        Blocks in memory at a time, at least 2.
    """

    frames: tuple[int, int]
    box: Box
    reach: int
    block_frames: int
    buffers: int


@dataclass(frozen=True)
class Block:
    """Frames start to stop of the run (from 0) as (stop - start + 2 reach, Y, X) ADU."""

    start: int
    stop: int
    frames: Tensor


def read_blocks(
    movie: Any, request: ReadRequest, device: torch.device, stop: threading.Event
) -> Generator[Block, None, None]:
    """Blocks of a movie in order, read ahead by a thread.

    A block's frames are overwritten after the next one was asked for. When the generator is
    closed, or `stop` is set, the thread ends after the read it is in; it is joined in any case.

    Parameters
    ----------
    movie : array (T, Y, X)
        numpy, memory map, dask or anything that is cut like them.
    request : ReadRequest
        What to read.
    device : torch.device
        Where the frames will go; decides the kind of memory.
    stop : threading.Event
        Ends the reading early.
    """
    y0, x0, y1, x1 = request.box
    length = min(request.block_frames, request.frames[1] - request.frames[0])
    shape = (length + 2 * request.reach, y1 - y0, x1 - x0)
    free: SimpleQueue[Tensor | None] = SimpleQueue()
    filled: SimpleQueue[Block | Exception | None] = SimpleQueue()
    dtype = TRAVEL_TYPES.get(np.dtype(movie.dtype).str[1:], torch.float32)
    for _ in range(request.buffers):
        free.put(host_buffer(shape, dtype, device))
    reader = _Reader(movie, request, free, filled, stop)
    thread = threading.Thread(target=reader.run, name="dilatedloc-reader", daemon=True)
    thread.start()
    try:
        while (item := filled.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
            free.put(item.frames)
    finally:
        reader.closed.set()
        free.put(None)
        thread.join()


class _Reader:
    """What the thread does; it alone writes into buffers."""

    def __init__(
        self,
        movie: Any,
        request: ReadRequest,
        free: SimpleQueue[Tensor | None],
        filled: SimpleQueue[Block | Exception | None],
        stop: threading.Event,
    ) -> None:
        self.movie = movie
        self.request = request
        self.free = free
        self.filled = filled
        self.stop = stop
        self.closed = threading.Event()

    def run(self) -> None:
        end: Exception | None = None
        try:
            with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
                self._fill(self._stream(pool))
        except Exception as error:  # raised again where the user stands
            end = error
        finally:
            self.filled.put(end)

    def _fill(self, pieces: Iterator[NDArray[Any]]) -> None:
        """Pour a stream of frames into blocks that share 2 x reach frames with the next one."""
        total = self.request.frames[1] - self.request.frames[0]
        shared = 2 * self.request.reach
        y0, x0, y1, x1 = self.request.box
        tail: NDArray[Any] = np.empty((0, y1 - y0, x1 - x0))
        rest = tail
        for start in range(0, total, self.request.block_frames):
            stop = min(start + self.request.block_frames, total)
            buffer = self.free.get()
            if buffer is None:
                return
            block = buffer.numpy()
            at, need = len(tail), stop - start + shared
            block[:at] = tail
            while at < need:
                if len(rest) == 0:
                    piece = next(pieces, None)
                    if piece is None:
                        return
                    rest = piece
                count = min(len(rest), need - at)
                with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite
                    np.copyto(block[at : at + count], rest[:count], casting="unsafe")
                rest = rest[count:]
                at += count
            tail = block[need - shared : need].copy()
            # The whole buffer goes round, so that a short last block does not shorten it.
            self.filled.put(Block(start, stop, buffer))

    def _stream(self, pool: ThreadPoolExecutor) -> Iterator[NDArray[Any]]:
        """All frames of the run with neighbours, in order, in pieces of any length."""
        reach = self.request.reach
        wanted = self.request.frames[0] - reach, self.request.frames[1] + reach
        start, stop = max(0, wanted[0]), min(len(self.movie), wanted[1])
        piece = None
        for low, high in _cuts(self.movie, start, stop, self.request.block_frames):
            if self.stop.is_set() or self.closed.is_set():
                return
            piece = self._read(low, high, pool)
            if low == start and start > wanted[0]:
                yield np.repeat(piece[:1], start - wanted[0], axis=0)
            yield piece
        if piece is not None and stop < wanted[1]:
            yield np.repeat(piece[-1:], wanted[1] - stop, axis=0)

    def _read(self, low: int, high: int, pool: ThreadPoolExecutor) -> NDArray[Any]:
        """Frames low to high, cropped and checked."""
        y0, x0, y1, x1 = self.request.box
        try:
            part = self.movie[low:high, y0:y1, x0:x1]
            if isinstance(part, da.Array):
                # A pool of its own: dask would leave one behind for this thread.
                part = part.compute(scheduler="threads", pool=pool)
            frames = np.asarray(part)
        except MovieError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise MovieError(
                f"frames {low} to {high - 1} of the movie cannot be read ({reason}); "
                "check that the file is whole"
            ) from error
        if frames.dtype.kind == "f":
            finite = np.isfinite(frames).all(axis=(1, 2))
            if not finite.all():
                raise MovieError(
                    f"frame {low + int(np.argmin(finite))} of the movie holds NaN or infinite "
                    "pixels, expected camera counts; mend it or choose other frames"
                )
        return frames


def _cuts(movie: Any, start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Where to cut frames start to stop: at chunk borders, so that no chunk is computed twice.

    Small chunks are joined to about `step` frames, chunks beyond `LARGEST_READ` are cut.
    """
    if isinstance(movie, da.Array):
        borders = [int(end) for end in np.cumsum(movie.chunks[0])]
    else:
        borders = list(range(start + step, stop, step))
    frame_bytes = movie.shape[1] * movie.shape[2] * np.dtype(movie.dtype).itemsize
    longest = max(1, LARGEST_READ // frame_bytes)
    for end in [*(border for border in borders if start < border < stop), stop]:
        if end - start < step and end != stop:
            continue
        while start < end:
            cut = min(end, start + longest)
            yield start, cut
            start = cut
