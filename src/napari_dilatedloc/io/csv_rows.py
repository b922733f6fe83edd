"""Tables of text written piece by piece."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io import recipe
from napari_dilatedloc.io.columns import written_names
from napari_dilatedloc.table import Localizations, TableInfo

log = logging.getLogger(__name__)

_UNKNOWN = "NaN"

Named = dict[str, NDArray[Any]]


@contextmanager
def writing_csv(
    path: Path,
    info: TableInfo,
    columns: Callable[[Localizations, int], Named],
    *,
    taken: Sequence[str],
    placed: Sequence[str] = (),
    decimals: str = "%.5f",
    quoted: bool = False,
    whole: bool = False,
    head: str = "",
) -> Iterator[CsvRows]:
    """Write a CSV, the extra columns at its end, and the recipe beside it.

    Rows without a finite position are left out, with a warning: no program reads them again.

    Parameters
    ----------
    path : Path
        The file.
    info : TableInfo
        For the recipe.
    columns : callable
        The format's columns of a piece, given the rows before it.
    taken : sequence of str
        Names the format takes for its own when it reads.
    placed : sequence of str
        Extra columns that `columns` gives already.
    decimals : str
        How the format's numbers with a fraction are written.
    quoted : bool
        Put all names in quotes, not only those that need them.
    whole : bool
        Write all columns of the format, not only those of which a value is known.
    head : str
        Lines before the names.
    """
    with recipe.kept_beside(path, info.recipe), replacing(path) as temporary:
        rows = CsvRows(temporary, columns, taken, placed, decimals, quoted, whole, head)
        yield rows
    if rows.nowhere:
        log.warning(
            "%s: %d localizations without a finite position are left out", path.name, rows.nowhere
        )


class CsvRows:
    """Begins with the columns known in the first piece; a later one may make the file wider.

    Attributes
    ----------
    nowhere : int
        Rows left out, for they have no finite position.
    """

    def __init__(
        self,
        path: Path,
        columns: Callable[[Localizations, int], Named],
        taken: Sequence[str],
        placed: Sequence[str],
        decimals: str,
        quoted: bool,
        whole: bool,
        head: str,
    ) -> None:
        self.nowhere = 0
        self._count = 0
        self._path = path
        self._columns = columns
        self._taken = taken
        self._placed = frozenset(placed)
        self._decimals = decimals
        self._quoted = quoted
        self._whole = whole
        self._head = head
        self._names: list[str] = []

    def add(self, piece: Localizations, *, last: bool) -> None:
        """Write the next rows."""
        there = np.isfinite(piece.x) & np.isfinite(piece.y)
        if not there.all():
            self.nowhere += int((~there).sum())
            piece = piece[there]
        own = self._columns(piece, self._count)
        forms = {name: "%d" if v.dtype.kind == "i" else self._decimals for name, v in own.items()}
        known = {name for name, values in own.items() if self._whole or _is_known(values)}
        beyond = [name for name in piece.extra if name not in self._placed]
        extra = {
            written: piece.extra[name]
            for name, written in written_names(beyond, self._taken).items()
        }
        forms |= {name: _exact_form(values.dtype) for name, values in extra.items()}
        columns = own | extra
        known |= set(extra)
        if not known <= set(self._names):
            self._widen([name for name in columns if name in known or name in self._names])
        text = text_of([columns[name] for name in self._names], [forms[n] for n in self._names])
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
        self._count += len(piece)

    def _widen(self, names: list[str]) -> None:
        """Give the file more columns; rows written so far know nothing of them."""
        lines = self._head.count("\n") + 1
        with (
            replacing(self._path) as wider,
            self._path.open(encoding="utf-8", newline="\n") as old,
            wider.open("w", encoding="utf-8", newline="\n") as new,
        ):
            new.write(self._head + ",".join(self._title(name) for name in names) + "\n")
            for _ in range(lines):
                old.readline()
            for line in old:
                row = dict(zip(self._names, line.rstrip("\n").split(","), strict=True))
                new.write(",".join(row.get(name, _UNKNOWN) for name in names) + "\n")
        self._names = names

    def _title(self, name: str) -> str:
        """Name of a column in the header, on one line."""
        title = " ".join(name.split())
        if self._quoted or any(sign in title for sign in ',"'):
            return '"' + title.replace('"', '""') + '"'
        return title


def text_of(columns: Sequence[NDArray[Any]], forms: Sequence[str]) -> str:
    """Lines of a CSV; formatting whole rows was measured to take a quarter of pandas' time."""
    form = ",".join(forms) + "\n"
    text = "".join([form % row for row in zip(*(c.tolist() for c in columns), strict=True)])
    return text.replace("nan", _UNKNOWN)


def _is_known(values: NDArray[Any]) -> bool:
    """Tell whether any value is known; columns of an empty piece count as known."""
    return not len(values) or not np.isnan(values).all()


def _exact_form(dtype: np.dtype[Any]) -> str:
    """Form in which a number loses nothing."""
    if dtype.kind != "f":
        return "%d"
    return "%r" if dtype.itemsize > 4 else "%.9g"
