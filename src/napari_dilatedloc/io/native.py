"""Our own HDF5: every column in full precision, in the units and from the origin of the house.

One dataset a column; further columns lie in the group ``extra``, with what HDF5 takes for a path in
their names written as in web addresses. The attributes ``pixel_size_nm``, ``shape`` (height, width)
and ``n_frames`` tell of the movie; the recipe is JSON in the dataset ``recipe``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io import recipe
from napari_dilatedloc.io.columns import TableError, require_pixel_size
from napari_dilatedloc.io.rows import GrowingColumns, hdf5_name
from napari_dilatedloc.table import Localizations, TableInfo

KNOWS_PIXEL_SIZE = True

FORMAT, VERSION = "dilatedloc-localizations", 1

_GZIP: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def is_file(file: h5py.File) -> bool:
    """Tell our file by the attribute `format`."""
    name = file.attrs.get("format")  # that of another program may be anything
    return isinstance(name, str) and name == FORMAT


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """What the file says of the movie; its pixel size holds unless another is given."""
    with h5py.File(path, "r") as file:
        attrs = _checked(file, path)
        steps = file["recipe"][()] if "recipe" in file else None
    shape, frames = attrs.get("shape"), attrs.get("n_frames")
    size = attrs.get("pixel_size_nm") if pixel_size_nm is None else pixel_size_nm
    if size is None:
        raise TableError(f"{path.name} has no pixel size; give pixel_size_nm, the camera pixel")
    return TableInfo(
        pixel_size_nm=require_pixel_size(size, path),
        shape=None if shape is None else (int(shape[0]), int(shape[1])),
        n_frames=None if frames is None else int(frames),
        recipe=recipe.from_text(steps, path),
    )


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations."""
    names = Localizations.column_names()
    with h5py.File(path, "r") as file:
        _checked(file, path)
        missing = [name for name in names if name not in file]
        if missing:
            raise TableError(f"{path.name} lacks the columns {', '.join(missing)}; it is damaged")
        extra = {unquote(name): column for name, column in file.get("extra", {}).items()}
        for start in range(0, max(len(file["frame"]), 1), rows):
            part = slice(start, start + rows)
            yield Localizations(
                **{name: file[name][part] for name in names},
                extra={name: column[part] for name, column in extra.items()},
            )


def _checked(file: h5py.File, path: Path) -> dict[str, Any]:
    """Attributes, or `TableError` if this version cannot read the file."""
    attrs = dict(file.attrs)
    if not is_file(file):
        raise TableError(
            f"{path.name} is not a table of this program (attribute format is "
            f"{attrs.get('format')!r}, expected {FORMAT!r}); open another"
        )
    if int(attrs.get("version", 0)) != VERSION:
        raise TableError(
            f"{path.name} has format version {attrs.get('version')}, expected {VERSION}; "
            "update napari-dilatedloc"
        )
    return attrs


def files(path: Path) -> list[Path]:
    """Files of a table."""
    return [path]


@contextmanager
def writing(path: Path, info: TableInfo) -> Iterator[_Writer]:
    """Write one dataset a column."""
    with replacing(path) as temporary, h5py.File(temporary, "w", rdcc_nbytes=2**20) as file:
        file.attrs["format"] = FORMAT
        file.attrs["version"] = VERSION
        file.attrs["pixel_size_nm"] = float(info.pixel_size_nm)
        if info.shape is not None:
            file.attrs["shape"] = np.array(info.shape, dtype=np.int64)
        if info.n_frames is not None:
            file.attrs["n_frames"] = int(info.n_frames)
        if info.recipe:
            # an attribute may be of 64 kB only, and a recipe may hold a drift
            file.create_dataset("recipe", data=recipe.to_text(info.recipe))
        yield _Writer(file)


class _Writer:
    """Makes the datasets with the first piece and adds the others to them."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._columns = GrowingColumns(file, **_GZIP)
        self._extra: GrowingColumns | None = None

    def add(self, piece: Localizations, *, last: bool) -> None:
        own = {name: getattr(piece, name) for name in piece.column_names()}
        self._columns.add(own, last=last)
        if piece.extra and self._extra is None:
            self._extra = GrowingColumns(self._file.create_group("extra"), **_GZIP)
        if self._extra is not None:
            extra = {hdf5_name(name): values for name, values in piece.extra.items()}
            self._extra.add(extra, last=last)
