"""Our own Parquet: every column in full precision, in the units and from the origin of the house.

Columns are those of `Localizations`, then further ones; each own field's metadata entry ``unit``
says in what it is. The schema's metadata hold ``format``, ``version``, ``pixel_size_nm`` and, where
known, ``shape`` (height, width), ``n_frames`` and ``recipe``, all as JSON.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io import recipe
from napari_dilatedloc.io.columns import TableError, require_pixel_size
from napari_dilatedloc.io.rows import PIECE_ROWS
from napari_dilatedloc.table import INTEGER_COLUMNS, Localizations, TableInfo

log = logging.getLogger(__name__)

KNOWS_PIXEL_SIZE = True

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
_CODING: dict[str, Any] = {"compression": "zstd", "use_dictionary": False}


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


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """What the file says of the movie; its pixel size holds unless another is given."""
    with _opened(path) as file:
        said = _checked(file.schema_arrow, path)
    size = said.get("pixel_size_nm") if pixel_size_nm is None else pixel_size_nm
    if size is None:
        raise TableError(f"{path.name} has no pixel size; give pixel_size_nm, the camera pixel")
    shape, frames = said.get("shape"), said.get("n_frames")
    return TableInfo(
        pixel_size_nm=require_pixel_size(size, path),
        shape=None if shape is None else (int(shape[0]), int(shape[1])),
        n_frames=None if frames is None else int(frames),
        recipe=recipe.from_plain(said.get("recipe", []), path),
    )


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations."""
    names = Localizations.column_names()
    with _opened(path) as file:
        schema = file.schema_arrow
        _checked(schema, path)
        missing = [name for name in names if name not in schema.names]
        if missing:
            raise TableError(f"{path.name} lacks the columns {', '.join(missing)}; it is damaged")
        extra = [name for name in schema.names if name not in names and _of_numbers(schema, name)]
        for name in set(schema.names) - {*names, *extra}:
            log.warning("%s: column %s holds no numbers and is left out", path.name, name)
        try:
            for batch in _batches(file, [*names, *extra], rows):
                columns = {name: _numbers(batch.column(name)) for name in batch.schema.names}
                yield Localizations(
                    **{name: columns[name] for name in names},
                    extra={name: columns[name] for name in extra},
                )
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error


def _batches(file: Any, columns: list[str], rows: int) -> Iterator[Any]:
    """Parts of a file; one without rows if it has none."""
    if not file.metadata.num_rows:
        yield file.read(columns=columns, use_threads=False)
        return
    yield from file.iter_batches(batch_size=rows, columns=columns, use_threads=False)


def _numbers(column: Any) -> NDArray[Any]:
    # Arrow lends its memory to numpy, which may then not write there; torch warns of such arrays
    values = column.to_numpy(zero_copy_only=False)
    return np.require(values, requirements="W")


def _of_numbers(schema: Any, name: str) -> bool:
    kind, types = schema.field(name).type, pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


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
    with replacing(path) as temporary, ExitStack() as stack:
        yield _Writer(temporary, info, stack)


class _Writer:
    """Turns pieces into groups of rows; the first one says which further columns there are."""

    def __init__(self, path: Path, info: TableInfo, stack: ExitStack) -> None:
        self._path = path
        self._info = info
        self._stack = stack
        self._file: Any = None
        self._schema: Any = None

    def add(self, piece: Localizations, *, last: bool) -> None:
        if self._file is None:
            self._schema = _schema(self._info, piece)
            self._file = self._stack.enter_context(
                pq.ParquetWriter(self._path, self._schema, **_CODING, **_sorted(self._schema))
            )
        columns = {name: getattr(piece, name) for name in piece.column_names()}
        columns |= piece.extra
        self._file.write_table(pa.table(columns, schema=self._schema), row_group_size=PIECE_ROWS)


def _sorted(schema: Any) -> dict[str, Any]:
    return {
        "use_byte_stream_split": [f.name for f in schema if pa.types.is_floating(f.type)],
    }


def _schema(info: TableInfo, piece: Localizations) -> Any:
    said: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "pixel_size_nm": float(info.pixel_size_nm),
    }
    if info.shape is not None:
        said["shape"] = [int(side) for side in info.shape]
    if info.n_frames is not None:
        said["n_frames"] = int(info.n_frames)
    if info.recipe:
        said["recipe"] = recipe.to_plain(info.recipe)
    fields = [
        pa.field(
            name,
            pa.from_numpy_dtype(np.int32 if name in INTEGER_COLUMNS else np.float32),
            metadata={"unit": UNITS[name]},
        )
        for name in Localizations.column_names()
    ]
    fields += [pa.field(name, pa.from_numpy_dtype(v.dtype)) for name, v in piece.extra.items()]
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
