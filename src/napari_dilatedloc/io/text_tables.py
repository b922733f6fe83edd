"""Tables of text read part by part: a header, then rows of numbers.

Known columns must hold numbers. Of unknown ones those of numbers are kept and those of text are
named in a warning.
"""

from __future__ import annotations

import csv
import logging
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_dilatedloc.io.columns import Columns, TableError

log = logging.getLogger(__name__)

LOOK_BYTES = 2**16
"""A header must lie in the first so many bytes."""

_LOOK_ROWS = 1000
_SCAN_ROWS = 500_000


@dataclass(frozen=True)
class TextTable:
    """How a table lies in a file of text.

    Attributes
    ----------
    path : Path
        The file.
    names : tuple of str
        Names of its columns, each once.
    separator : str
        What stands between values.
    skip : int
        Lines before the first row.
    """

    path: Path
    names: tuple[str, ...]
    separator: str = ","
    skip: int = 1


class Scan(NamedTuple):
    """What one look at a whole column tells; NaN of a table without rows."""

    rows: int
    least: float
    most: float


def first_lines(path: Path, count: int) -> list[str]:
    """First lines of a text, without their ends.

    Raises
    ------
    TableError
        If there is no such file or it is no text.
    """
    try:
        with path.open("rb") as file:
            start = file.read(LOOK_BYTES)
    except FileNotFoundError as error:
        raise TableError(f"no such file: {path}; check the path") from error
    # a table that Excel on a Mac saved has lines that end in a carriage return alone
    lines = start.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:count]
    if any(b"\0" in line for line in lines):
        raise TableError(f"{path.name} is no text; expected a table of localizations")
    return [_decoded(line).strip("\ufeff ") for line in lines]


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:  # a micro sign of Windows
        return line.decode("latin-1")


def open_text(path: Path, *, skip: int = 0) -> TextTable:
    """Table whose header stands in one line, with commas or tabs; no names if it is empty."""
    lines = first_lines(path, skip + 1)
    line = lines[skip] if len(lines) > skip else ""
    separator = "\t" if "\t" in line else ","
    names = next(csv.reader([line], delimiter=separator), [])
    if len(names) == 1 and "," in names[0]:  # a header that was quoted once more as a whole
        names = next(csv.reader([names[0]]))
    return TextTable(path, _each_once(names), separator, skip + 1)


def parts(
    table: TextTable,
    required: Sequence[str],
    known: Collection[str] = (),
    *,
    rows: int,
    finite: Sequence[str] | None = None,
) -> Iterator[Columns]:
    """All columns of numbers, so many rows at a time; one part without rows for an empty table.

    Parameters
    ----------
    table : TextTable
        The file.
    required, known : sequence of str
        Columns that must be there; others that must hold numbers if they are.
    rows : int
        Rows of a part.
    finite : sequence of str, optional
        Columns that must not be NaN; default: the required ones.

    Raises
    ------
    TableError
        For an empty file, missing columns, rows that are no numbers, or a file that was cut.
    """
    _check_header(table, required)
    _check_end(table)
    known = {name for name in (*required, *known) if name in table.names}
    wanted = [name for name in table.names if name in known or _holds_numbers(table, name)]
    checked = required if finite is None else finite
    told: set[str] = set()
    start = 0
    for frame in _frames(table, wanted, known, rows):
        columns = {
            name: _numbers(frame[table.names.index(name)], name, table.path, told)
            for name in wanted
        }
        for name in checked:
            bad = np.flatnonzero(~np.isfinite(columns[name]))
            if len(bad):
                raise TableError(
                    f"{table.path.name}: {name} in row {start + bad[0] + 1} is no finite number; "
                    "the file is cut or damaged, export it again"
                )
        yield columns
        start += len(frame)
    if start == 0:
        yield {name: np.zeros(0) for name in wanted}


def whole(table: TextTable, required: Sequence[str], known: Collection[str] = ()) -> Columns:
    """All rows at once."""
    pieces = list(parts(table, required, known, rows=_SCAN_ROWS))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def scan(table: TextTable, name: str) -> Scan:
    """Count the rows and look for the extremes of a column, in constant memory."""
    return scans(table, [name])[name]


def scans(table: TextTable, names: Sequence[str]) -> dict[str, Scan]:
    """The same for several columns of numbers at once; extremes of unknown ones are NaN."""
    _check_header(table, names)
    count = 0
    least, most = np.full(len(names), np.nan), np.full(len(names), np.nan)
    for frame in _frames(table, names, names, _SCAN_ROWS):
        values = np.stack([frame[table.names.index(n)].to_numpy(np.float64) for n in names])
        count += len(frame)
        least = np.fmin(least, np.fmin.reduce(values, axis=1))
        most = np.fmax(most, np.fmax.reduce(values, axis=1))
    return {
        name: Scan(count, float(low), float(high))
        for name, low, high in zip(names, least, most, strict=True)
    }


def _each_once(names: Sequence[str]) -> tuple[str, ...]:
    """Names without blanks around; nameless and doubled ones get a number.

    Nothing is under a nameless one at the end: the line ends with a comma.
    """
    names = list(names)
    while names and not names[-1].strip():
        names.pop()
    seen: dict[str, None] = {}
    for number, name in enumerate(names, start=1):
        bare = name.strip() or f"column_{number}"
        seen[f"{bare}_{number}" if bare in seen else bare] = None
    return tuple(seen)


def _check_header(table: TextTable, required: Sequence[str]) -> None:
    name = table.path.name
    if not table.names:
        raise TableError(f"{name} is empty, expected a header line; export the table again")
    missing = [column for column in required if column not in table.names]
    if missing:
        raise TableError(
            f"{name} lacks the columns {', '.join(missing)}; it has {', '.join(table.names)}"
        )


def _check_end(table: TextTable) -> None:
    """Refuse a file that ends inside a row, without a line end: pandas would fill it with NaN."""
    with table.path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - LOOK_BYTES, 0))
        last = _decoded(re.split(rb"[\r\n]", file.read())[-1]).strip(" ")
    if last and len(re.split(table.separator, last)) < len(table.names):
        raise TableError(
            f"{table.path.name} ends in the middle of a row; the file is cut, copy or export it "
            "again"
        )


def _holds_numbers(table: TextTable, name: str) -> bool:
    """Tell by its first rows whether an unknown column holds numbers; say so if it does not."""
    numbers = True  # of no rows
    with _readable(table) as options:
        look = pd.read_csv(
            table.path, usecols=[table.names.index(name)], nrows=_LOOK_ROWS, **options
        )
        numbers = look.iloc[:, 0].dtype.kind in "biuf"
    if not numbers:
        log.warning("%s: column %s holds text and is left out", table.path.name, name)
    return numbers


def _frames(
    table: TextTable, wanted: Sequence[str], known: Collection[str], rows: int
) -> Iterator[pd.DataFrame]:
    """Parts as pandas reads them, columns by their place; none for a table without rows."""
    columns = [table.names.index(name) for name in wanted]
    with _readable(table) as options:
        reader = pd.read_csv(
            table.path,
            usecols=columns,
            dtype={table.names.index(name): np.float64 for name in wanted if name in known},
            chunksize=rows,
            **options,
        )
        with reader:
            yield from reader


@contextmanager
def _readable(table: TextTable) -> Iterator[dict[str, Any]]:
    """Options to read rows with; no rows end the block, rows that are no numbers `TableError`."""
    options = {
        "header": None,
        "skiprows": table.skip,
        "sep": table.separator,
        "skipinitialspace": True,
        "encoding_errors": "replace",
        "low_memory": False,  # else a column may be of two types
    }
    try:
        yield options
    except pd.errors.EmptyDataError:
        return
    except (ValueError, pd.errors.ParserError) as error:
        if isinstance(error, TableError):
            raise
        reason = " ".join(str(error).split())
        raise TableError(
            f"{table.path.name} has rows that are no numbers under its header ({reason}); export "
            "the table again"
        ) from error


def _numbers(column: pd.Series[Any], name: str, path: Path, told: set[str]) -> NDArray[np.float64]:
    """Values of a column; text on the way becomes NaN and is told once."""
    if column.dtype.kind in "biuf":
        return column.to_numpy(np.float64)
    if name not in told:
        told.add(name)
        log.warning("%s: column %s holds text in some rows, NaN is taken there", path.name, name)
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
