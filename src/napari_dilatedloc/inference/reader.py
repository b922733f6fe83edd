"""A thread that reads a movie ahead of the network, into a fixed ring of buffers.

Each block of frames comes with its true neighbour frames in time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from mmap import mmap
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.inference.ahead import AnyOf, Flag, run_ahead
from napari_dilatedloc.inference.pieces import (
    THREADS,
    InMemory,
    OnDisk,
    Piece,
    Repeated,
    check_numbers,
    frame_bytes,
    telling,
)
from napari_dilatedloc.inference.tiles import Box
from napari_dilatedloc.inference.transfer import host_buffer
from napari_dilatedloc.io.frames import FrameStack, RawFrames

LARGEST_READ = 256 * 2**20  # bytes read in one go, however large the chunks of the movie
COPIED_AT_ONCE = 4 * 2**20  # bytes of small blocks that are read in one go
AHEAD_BYTES = 128 * 2**20  # chunks of dask that are computed before their turn
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
    """Frames start to stop of the run (from 0) as (stop - start + 2 reach, Y, X) ADU.

    ``seconds`` is the time that reading it took.
    """

    start: int
    stop: int
    frames: Tensor
    seconds: float


def read_blocks(
    movie: Any, request: ReadRequest, device: torch.device, stop: Flag
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
    stop : Flag
        Ends the reading early.
    """
    closed = threading.Event()
    source = frames_behind(movie)
    at_once = replace(request, block_frames=_at_once(source, request.block_frames))
    reader = _Reader(source, at_once, AnyOf((stop, closed)))
    made = run_ahead(reader.blocks(device), request.buffers, closed, "dilatedloc-reader")
    with closing(made) as reads:
        for read in reads:
            yield from _parts(read, request)
            reader.spare.append(read.frames)


def frames_behind(movie: Any) -> Any:
    """The frames on disk behind an array of `open_movie` or a memory map; others are given back.

    dask keeps what `from_array` got in its graph. Taken from there, frames go from the disk into a
    buffer in one copy, and a slice costs no planning (3 ms each, as much as reading 10 MB). Pages
    of a memory map that were looked at would count as memory of this process.
    """
    if _is_file(movie):
        offsets = movie.offset + frame_bytes(movie) * np.arange(len(movie), dtype=np.int64)
        shape = int(movie.shape[1]), int(movie.shape[2])
        return FrameStack([RawFrames(Path(movie.filename), shape, movie.dtype, offsets)])
    if isinstance(movie, da.Array):
        source = movie.dask.get(f"original-{movie.name}")
        if isinstance(source, FrameStack) and source.shape == movie.shape:
            return source
    return movie


def _at_once(movie: Any, block_frames: int) -> int:
    """Frames that are read at a time: several blocks where they are small and only copied.

    Handing a block over takes as long as copying 1 MB.
    """
    if not isinstance(movie, FrameStack) or movie.coded:
        return block_frames
    return block_frames * max(1, COPIED_AT_ONCE // (block_frames * frame_bytes(movie)))


def _parts(read: Block, request: ReadRequest) -> Iterator[Block]:
    """The blocks of what was read at once."""
    frames = read.stop - read.start
    for start in range(read.start, read.stop, request.block_frames):
        stop = min(start + request.block_frames, read.stop)
        part = read.frames[start - read.start : stop - read.start + 2 * request.reach]
        yield Block(start, stop, part, read.seconds * (stop - start) / frames)


def _is_file(movie: Any) -> bool:
    """Whether an array is a whole memory map, whose changes are in the file.

    A part of a map says nothing of where it begins.
    """
    base: Any = getattr(movie, "base", None)
    return (
        isinstance(movie, np.memmap)
        and isinstance(base, mmap)
        and movie.mode != "c"
        and movie.filename is not None
        and movie.flags.c_contiguous
    )


class _Reader:
    """What the thread does; it alone writes into buffers."""

    def __init__(self, movie: Any, request: ReadRequest, halt: Flag) -> None:
        self.movie = movie
        self.request = request
        self.halt = halt
        self.spare: deque[Tensor] = deque()
        """Buffers to fill; the one that came back last is taken first, it may be in the cache."""

    def blocks(self, device: torch.device) -> Generator[Block, None, None]:
        """Pour frames into blocks that share 2 x reach frames with the next one."""
        pool = ThreadPoolExecutor(THREADS, "dilatedloc-read")
        try:
            with closing(self._pieces(pool)) as pieces:
                yield from self._poured(_Tap(pieces), device)
        finally:
            pool.shutdown(cancel_futures=True)

    def _poured(self, source: _Tap, device: torch.device) -> Iterator[Block]:
        request = self.request
        total = request.frames[1] - request.frames[0]
        shared = 2 * request.reach
        y0, x0, y1, x1 = request.box
        shape = (min(request.block_frames, total) + shared, y1 - y0, x1 - x0)
        dtype = TRAVEL_TYPES.get(np.dtype(self.movie.dtype).str[1:], torch.float32)
        self.spare.extend(host_buffer(shape, dtype, device) for _ in range(request.buffers))
        tail = np.empty((0, *shape[1:]))  # the frames shared, where they were read
        for start in range(0, total, request.block_frames):
            if self.halt.is_set():
                return
            began = time.perf_counter()
            stop = min(start + request.block_frames, total)
            buffer = self.spare.pop()
            block, need = buffer.numpy(), stop - start + shared
            block[: len(tail)] = tail
            if not source.fill(block[len(tail) : need]):
                return
            tail = block[need - shared : need]
            yield Block(start, stop, buffer, time.perf_counter() - began)

    def _pieces(self, pool: ThreadPoolExecutor) -> Generator[Piece, None, None]:
        """All frames of the run with neighbours, in order; the last may be used until closed."""
        reach = self.request.reach
        wanted = self.request.frames[0] - reach, self.request.frames[1] + reach
        start, stop = max(0, wanted[0]), min(int(self.movie.shape[0]), wanted[1])
        piece: Piece | None = None
        with ExitStack() as kept:
            for piece in self._true_frames(start, stop, pool, kept):
                if wanted[0] < start:
                    yield Repeated(piece, 0, start - wanted[0])
                    wanted = start, wanted[1]
                yield piece
            if piece is not None and stop < wanted[1] and not self.halt.is_set():
                yield Repeated(piece, len(piece) - 1, wanted[1] - stop)

    def _true_frames(
        self, start: int, stop: int, pool: ThreadPoolExecutor, kept: ExitStack
    ) -> Iterator[Piece]:
        if isinstance(self.movie, FrameStack):
            mine = kept.enter_context(self.movie.kept_open())
            yield OnDisk(self.movie, mine, start, stop, self.request.box, pool)
            return
        # Chunks of dask may cost time to compute, so that several are worked on at once.
        cuts = list(_cuts(self.movie, start, stop, self.request.block_frames))
        longest = max(high - low for low, high in cuts)
        ahead = AHEAD_BYTES // (longest * frame_bytes(self.movie))
        ahead = min(THREADS, ahead) if isinstance(self.movie, da.Array) else 0
        under_way: deque[Future[Piece]] = deque()
        for low, high in cuts:
            if self.halt.is_set():
                return
            under_way.append(pool.submit(self._read, low, high))
            while len(under_way) > ahead:
                yield under_way.popleft().result()
        while under_way and not self.halt.is_set():
            yield under_way.popleft().result()

    def _read(self, low: int, high: int) -> Piece:
        """Frames low to high, cropped and checked."""
        y0, x0, y1, x1 = self.request.box
        with telling(low, high):
            part = self.movie[low:high, y0:y1, x0:x1]
            if isinstance(part, da.Array):
                part = part.compute(scheduler="synchronous")
            frames = np.asarray(part)
        check_numbers(frames, low)
        return InMemory(frames)


class _Tap:
    """Pieces as one stream."""

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self._pieces = pieces
        self._piece: Piece | None = None
        self._used = 0

    def fill(self, out: NDArray[Any]) -> bool:
        """Write the next frames into `out`; False if there are not as many."""
        at = 0
        while at < len(out):
            if self._piece is None or self._used == len(self._piece):
                self._piece, self._used = next(self._pieces, None), 0
                if self._piece is None:
                    return False
            count = min(len(out) - at, len(self._piece) - self._used)
            self._piece.pour(self._used, out[at : at + count])
            self._used += count
            at += count
        return True


def _cuts(movie: Any, start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Where to cut frames start to stop: at chunk borders, so that no chunk is computed twice.

    Small chunks are joined to about `step` frames, chunks beyond `LARGEST_READ` are cut.
    """
    if isinstance(movie, da.Array):
        borders = [int(end) for end in np.cumsum(movie.chunks[0])]
    else:
        borders = list(range(start + step, stop, step))
    longest = max(1, LARGEST_READ // frame_bytes(movie))
    for end in [*(border for border in borders if start < border < stop), stop]:
        if end - start < step and end != stop:
            continue
        while start < end:
            cut = min(end, start + longest)
            yield start, cut
            start = cut
