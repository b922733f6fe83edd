"""CSV of DECODE; what its columns mean stands in `decode_columns`.

Three lines of comment (a title, version and unit as JSON), a header, rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from napari_dilatedloc.io import decode_columns, recipe, text_tables
from napari_dilatedloc.io.columns import TableError
from napari_dilatedloc.io.csv_rows import CsvRows, Named, writing_csv
from napari_dilatedloc.io.pixel_size import tell_unless_square
from napari_dilatedloc.table import Localizations, TableInfo

KNOWS_PIXEL_SIZE = True

TITLE = "# DECODE EmitterSet"
_COMMENTS = 3


def is_title(line: str) -> bool:
    """Tell DECODE's CSV by its first line."""
    return line.startswith(TITLE)


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """Pixel size as the third line has it."""
    unit = _unit(path, pixel_size_nm)
    tell_unless_square(*unit.sides_nm, path)
    return TableInfo(unit.size_nm, recipe=recipe.read_beside(path))


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations."""
    unit = _unit(path, pixel_size_nm)
    table = _table(path)
    finite = ("x", "y", "frame_ix")
    known = decode_columns.NAMES
    looks = text_tables.scans(table, [n for n in decode_columns.OWN_EXTRA if n in table.names])
    never = [
        name
        for name, look in looks.items()
        if np.isnan(look.most) or (name == "id" and look.most == -1)
    ]
    for columns in text_tables.parts(
        table, decode_columns.REQUIRED, known, rows=rows, finite=finite
    ):
        for name in never:
            del columns[name]
        yield decode_columns.to_localizations(columns, unit)


def files(path: Path) -> list[Path]:
    """Files of a table."""
    return [path]


def writing(path: Path, info: TableInfo) -> AbstractContextManager[CsvRows]:
    """Write positions in px; all columns of DECODE are there, known or not."""
    said: tuple[dict[str, Any], ...] = (
        {"version": decode_columns.VERSION},
        {"xy_unit": "px", "px_size": [info.pixel_size_nm] * 2},
    )
    head = TITLE + "\n" + "".join(f"# {json.dumps(line)}\n" for line in said)
    return writing_csv(
        path,
        info,
        _columns,
        taken=decode_columns.NAMES,
        placed=decode_columns.OWN_EXTRA,
        decimals="%.9g",
        whole=True,
        head=head,
    )


def _columns(table: Localizations, rows: int) -> Named:
    return decode_columns.of_localizations(table)


def _table(path: Path) -> text_tables.TextTable:
    return text_tables.open_text(path, skip=_COMMENTS)


def _unit(path: Path, pixel_size_nm: float | None) -> decode_columns.Unit:
    lines = text_tables.first_lines(path, _COMMENTS)
    try:
        said = json.loads(lines[-1].lstrip("# "))
        return decode_columns.unit_of(said["xy_unit"], said.get("px_size"), pixel_size_nm, path)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(
            f"{path.name} has no unit in its third line ({error!r}); expected DECODE's JSON with "
            "xy_unit and px_size; save it again"
        ) from error
