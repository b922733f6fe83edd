"""Where the frames lie in TIFF files, read once at opening, and whether they are all there."""

from __future__ import annotations

import logging
import re
import struct
from itertools import count, groupby
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_dilatedloc.io.frames import (
    TIFF_ERRORS,
    CodedFrames,
    FileFrames,
    Frames,
    MovieError,
    RawFrames,
)
from napari_dilatedloc.io.pixel_size import pixel_size_of

log = logging.getLogger(__name__)

TIFF_SUFFIXES = (".tif", ".tiff")
IMAGEJ_CHANNELS = 7
"""ImageJ shows at most so many channels; more of them are frames under a wrong name."""

PAGES_ONLY: dict[str, Any] = {"is_ome": False, "is_mmstack": False, "is_imagej": False}
"""Options of `TiffFile` that have it believe the pages of a file, not what it says of others."""

_OME_NAME = re.compile(r"(?P<base>.+)(?P<suffix>\.ome\.tiff?)", re.IGNORECASE)


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts 10.tif behind 9.tif."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts if part]


def tiff_files(folder: Path) -> list[Path]:
    """TIFF files of a folder in natural order; hidden files (macOS makes some) are left out."""
    found = (
        path
        for path in folder.iterdir()
        if path.suffix.lower() in TIFF_SUFFIXES and not path.name.startswith(".")
    )
    return sorted(found, key=natural_key)


def later_parts(path: Path) -> list[Path]:
    """Files that continue ``base.ome.tif`` by name: ``base_1.ome.tif``, ``base_2.ome.tif``, ..."""
    name = _OME_NAME.fullmatch(path.name)
    if name is None:
        return []
    parts: list[Path] = []
    for i in count(1):
        part = path.with_name(f"{name['base']}_{i}{name['suffix']}")
        if not part.is_file():
            return parts
        parts.append(part)
    return parts


def open_file(path: Path) -> tuple[list[Frames], float | None, bool]:
    """Frames of the movie that begins in `path`.

    Returns
    -------
    runs : list of Frames
        One for each file (or piece of it), in order.
    pixel_size_nm : float or None
        From the metadata.
    is_stack : bool
        False for a single image.
    """
    runs, size, is_stack = _open_one(path)
    joined = {run.path for run in runs if isinstance(run, RawFrames | CodedFrames)}
    parts = [part for part in later_parts(path) if part.resolve() not in joined]
    if len(joined) == 1 and parts:
        log.info("joined %s and %d more files by name", path.name, len(parts))
        for part in parts:
            # its metadata, if any, speak of all files; its pages speak of themselves
            runs += _open_one(part, **PAGES_ONLY)[0]
    first = runs[0]
    for run in runs[1:]:
        if (run.shape, run.dtype) != (first.shape, first.dtype):
            raise MovieError(
                f"{path.name}: its parts differ, {first.shape} {first.dtype} and {run.shape} "
                f"{run.dtype}; open a folder or file of one movie only"
            )
    return runs, size, is_stack or len(runs) > 1


def open_single_frames(paths: list[Path]) -> tuple[list[Frames], float | None]:
    """Take each file, in the given order, for one frame.

    Only the first file is opened now (there may be 100,000), of the others the size is looked at.
    """
    runs, size, _ = _open_one(paths[0], _multifile=False)
    first = runs[0]
    if sum(len(run) for run in runs) != 1:
        raise MovieError(
            f"{paths[0].parent.name} holds {len(paths)} TIFF files and {paths[0].name} alone has "
            f"{sum(len(run) for run in runs)} frames; open one file, or a folder of single frames"
        )
    pixels = int(np.prod(first.shape)) * first.dtype.itemsize
    smallest = pixels if isinstance(first, RawFrames) else 1
    for path in paths:
        if path.stat().st_size < smallest:
            raise _truncated(path)
    return [FileFrames(tuple(paths), first.shape, first.dtype)], size


def _open_one(path: Path, **options: Any) -> tuple[list[Frames], float | None, bool]:
    try:
        with tifffile.TiffFile(path, **options) as tif:
            series = _movie_series(tif, path)
            if series[0].kind == "mmstack" and "R" in series[0].axes:
                # Micro-Manager's index spans the files of all positions, we want this one's
                return _open_one(path, **PAGES_ONLY)
            is_stack = _check_axes(series[0], path) or len(series) > 1
            runs = [run for one in series for run in _runs(one, path)]
            _check_metadata(tif, sum(len(run) for run in runs), path)
            return runs, pixel_size_of(tif), is_stack
    except MovieError:
        raise
    except FileNotFoundError as error:
        raise MovieError(f"no such file: {path}; check the path") from error
    except TIFF_ERRORS as error:
        raise MovieError(
            f"{path.name} cannot be read as TIFF ({error}); it is damaged, truncated or of another "
            "kind, copy it again or export it as TIFF"
        ) from error


def _movie_series(tif: tifffile.TiffFile, path: Path) -> list[Any]:
    """Series that hold the movie; several if it was written in pieces one after another."""
    series: list[Any] = list(tif.series)
    if not series:
        raise MovieError(f"{path.name} holds no image; open a TIFF movie")
    first = series[0]
    alike = [
        one
        for one in series
        if one.keyframe.shape == first.keyframe.shape and one.dtype == first.dtype
    ]
    if first.kind == "shaped" and len(alike) == len(series):
        return alike  # TiffWriter.write() called for each frame makes a series each
    if len(series) > 1:
        log.warning("%s holds %d image series; the first is used", path.name, len(series))
    return [first]


def _check_axes(series: Any, path: Path) -> bool:
    """Tell a stack of frames (True) from a single image (False); all else is an error."""
    axes: list[tuple[str, int]] = list(zip(series.axes, series.shape, strict=True))
    long = dict(axis for axis in axes if axis[1] != 1 or axis[0] in "YX")
    if "S" in long:
        raise MovieError(
            f"{path.name} is an RGB image {series.shape}, expected grey frames (T, Y, X); export "
            "the raw movie without colours"
        )
    if series.kind == "imagej" and list(long) == ["C", "Y", "X"] and long["C"] > IMAGEJ_CHANNELS:
        return True  # tifffile calls frames so if nobody tells it the axes
    if "C" in long:
        raise MovieError(
            f"{path.name} has {long['C']} channels, expected one; save each channel as a movie"
        )
    leading = [axis for axis in long if axis not in "YX"]
    if list(long)[-2:] != ["Y", "X"] or len(leading) > 1:
        raise MovieError(
            f"{path.name} has axes {series.axes} {series.shape}, expected (T, Y, X); save a "
            "movie with one time or z axis"
        )
    return bool(leading) or (series.kind == "shaped" and len(axes) == 3)


def _runs(series: Any, path: Path) -> list[Frames]:
    """Frames of one series, one run a file, checked to lie inside their files."""
    keyframe = series.keyframe
    shape = (int(series.shape[series.axes.index("Y")]), int(series.shape[series.axes.index("X")]))
    dtype = np.dtype(keyframe.dtype).newbyteorder(keyframe.parent.byteorder)
    nbytes = shape[0] * shape[1] * dtype.itemsize
    if series.dataoffset is not None:  # all in one piece, ImageJ's movies over 4 GB too
        where = Path(keyframe.parent.filehandle.path)
        n = int(np.prod(series.shape)) // (shape[0] * shape[1])
        offsets = series.dataoffset + nbytes * np.arange(n, dtype=np.int64)
        return [_within_file(RawFrames(where, shape, dtype, offsets))]
    pages = _present(list(series.pages), path)
    if int(np.prod(keyframe.shape)) != shape[0] * shape[1]:
        raise MovieError(f"{path.name} stores volumes, expected one page a frame; save it anew")
    runs: list[Frames] = []
    for where, group in groupby(pages, key=lambda page: Path(page.parent.filehandle.path)):
        in_file = list(group)
        if keyframe.is_contiguous and keyframe.is_final:
            offsets = np.array([page.dataoffsets[0] for page in in_file], dtype=np.int64)
            runs.append(_within_file(RawFrames(where, shape, dtype, offsets)))
            continue
        segments = [(tuple(p.dataoffsets), tuple(p.databytecounts)) for p in in_file]
        index = int(in_file[0].keyframe.index)
        runs.append(_within_file(CodedFrames(where, shape, dtype, index, segments)))
    return runs


def _present(pages: list[Any], path: Path) -> list[Any]:
    """Drop the frames that an acquisition stopped early never wrote; a gap is an error."""
    # Micro-Manager marks frames outside of the file by a byte count of 0
    there = [page is not None and any(page.databytecounts) for page in pages]
    n = sum(there)
    if not n or not all(there[:n]):
        raise MovieError(
            f"{path.name}: frame {there.index(False)} of {len(pages)} is missing; the file is "
            "truncated or a file of the series is not in this folder"
        )
    if n < len(pages):
        log.warning("%s announces %d frames, the first %d exist", path.name, len(pages), n)
    return pages[:n]


def _within_file(run: RawFrames | CodedFrames) -> RawFrames | CodedFrames:
    if isinstance(run, RawFrames):
        end = int(run.offsets.max()) + run.shape[0] * run.shape[1] * run.dtype.itemsize
    else:
        end = max(o + s for frame in run.segments for o, s in zip(*frame, strict=True))
    if end > run.path.stat().st_size:
        raise _truncated(run.path)
    return run


def _check_metadata(tif: tifffile.TiffFile, n: int, path: Path) -> None:
    """Compare with what the file says of itself: a cut file may just look shorter."""
    announced = int((tif.imagej_metadata or {}).get("images", 1))
    if announced > n and not (tif.is_ome or tif.is_micromanager):  # these count all files
        raise _truncated(path)
    if n > 1 and len(tif.pages) == 1:
        return  # one page that stands for all frames
    last: Any = tif.pages[-1]
    file, form = tif.filehandle, tif.tiff
    file.seek(last.offset)
    tags = struct.unpack(form.tagnoformat, file.read(form.tagnosize))[0]
    file.seek(last.offset + form.tagnosize + tags * form.tagsize)
    following = struct.unpack(form.offsetformat, file.read(form.offsetsize))[0]
    if following >= file.size:
        raise _truncated(path)


def _truncated(path: Path) -> MovieError:
    return MovieError(
        f"{path.name} is truncated: its {path.stat().st_size} bytes end before the last frame "
        "does; copy it again"
    )
