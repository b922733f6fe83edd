"""Our own Parquet: every column in full precision, in the units and from the origin of the house.

Columns are those of `Localizations`; each field's metadata entry ``unit`` says in what it is. The
schema's metadata hold ``format``, ``version``, ``pixel_size_nm`` and, where known, ``shape``
(height, width) and ``n_frames``, all as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io.columns import TableError
from napari_dilatedloc.io.rows import PIECE_ROWS
from napari_dilatedloc.table import INTEGER_COLUMNS, Localizations, TableInfo

FORMAT, VERSION = "dilatedloc-localizations", 1
MAGIC = b"PAR1"

UNITS = {
    "frame": "frame, from 0",
    "x": "px, pixel centres at whole numbers",
    "y": "px, pixel centres at whole numbers",
    "z_nm": "nm",
    "photons": "photons",
    "bg": "photons per pixel",
    "prob": "0-1",
    "sigma_x": "px",
    "sigma_y": "px",
    "sigma_z_nm": "nm",
    "sigma_photons": "photons",
}

# Sorting the bytes of floats by their place in the number before zstd was measured to make half
# the file of dictionaries and snappy, in a fifth of their time.
_FLOATS = [name for name in Localizations.column_names() if name not in INTEGER_COLUMNS]
_CODING: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": False,
    "use_byte_stream_split": _FLOATS,
}


def is_file(path: Path) -> bool:
    """Tell a Parquet file of ours by its magic bytes and metadata.

    Raises
    ------
    TableError
        If it is Parquet and damaged, so that nobody can tell whose it is.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return False
    with _opened(path) as file:
        return bool(_said(file.schema_arrow).get("format") == FORMAT)


def read(path: Path, pixel_size_nm: float | None) -> tuple[Localizations, TableInfo]:
    """Read localizations; the pixel size in the file holds unless another is given."""
    names = Localizations.column_names()
    with _opened(path) as file:
        schema = file.schema_arrow
        said = _checked(schema, path)
        missing = [name for name in names if name not in schema.names]
        if missing:
            raise TableError(f"{path.name} lacks the columns {', '.join(missing)}; it is damaged")
        try:
            table = file.read(columns=list(names), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error
    size = said.get("pixel_size_nm") if pixel_size_nm is None else pixel_size_nm
    if size is None:
        raise TableError(f"{path.name} has no pixel size; give pixel_size_nm, the camera pixel")
    shape, frames = said.get("shape"), said.get("n_frames")
    # Arrow lends its memory to numpy, which may then not write there; torch warns of such arrays
    columns = {name: np.require(table.column(name).to_numpy(), requirements="W") for name in names}
    return Localizations(**columns), TableInfo(
        pixel_size_nm=float(size),
        shape=None if shape is None else (int(shape[0]), int(shape[1])),
        n_frames=None if frames is None else int(frames),
    )


def rows_of(path: Path) -> int | None:
    """Rows of a table of ours by its footer, which is written last; None if it is not whole."""
    try:
        with _opened(path) as file:
            _checked(file.schema_arrow, path)
            return int(file.metadata.num_rows)
    except TableError:
        return None


def files(path: Path) -> list[Path]:
    """Files of a table."""
    return [path]


@contextmanager
def writing(path: Path, info: TableInfo) -> Iterator[_Writer]:
    """Write one group of rows a piece."""
    schema = _schema(info)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, **_CODING) as file:
        yield _Writer(file, schema)


class _Writer:
    """Turns pieces into groups of rows."""

    def __init__(self, file: Any, schema: Any) -> None:
        self._file = file
        self._schema = schema

    def add(self, piece: Localizations, *, last: bool) -> None:
        columns = {name: getattr(piece, name) for name in piece.column_names()}
        self._file.write_table(pa.table(columns, schema=self._schema), row_group_size=PIECE_ROWS)


def _schema(info: TableInfo) -> Any:
    said: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "pixel_size_nm": float(info.pixel_size_nm),
    }
    if info.shape is not None:
        said["shape"] = [int(side) for side in info.shape]
    if info.n_frames is not None:
        said["n_frames"] = int(info.n_frames)
    fields = [
        pa.field(
            name,
            pa.from_numpy_dtype(np.int32 if name in INTEGER_COLUMNS else np.float32),
            metadata={"unit": UNITS[name]},
        )
        for name in Localizations.column_names()
    ]
    return pa.schema(fields, metadata={name: json.dumps(value) for name, value in said.items()})


def _opened(path: Path) -> Any:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> TableError:
    reason = " ".join(str(error).split())  # Arrow's messages are of several lines
    return TableError(f"{path.name} is a damaged Parquet file ({reason}); copy it again")


def _said(schema: Any) -> dict[str, Any]:
    """What the file says of itself."""
    said: dict[str, Any] = {}
    for name, value in (schema.metadata or {}).items():
        try:
            said[name.decode()] = json.loads(value)
        except ValueError:  # another program's entry
            continue
    return said


def _checked(schema: Any, path: Path) -> dict[str, Any]:
    """The same, or `TableError` if this version cannot read it."""
    said = _said(schema)
    if said.get("format") != FORMAT:
        raise TableError(
            f"{path.name} is not a table of this program (metadata format is "
            f"{said.get('format')!r}, expected {FORMAT!r}); open another"
        )
    if said.get("version") != VERSION:
        raise TableError(
            f"{path.name} has format version {said.get('version')}, expected {VERSION}; update "
            "napari-dilatedloc"
        )
    return said
