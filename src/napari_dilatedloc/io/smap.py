"""SMAP's ``_sml.mat``; what its columns mean stands in `smap_columns`.

``saveloc.loc`` holds the columns, ``saveloc.file.info`` the movie: ``cam_pixelsize_um`` (x, y),
``roi`` (x, y, width, height on the chip), ``numberOfFrames``. Files up to version 7 are read whole,
those of version 7.3 in parts. We write the latter; a variable ``dilatedloc`` (JSON) keeps the
recipe and names that MATLAB would not take.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io import matlab_hdf5, recipe, smap_columns
from napari_dilatedloc.io.columns import frames_from_one, require_pixel_size, written_names
from napari_dilatedloc.io.pixel_size import tell_unless_square
from napari_dilatedloc.io.rows import GrowingColumns, outermost
from napari_dilatedloc.io.smap_found import NOTE, is_version_5, is_version_7, opened
from napari_dilatedloc.table import Localizations, TableInfo

__all__ = ["files", "info", "is_file", "is_version_5", "parts", "writing"]

log = logging.getLogger(__name__)

KNOWS_PIXEL_SIZE = True

is_file = is_version_7

_UNKNOWN_PRECISION_NM = 100.0
_TAKEN = (smap_columns.ID, *smap_columns.REQUIRED, *smap_columns.OPTIONAL)
_LONGEST_NAME = 55  # MATLAB takes 63 letters; the rest is for a number
_DOUBLE = frozenset({"frame", "xnm", "ynm"})  # single would not hold nm of a wide chip
# stay in the file though unknown; without its precision locprecnm would stand for it
_ALWAYS = (*smap_columns.REQUIRED, "xnmerr", "ynmerr")
_ONE_FILE = {"filenumber": 1.0, "channel": 0.0}


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """Pixel size, region and number of frames as the file says; its pixel size holds unless given.

    Pixels that are not square are told; their side along x is taken.
    """
    with opened(path) as found:
        movie, note = dict(found.movie), found.note
    sides = _sides(movie, pixel_size_nm, path)
    tell_unless_square(*sides, path)
    if len(movie.get("roi", ())) == 4:
        width, height = movie["roi"][2:]
    else:
        width, height = (movie.get(name, np.zeros(1))[0] for name in ("Width", "Height"))
    frames = int(movie.get("numberOfFrames", np.zeros(1))[0])
    return TableInfo(
        pixel_size_nm=sides[0],
        shape=(int(height), int(width)) if height > 0 and width > 0 else None,
        n_frames=frames if frames > 0 else None,
        recipe=recipe.from_plain(note.get("recipe", []), path),
    )


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations; positions count from the camera region, as those of the movie do."""
    with opened(path) as found:
        size, across = _sides(found.movie, pixel_size_nm, path)
        x, y = found.movie.get("roi", np.zeros(2))[:2]
        y = (1 + y) * across / size - 1  # y is given in pixels as wide as along x
        made, names = found.note.get("made", ()), found.note.get("names", {})
        wanted = [name for name in found.names if name not in made]
        for start in range(0, max(found.rows, 1), rows):
            part = slice(start, start + rows)
            columns = {names.get(name, name): found.column(name, part) for name in wanted}
            frame = frames_from_one(columns["frame"], path)
            yield smap_columns.to_localizations(columns, frame, size, (float(x), float(y)))


def _sides(
    movie: Mapping[str, NDArray[np.float64]], given: float | None, path: Path
) -> tuple[float, float]:
    """Sides of a pixel along x, y, nm; those of the file unless another is given."""
    sides = [given, given]
    if given is None and "cam_pixelsize_um" in movie:
        sides = [float(1e3 * side) for side in movie["cam_pixelsize_um"][[0, -1]]]
    return require_pixel_size(sides[0], path), require_pixel_size(sides[1], path)


def files(path: Path) -> list[Path]:
    """Files of a table."""
    return [path]


@contextmanager
def writing(path: Path, info: TableInfo) -> Iterator[_Writer]:
    """Write localizations piece by piece, without the columns of which no value is known.

    SMAP drops rows whose ``locprecnm`` is unknown: it is written as 100 nm there, with a warning;
    ``xnmerr`` and ``ynmerr`` stay unknown.
    """
    with replacing(path) as temporary:
        with h5py.File(
            temporary, "w", rdcc_nbytes=2**20, userblock_size=matlab_hdf5.USER_BLOCK
        ) as file:
            writer = _Writer(file, info.pixel_size_nm)
            yield writer
            writer.finish(info, path.name)
        matlab_hdf5.sign(temporary)
    if writer.imprecise:
        log.warning(
            "%s: %d localizations without precision get locprecnm = %g nm",
            path.name,
            writer.imprecise,
            _UNKNOWN_PRECISION_NM,
        )


class _Writer:
    """Makes the columns of `saveloc.loc`.

    Attributes
    ----------
    imprecise : int
        Rows without precision.
    """

    def __init__(self, file: h5py.File, pixel_size_nm: float) -> None:
        self._file = file
        self._size = pixel_size_nm
        self._saveloc = matlab_hdf5.struct(file, "saveloc")
        self._loc = matlab_hdf5.struct(self._saveloc, "loc")
        filters: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        self._columns = GrowingColumns(self._loc, axis=1, known_only=True, **filters)
        self._always = GrowingColumns(self._loc, axis=1, **filters)
        self._fields: dict[str, str] = {}  # by name of an extra column
        self._extent = {"y": 1, "x": 1, "frame": 1}
        self.imprecise = 0

    def add(self, piece: Localizations, *, last: bool) -> None:
        if not self._fields:
            self._fields = _fields(piece.extra)
        columns = self._own(piece)
        for name, values in piece.extra.items():
            columns[self._fields[name]] = _matlab_numbers(values)
        if not len(piece):
            for name in columns:
                matlab_hdf5.put_empty(self._loc, name)
            return
        for name, least in self._extent.items():
            self._extent[name] = max(least, outermost(getattr(piece, name)))
        rows = {name: values.reshape(1, -1) for name, values in columns.items()}
        self._always.add({name: rows.pop(name) for name in _ALWAYS}, last=last)
        self._columns.add(rows, last=last)

    def _own(self, piece: Localizations) -> dict[str, NDArray[Any]]:
        own = smap_columns.of_localizations(piece, self._size)
        unknown = np.isnan(own["locprecnm"])
        self.imprecise += int(unknown.sum())
        own["locprecnm"] = np.where(unknown, _UNKNOWN_PRECISION_NM, own["locprecnm"])
        columns: dict[str, NDArray[Any]] = {"frame": piece.frame + 1.0}
        columns |= {n: v if n in _DOUBLE else v.astype(np.float32) for n, v in own.items()}
        for name, value in _ONE_FILE.items():
            if name not in piece.extra:
                columns[name] = np.full(len(piece), value, np.float32)
        return columns

    def finish(self, info: TableInfo, name: str) -> None:
        """Write what lies beside the columns."""
        written = list(self._loc)
        for column in written:
            if not matlab_hdf5.is_empty(self._loc[column]):
                matlab_hdf5.mark(self._loc[column])
        matlab_hdf5.close_struct(self._loc, written)
        self._write_movie(info, name)
        matlab_hdf5.put_empty(self._saveloc, "history")
        matlab_hdf5.close_struct(self._saveloc, ["loc", "file", "history"])
        kind = matlab_hdf5.struct(self._file, "fileformat")
        matlab_hdf5.put_text(kind, "name", "sml")
        matlab_hdf5.close_struct(kind, ["name"])
        note = {
            "recipe": recipe.to_plain(info.recipe),
            "made": [made for made in _ONE_FILE if made not in self._fields],
            "names": {
                field: written_names([extra], _TAKEN)[extra]
                for extra, field in self._fields.items()
            },
        }
        matlab_hdf5.put_text(self._file, NOTE, json.dumps(note))

    def _write_movie(self, info: TableInfo, name: str) -> None:
        height, width = info.shape or (self._extent["y"], self._extent["x"])
        frames = self._extent["frame"] if info.n_frames is None else info.n_frames
        movie: dict[str, ArrayLike] = {
            "cam_pixelsize_um": [self._size / 1e3] * 2,
            "roi": [0, 0, width, height],
            "Width": width,
            "Height": height,
            "numberOfFrames": frames,
        }
        file = matlab_hdf5.struct(self._saveloc, "file")
        group = matlab_hdf5.struct(file, "info")
        for key, values in movie.items():
            matlab_hdf5.put_row(group, key, values)
        matlab_hdf5.close_struct(group, list(movie))
        matlab_hdf5.put_text(file, "name", name)
        matlab_hdf5.put_row(file, "number", 1)
        matlab_hdf5.close_struct(file, ["info", "name", "number"])


def _fields(extra: Iterable[str]) -> dict[str, str]:
    """Names that MATLAB takes for extra columns."""
    fields: dict[str, str] = {}
    for name, written in written_names(list(extra), _TAKEN).items():
        bare = re.sub(r"[^A-Za-z0-9_]", "_", written)[:_LONGEST_NAME]
        bare = bare if bare[:1].isalpha() else f"x{bare}"
        used = {*fields.values(), *_TAKEN, *(_ONE_FILE if name not in _ONE_FILE else ())}
        number = 1
        field = bare
        while field in used:
            number += 1
            field = f"{bare}_{number}"
        fields[name] = field
    return fields


def _matlab_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers of a type that MATLAB has."""
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    return values.astype(np.float32) if values.dtype == np.float16 else values
