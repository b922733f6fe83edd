"""HDF5 of DECODE; what its columns mean stands in `decode_columns`.

``data`` holds the columns (``xyz`` and the like in one, all-unknown ones empty), ``meta`` and
``decode`` the rest as attributes. DECODE hands all of ``data`` to its table, so what it does not
know lies in a group ``dilatedloc`` of ours: further columns, shape, number of frames, recipe.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io import decode_columns, recipe
from napari_dilatedloc.io.columns import TableError
from napari_dilatedloc.io.pixel_size import tell_unless_square
from napari_dilatedloc.io.rows import PIECE_ROWS, GrowingColumns, hdf5_name
from napari_dilatedloc.table import Localizations, TableInfo

KNOWS_PIXEL_SIZE = True

_OURS = "dilatedloc"
_VECTORS = {
    "xyz": ("x", "y", "z"),
    "xyz_sig": ("x_sig", "y_sig", "z_sig"),
    "xyz_cr": ("x_cr", "y_cr", "z_cr"),
}
_MAY_BE_EMPTY = ("xyz_sig", "xyz_cr", "phot_sig", "phot_cr", "bg_sig", "bg_cr")


def is_file(file: h5py.File) -> bool:
    """Tell DECODE's file by its groups."""
    return all(name in file for name in ("data/xyz", "data/frame_ix", "meta", "decode"))


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """Pixel size, and what this program wrote of the movie."""
    with h5py.File(path, "r") as file:
        unit = _unit(file, pixel_size_nm, path)
        tell_unless_square(*unit.sides_nm, path)
        ours = file.get(_OURS)
        attrs = {} if ours is None else dict(ours.attrs)
        steps = ours["recipe"][()] if ours is not None and "recipe" in ours else None
    shape, frames = attrs.get("shape"), attrs.get("n_frames")
    return TableInfo(
        pixel_size_nm=unit.size_nm,
        shape=None if shape is None else (int(shape[0]), int(shape[1])),
        n_frames=None if frames is None else int(frames),
        recipe=recipe.from_text(steps, path),
    )


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations."""
    with h5py.File(path, "r") as file:
        unit = _unit(file, pixel_size_nm, path)
        data = file["data"]
        known = [name for name in data if data[name].shape is not None]
        if "id" in known and not _any_id(data["id"]):
            known.remove("id")
        beyond = file.get(f"{_OURS}/extra", {})
        for start in range(0, max(len(data["frame_ix"]), 1), rows):
            part = slice(start, start + rows)
            columns: dict[str, NDArray[Any]] = {}
            for name in known:
                values = data[name][part]
                across = _VECTORS.get(name, (name,))
                columns |= dict(zip(across, np.atleast_2d(values.T), strict=True))
            table = decode_columns.to_localizations(columns, unit)
            further = {unquote(name): column[part] for name, column in beyond.items()}
            yield table.replace(extra={**table.extra, **further})


def _unit(file: h5py.File, pixel_size_nm: float | None, path: Path) -> decode_columns.Unit:
    if not is_file(file):
        raise TableError(f"{path.name} has no groups data, meta and decode; open another")
    attrs = {name: v for name, v in file["meta"].attrs.items() if not isinstance(v, h5py.Empty)}
    return decode_columns.unit_of(attrs.get("xy_unit"), attrs.get("px_size"), pixel_size_nm, path)


def _any_id(ids: h5py.Dataset) -> bool:
    starts = range(0, len(ids), PIECE_ROWS)
    return any((ids[start : start + PIECE_ROWS] != -1).any() for start in starts)


def files(path: Path) -> list[Path]:
    """Files of a table."""
    return [path]


@contextmanager
def writing(path: Path, info: TableInfo) -> Iterator[_Writer]:
    """Write positions in px."""
    with replacing(path) as temporary, h5py.File(temporary, "w", rdcc_nbytes=2**20) as file:
        file.create_group("meta").attrs.update(
            {"xy_unit": "px", "px_size": np.full(2, info.pixel_size_nm)}
        )
        file.create_group("decode").attrs["version"] = decode_columns.VERSION
        ours = file.create_group(_OURS)
        if info.shape is not None:
            ours.attrs["shape"] = np.array(info.shape, dtype=np.int64)
        if info.n_frames is not None:
            ours.attrs["n_frames"] = int(info.n_frames)
        if info.recipe:
            ours.create_dataset("recipe", data=recipe.to_text(info.recipe))
        writer = _Writer(file.create_group("data"), ours)
        yield writer
        writer.finish()


class _Writer:
    """Makes the columns; those never known stay empty, as DECODE writes them."""

    def __init__(self, data: h5py.Group, ours: h5py.Group) -> None:
        self._data = data
        self._always = GrowingColumns(data)
        self._at_times = GrowingColumns(data, known_only=True)
        self._extra = GrowingColumns(ours.create_group("extra"))

    def add(self, piece: Localizations, *, last: bool) -> None:
        columns = decode_columns.of_localizations(piece)
        for vector, names in _VECTORS.items():
            columns[vector] = np.stack([columns.pop(name) for name in names], axis=1)
        rare = {name: columns.pop(name) for name in _MAY_BE_EMPTY}
        self._always.add(columns, last=last)
        self._at_times.add(rare, last=last)
        beyond = decode_columns.beyond(piece)
        self._extra.add({hdf5_name(n): v for n, v in beyond.items()}, last=last)

    def finish(self) -> None:
        """Write what never had a value."""
        for name in _MAY_BE_EMPTY:
            if name not in self._data:
                self._data.create_dataset(name, data=h5py.Empty("f"))
