"""Our own HDF5: every column in full precision, in the units and from the origin of the house."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io.columns import TableError
from napari_dilatedloc.io.rows import append, extendable
from napari_dilatedloc.table import Localizations, TableInfo

FORMAT, VERSION = "dilatedloc-localizations", 1


def is_file(file: h5py.File) -> bool:
    """Tell our file by the attribute `format`."""
    return bool(file.attrs.get("format") == FORMAT)


def read(path: Path, pixel_size_nm: float | None) -> tuple[Localizations, TableInfo]:
    """Read localizations; the pixel size in the file holds unless another is given."""
    with h5py.File(path, "r") as file:
        if not is_file(file):
            raise TableError(
                f"{path.name} is not a table of this program (attribute format is "
                f"{file.attrs.get('format')!r}, expected {FORMAT!r}); open another"
            )
        attrs = dict(file.attrs)
        if int(attrs.get("version", 0)) != VERSION:
            raise TableError(
                f"{path.name} has format version {attrs.get('version')}, expected {VERSION}; "
                "update napari-dilatedloc"
            )
        missing = [name for name in Localizations.column_names() if name not in file]
        if missing:
            raise TableError(f"{path.name} lacks the columns {', '.join(missing)}; it is damaged")
        table = Localizations(**{name: file[name][()] for name in Localizations.column_names()})
    shape = attrs.get("shape")
    frames = attrs.get("n_frames")
    size = attrs.get("pixel_size_nm") if pixel_size_nm is None else pixel_size_nm
    if size is None:
        raise TableError(f"{path.name} has no pixel size; give pixel_size_nm, the camera pixel")
    return table, TableInfo(
        pixel_size_nm=float(size),
        shape=None if shape is None else (int(shape[0]), int(shape[1])),
        n_frames=None if frames is None else int(frames),
    )


def files(path: Path) -> list[Path]:
    """Files of a table."""
    return [path]


@contextmanager
def writing(path: Path, info: TableInfo) -> Iterator[_Writer]:
    """Write one dataset a column; `shape` (height, width) and the rest are attributes."""
    with replacing(path) as temporary, h5py.File(temporary, "w", rdcc_nbytes=2**20) as file:
        file.attrs["format"] = FORMAT
        file.attrs["version"] = VERSION
        file.attrs["pixel_size_nm"] = float(info.pixel_size_nm)
        if info.shape is not None:
            file.attrs["shape"] = np.array(info.shape, dtype=np.int64)
        if info.n_frames is not None:
            file.attrs["n_frames"] = int(info.n_frames)
        yield _Writer(file)


class _Writer:
    """Makes the datasets with the first piece and adds the others to them."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._columns: dict[str, h5py.Dataset] = {}

    def add(self, piece: Localizations, *, last: bool) -> None:
        for name in piece.column_names():
            values = getattr(piece, name)
            if name in self._columns:
                append(self._columns[name], values)
                continue
            filters = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
            self._columns[name] = extendable(
                self._file, name, values, last=last, **(filters if len(values) else {})
            )
