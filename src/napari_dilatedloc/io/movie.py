"""Movies as lazy (T, Y, X) arrays: TIFF of every kind, series of files, folders of frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io.frames import Frames, FrameStack, MovieError
from napari_dilatedloc.io.layout import (
    TIFF_SUFFIXES,
    later_parts,
    open_file,
    open_single_frames,
    tiff_files,
)

__all__ = ["Movie", "MovieError", "check_movie", "movie_of", "open_movie", "write_movie"]

BLOCK_BYTES = 32 * 2**20
"""Size of a dask block: few tasks, and several fit into memory beside a network."""

IMAGEJ_BYTES = 2**32 - 2**25
"""Above this a TIFF needs 64-bit offsets, which ImageJ's own format lacks."""


@dataclass(frozen=True, eq=False)
class Movie:
    """A movie that is read when it is sliced.

    Attributes
    ----------
    data : dask array
        ADU, (T, Y, X), native byte order, blocks of many frames.
    pixel_size_nm : float or None
        Camera pixel in the sample plane, nm, if known.
    path : Path
        The file or folder.
    """

    data: da.Array
    pixel_size_nm: float | None
    path: Path


def open_movie(path: str | Path, *, pixel_size_nm: float | None = None) -> Movie:
    """Open a TIFF movie, a multi-file series by its first file, or a folder of frames.

    Parameters
    ----------
    path : str or Path
        ``.tif`` or ``.tiff`` in any case: TIFF, BigTIFF, OME-TIFF, ImageJ or Micro-Manager stack.
        Files ``base_1.ome.tif``, ... beside ``base.ome.tif`` are joined. In a folder, single
        frames are taken in natural order (9.tif before 10.tif).
    pixel_size_nm : float, optional
        Overrules the metadata.

    Raises
    ------
    MovieError
        One sentence, for a truncated file, RGB, several channels, a single image.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "movie.tif"
    >>> write_movie(path, np.arange(40, dtype=np.uint16).reshape(4, 2, 5), pixel_size_nm=108.0)
    >>> movie = open_movie(path)
    >>> movie.data.shape, movie.pixel_size_nm
    ((4, 2, 5), 108.0)
    >>> int(movie.data[3, 0, 1].compute())  # reads this frame only
    31
    """
    path = Path(path)
    if path.is_dir():
        runs, from_metadata = _open_folder(path)
    elif path.suffix.lower() not in TIFF_SUFFIXES:
        raise MovieError(
            f"expected a .tif or .tiff file or a folder of them, got {path.name}; export the "
            "movie as TIFF"
        )
    else:
        runs, from_metadata, is_stack = open_file(path)
        if not is_stack:
            raise MovieError(
                f"{path.name} is a single 2-D image {runs[0].shape}, expected a movie (T, Y, X); "
                "open a stack, or a folder of single frames"
            )
    return movie_of(
        FrameStack(runs), path, from_metadata if pixel_size_nm is None else float(pixel_size_nm)
    )


def movie_of(stack: FrameStack, path: Path, pixel_size_nm: float | None) -> Movie:
    """Movie of frames that were found at `path`; nothing is read."""
    check_movie(stack)
    frame_bytes = stack.shape[1] * stack.shape[2] * stack.dtype.itemsize
    frames = max(1, min(stack.shape[0], BLOCK_BYTES // frame_bytes))
    data = da.from_array(
        stack,
        chunks=(frames, *stack.shape[1:]),
        name=False,  # hashing would read the movie
        lock=False,
        asarray=False,
        meta=np.empty((0, 0, 0), dtype=stack.dtype),
    )
    return Movie(data, pixel_size_nm, path)


def check_movie(array: Any) -> None:
    """Raise `MovieError` unless `array` can be a movie of grey frames (T, Y, X).

    Looks at shape and dtype only; nothing is read.
    """
    if not hasattr(array, "shape") or not hasattr(array, "dtype"):
        array = np.asarray(array)
    shape, dtype = tuple(array.shape), np.dtype(array.dtype)
    if len(shape) in (3, 4) and shape[-1] in (3, 4):
        raise MovieError(
            f"expected grey frames (T, Y, X), got shape {shape}, an RGB image; use the raw movie "
            "or convert it to grey"
        )
    if len(shape) == 2:
        raise MovieError(
            f"expected a movie (T, Y, X), got a single 2-D image {shape}; open a stack"
        )
    if len(shape) != 3:
        raise MovieError(
            f"expected a movie (T, Y, X), got {len(shape)} dimensions {shape}; pick one channel "
            "and position"
        )
    if dtype.kind not in "uif":
        raise MovieError(f"expected pixels that are real numbers, got {dtype}; convert the movie")
    if 0 in shape:
        raise MovieError(f"expected at least one frame and pixel, got shape {shape}; open another")


def write_movie(path: str | Path, array: Any, pixel_size_nm: float) -> None:
    """Write a movie as ImageJ-readable TIFF with its pixel size; whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.tif`` or ``.tiff``.
    array : array or dask array
        (T, Y, X) uint16, uint8 or float32, ADU. A dask array is written block by block.
    pixel_size_nm : float
        Camera pixel in the sample plane, nm.

    Notes
    -----
    ImageJ's own format cannot tell a movie of one frame from an image nor, standing by the TIFF
    standard, exceed 4 GB; such movies become (Big)TIFF with the resolution in pixels per cm.
    """
    path = Path(path)
    check_movie(array)
    if path.suffix.lower() not in TIFF_SUFFIXES:
        raise MovieError(f"expected a name ending in .tif or .tiff, got {path.name}; rename it")
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.float32):
        raise MovieError(f"expected uint16, uint8 or float32, got {array.dtype}; convert it")
    if not pixel_size_nm > 0:
        raise MovieError(f"pixel_size_nm must be positive, got {pixel_size_nm}; give it in nm")
    size = int(np.prod(array.shape)) * array.dtype.itemsize
    options: dict[str, Any] = {
        "shape": tuple(array.shape),
        "dtype": array.dtype.newbyteorder("="),
        "photometric": "minisblack",
        "metadata": {"axes": "TYX"},
    }
    if array.shape[0] > 1 and size < IMAGEJ_BYTES:
        options |= {"imagej": True, "resolution": (1e3 / pixel_size_nm,) * 2}
        options["metadata"] |= {"unit": "um"}
    else:
        options |= {"bigtiff": size >= IMAGEJ_BYTES, "resolution": (1e7 / pixel_size_nm,) * 2}
        options["resolutionunit"] = "CENTIMETER"
    with replacing(path) as temporary:
        tifffile.imwrite(temporary, _frames(array), **options)


def _frames(array: Any) -> Iterator[NDArray[Any]]:
    """Frames of an array, one block in memory at a time."""
    step = int(array.chunksize[0] if isinstance(array, da.Array) else array.shape[0])
    for start in range(0, array.shape[0], step):
        yield from np.asarray(array[start : start + step])


def _open_folder(folder: Path) -> tuple[list[Frames], float | None]:
    """Find the only movie in a folder."""
    paths = tiff_files(folder)
    if not paths:
        raise MovieError(f"no .tif or .tiff file in {folder}; open a folder of frames or a movie")
    parts = {part for path in paths for part in later_parts(path)}
    firsts = [path for path in paths if path not in parts]
    if len(firsts) == 1:
        runs, size, _ = open_file(firsts[0])
        return runs, size
    return open_single_frames(paths)
