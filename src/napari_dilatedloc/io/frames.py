"""Frames on disk behind one array-like door; a file is open only while it is read."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray

TIFF_ERRORS = (
    tifffile.TiffFileError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    RuntimeError,
    OSError,
    struct.error,
)
"""What tifffile and the decompressors raise on damaged files."""

LARGEST_READ = 2**30
"""Bytes asked for in one system call; some systems refuse 2 GiB, others give less."""


class MovieError(ValueError):
    """A movie that cannot be used; the message is one sentence."""


class Frames(Protocol):
    """Consecutive frames of equal shape and type."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type as stored; may be of foreign byte order."""
        ...

    def __len__(self) -> int: ...

    def fill(self, start: int, out: NDArray[Any]) -> None:
        """Write the frames from `start` on into `out`, (N, Y, X) contiguous, of `dtype`."""
        ...


Opener = Callable[[Path], AbstractContextManager[int]]
"""What opens a file to read from; gives its number."""


@contextmanager
def open_once(path: Path) -> Iterator[int]:
    """A file that is closed after the read."""
    file = _open(path)
    try:
        yield file
    finally:
        os.close(file)


class KeptOpen:
    """Keeps the file open that was read last, until another one is; for one thread.

    As few system calls as can be, here and in `_read_at`: with each one a thread lets go of the
    interpreter and may wait for the one that takes its frames.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._file = -1

    def __call__(self, path: Path) -> AbstractContextManager[int]:
        """The file, as it is open already if it was the last one."""
        if path != self._path:
            self.close()
            self._file, self._path = _open(path), path
        return nullcontext(self._file)

    def close(self) -> None:
        """Let go of the file."""
        if self._path is not None:
            self._path = None
            os.close(self._file)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


@dataclass(frozen=True, eq=False)
class RawFrames:
    """Uncompressed frames in one file, each in one piece at a known offset (bytes)."""

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offsets: NDArray[np.int64]
    opened: Opener = field(default=open_once, repr=False)

    def __len__(self) -> int:
        return len(self.offsets)

    def fill(self, start: int, out: NDArray[Any]) -> None:
        """Write the frames from `start` on into `out`; neighbours on disk come in one read."""
        stop = start + len(out)
        low = np.searchsorted(self._breaks, start, side="right")
        high = np.searchsorted(self._breaks, stop, side="left")
        edges = [start, *self._breaks[low:high].tolist(), stop]
        with self.opened(self.path) as file:
            for first, last in pairwise(edges):
                at = int(self.offsets[first])
                view = out[first - start : last - start].reshape(-1).view(np.uint8)
                while view.size:
                    got = _read_at(file, at, view[:LARGEST_READ])
                    if not got:
                        raise MovieError(
                            f"{self.path.name} ends inside frames {first}-{last - 1}; the file has "
                            "shrunk or is damaged, copy it again"
                        )
                    view, at = view[got:], at + got

    @cached_property
    def _breaks(self) -> NDArray[np.int64]:
        """Frames that do not follow the one before on disk."""
        frame_bytes = self.shape[0] * self.shape[1] * self.dtype.itemsize
        return np.flatnonzero(np.diff(self.offsets) != frame_bytes).astype(np.int64) + 1


def _read_at(file: int, offset: int, out: NDArray[np.uint8]) -> int:
    """Read into `out`; gives the number of bytes that were there."""
    if hasattr(os, "preadv"):
        return os.preadv(file, [out.data], offset)
    os.lseek(file, offset, os.SEEK_SET)  # Windows
    with io.FileIO(file, closefd=False) as stream:
        return stream.readinto(out.data) or 0


@dataclass(frozen=True, eq=False)
class CodedFrames:
    """Compressed or tiled frames in one file; `segments` holds each frame's (offsets, sizes)."""

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    keyframe: int
    segments: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]

    def __len__(self) -> int:
        return len(self.segments)

    def fill(self, start: int, out: NDArray[Any]) -> None:
        """Decode the frames from `start` on without walking through the pages before them."""
        with tifffile.TiffFile(self.path) as tif:
            keyframe: Any = tif.pages[self.keyframe]
            for i in range(start, start + len(out)):
                offsets, sizes = self.segments[i]
                frame = tifffile.TiffFrame(
                    tif, i, offset=0, keyframe=keyframe, dataoffsets=offsets, databytecounts=sizes
                )
                try:
                    # imagecodecs has exceptions of its own (RuntimeError), one for each codec
                    out[i - start] = frame.asarray(maxworkers=1).reshape(self.shape)
                except TIFF_ERRORS as error:
                    raise MovieError(
                        f"frame {i} of {self.path.name} cannot be decoded ({error}); the file is "
                        "damaged, copy it again"
                    ) from error


@dataclass(frozen=True, eq=False)
class FileFrames:
    """One file a frame."""

    paths: Sequence[Path]
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return len(self.paths)

    def fill(self, start: int, out: NDArray[Any]) -> None:
        """Read the frames from `start` on, file by file."""
        for i, path in enumerate(self.paths[start : start + len(out)]):
            try:
                with tifffile.TiffFile(path) as tif:  # imread would follow OME to other files
                    frame = tif.pages.first.asarray(maxworkers=1)
            except TIFF_ERRORS as error:
                raise MovieError(
                    f"{path.name} is damaged or no TIFF ({error}); copy it again or remove it"
                ) from error
            if np.squeeze(frame).shape != self.shape or frame.dtype != self.dtype:
                raise MovieError(
                    f"{path.name} holds {frame.shape} {frame.dtype}, expected {self.shape} "
                    f"{self.dtype} as in {self.paths[0].name}; all frames must be alike"
                )
            out[i] = np.squeeze(frame)


class FrameStack:
    """Runs of frames as one read-only (T, Y, X) array that reads what is sliced, when it is.

    It keeps no file open and no state, so threads may read from it at once, and it pickles.
    """

    ndim = 3

    def __init__(self, runs: Sequence[Frames]) -> None:
        self._runs = tuple(runs)
        self._starts = np.cumsum([0, *(len(run) for run in runs)])
        self.shape = (int(self._starts[-1]), *runs[0].shape)
        self.dtype = runs[0].dtype.newbyteorder("=")

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def coded(self) -> bool:
        """Whether frames are more than copied, so that several threads read them faster."""
        return not all(isinstance(run, RawFrames) for run in self._runs)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        frames = keys[0] if keys else slice(None)
        if isinstance(frames, int | np.integer):
            index = int(frames) + (self.shape[0] if frames < 0 else 0)
            frame: NDArray[Any] = self._read(index, index + 1)[(0, *keys[1:])]
            return frame
        if not isinstance(frames, slice):
            raise TypeError(f"frames are picked by an int or a slice, got {frames!r}")
        start, stop, step = frames.indices(self.shape[0])
        if step <= 0:
            chosen = range(start, stop, step)
            low, high = (chosen[-1], chosen[0] + 1) if chosen else (0, 0)
            block = self._read(low, high)[::-1][::-step]
        else:
            block = self._read(start, max(start, stop))[::step]
        return block[(slice(None), *keys[1:])]

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Write the frames from `start` on into memory at hand: one copy, no more.

        Parameters
        ----------
        start : int
            First frame.
        out : array (N, Y, X)
            Contiguous and of `dtype`; N frames from `start` on must be there.
        """
        stop = start + len(out)
        if start == stop:
            return
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        for run, begin in zip(self._runs[first:], self._starts[first:-1].tolist(), strict=True):
            if begin >= stop:
                break
            low, high = max(start, begin), min(stop, begin + len(run))
            part = out[low - start : high - start]
            run.fill(low - begin, part.view(run.dtype))
            if not run.dtype.isnative:
                part.byteswap(inplace=True)

    @contextmanager
    def kept_open(self) -> Iterator[FrameStack]:
        """Same frames for one thread that reads on and on: its file stays open between reads."""
        kept = KeptOpen()
        try:
            yield FrameStack(
                [
                    replace(run, opened=kept) if isinstance(run, RawFrames) else run
                    for run in self._runs
                ]
            )
        finally:
            kept.close()

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        out = np.empty((max(stop - start, 0), *self.shape[1:]), dtype=self.dtype)
        self.read_into(start, out)
        return out
