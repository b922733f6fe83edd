"""Movies that are still being written: the frames that are whole so far.

A microscope writes either one file a frame, or files that grow page by page, one after another.
A frame counts when all of its bytes are there and all frames before it count too, so that its
number never changes afterwards.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_dilatedloc.io.frames import (
    TIFF_ERRORS,
    CodedFrames,
    FrameStack,
    MovieError,
    RawFrames,
)
from napari_dilatedloc.io.layout import PAGES_ONLY, TIFF_SUFFIXES, later_parts, tiff_files

log = logging.getLogger(__name__)

Run = RawFrames | CodedFrames

_NUMBER = re.compile(r"(\d+)(?!.*\d)")


class GrowingMovie:
    """A folder or a file into which a movie is being written.

    Parameters
    ----------
    path : Path
        Folder of TIFF files, taken in natural order of their names, or the first TIFF file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._taken: list[Path] = []
        self._runs: list[Run] = []  # of the files that are written to their end
        self._current: _GrowingFile | None = None

    def look(self, *, over: bool = False) -> FrameStack | None:
        """Frames that are whole by now, as an array (T, Y, X); None before the first.

        Parameters
        ----------
        over : bool
            Whether the recording has ended: a number missing between two names is no longer
            waited for, and a frame that was cut off is left out with a warning.

        Raises
        ------
        MovieError
            If a file comes in between files that were taken already, frames differ in shape or
            type, or the path is neither a folder nor a TIFF file.
        """
        for path in self._new_files(over):
            if self._current is not None and not self._settle(self._current, over):
                break  # the rest of a file comes before the frames of the next one
            self._taken.append(path)
            self._current = _GrowingFile(path)
        run = self._current.look() if self._current is not None else None
        if self._current is not None and self._current.is_cut and over:
            _warn_of_cut(self._current.path)
        runs = self._runs if run is None else [*self._runs, _alike(run, self._runs)]
        return FrameStack(runs) if runs else None

    def _settle(self, file: _GrowingFile, over: bool) -> bool:
        """Take a file for finished, as there is another; whether it is whole."""
        run = file.look()
        if file.is_cut and not over:
            return False
        if file.is_cut:
            _warn_of_cut(file.path)
        if run is not None:
            self._runs.append(_alike(run, self._runs))
        return True

    def _new_files(self, over: bool) -> list[Path]:
        """Files behind those that were taken, up to a gap in their numbers."""
        paths, taken = self._paths(), self._taken
        if paths[: len(taken)] != taken:
            gone = sorted(set(taken) - set(paths))
            new = next((p.name for p in paths if p not in set(taken)), "")
            what = f"{gone[0].name} is gone" if gone else f"{new} stands before files taken already"
            raise MovieError(
                f"{what}, so frames would change their numbers; write the files in the order of "
                "their names, or localize the folder when the recording is over"
            )
        new_paths: list[Path] = []
        last = taken[-1] if taken else None
        for path in paths[len(taken) :]:
            if last is not None and not over and _leaves_a_gap(last, path):
                break  # the file between them has yet to come
            new_paths.append(path)
            last = path
        return new_paths

    def _paths(self) -> list[Path]:
        if self.path.is_dir():
            return tiff_files(self.path)
        if self.path.suffix.lower() not in TIFF_SUFFIXES:
            raise MovieError(
                f"expected a folder or a .tif or .tiff file, got {self.path.name}; choose where "
                "the microscope writes"
            )
        return [self.path, *later_parts(self.path)] if self.path.is_file() else []


class _GrowingFile:
    """One TIFF file and the pages of it that are whole.

    Attributes
    ----------
    is_cut : bool
        Whether the file ended inside a page at the last look.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_cut = True
        self._seen = (-1, -1)  # size and time of change at the last look
        self._run: Run | None = None

    def look(self) -> Run | None:
        """Its frames so far; the file is opened only if it changed."""
        stat = self.path.stat()
        now = stat.st_size, stat.st_mtime_ns
        if now != self._seen:
            self._seen = now
            self._run = self._read(stat.st_size) or self._run
        return self._run

    def _read(self, size: int) -> Run | None:
        segments: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        first: Any = None
        self.is_cut = True
        try:
            with tifffile.TiffFile(self.path, **PAGES_ONLY) as tif:
                first = tif.pages.first
                for page in tif.pages:
                    offsets, counts = tuple(page.dataoffsets), tuple(page.databytecounts)
                    ends = [o + n for o, n in zip(offsets, counts, strict=True)]
                    if not all(counts) or max(ends) > size:
                        break  # announced, not written
                    segments.append((offsets, counts))
                else:
                    self.is_cut = False
        except TIFF_ERRORS:
            pass  # the directory of a page is half there
        return _frames(self.path, first, segments) if segments else None


def _frames(path: Path, first: Any, segments: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> Run:
    if first.ndim != 2:
        raise MovieError(
            f"{path.name} holds pages of shape {first.shape}, expected grey frames (Y, X); record "
            "without colours, one page a frame"
        )
    dtype = np.dtype(first.dtype).newbyteorder(first.parent.byteorder)
    shape = int(first.shape[0]), int(first.shape[1])
    if first.is_contiguous and first.is_final:
        offsets = np.array([where[0] for where, _ in segments], dtype=np.int64)
        return RawFrames(path, shape, dtype, offsets)
    return CodedFrames(path, shape, dtype, 0, segments)


def _leaves_a_gap(before: Path, after: Path) -> bool:
    """Whether the numbers at the end of two names are more than one apart."""
    a, b = _NUMBER.search(before.stem), _NUMBER.search(after.stem)
    if a is None or b is None or before.stem[: a.start()] != after.stem[: b.start()]:
        return False
    return int(b[1]) > int(a[1]) + 1


def _alike(run: Run, runs: list[Run]) -> Run:
    """The same run, if it may follow the others."""
    if runs and (run.shape, run.dtype) != (runs[0].shape, runs[0].dtype):
        raise MovieError(
            f"{run.path.name} holds {run.shape} {run.dtype}, expected {runs[0].shape} "
            f"{runs[0].dtype} as in {runs[0].path.name}; all frames must be alike"
        )
    return run


def _warn_of_cut(path: Path) -> None:
    log.warning("%s ends inside a frame, which is left out", path.name)
