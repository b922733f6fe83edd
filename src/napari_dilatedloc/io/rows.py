"""A table that comes in parts of any size, handed to its format in pieces of one size.

A format therefore never holds more than one piece, and the bytes of a file depend on its rows
alone, not on how they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.io.columns import TableError
from napari_dilatedloc.table import Localizations

PIECE_ROWS = 2**16
"""Rows a piece: 3 MB, enough to be fast in every format."""

CHUNK_ROWS = 2**14
"""Rows of a chunk in an HDF5 file that grows; on disk its last one is as long as the others."""

_PLAIN = " !\"#$&'()*+,:;<=>?@[]^`{|}~"  # signs of a name that may stay; / and . and % may not


class Sink(Protocol):
    """What a format does with the pieces of one table."""

    def add(self, piece: Localizations, *, last: bool) -> None:
        """Write the next piece; all but the last have `PIECE_ROWS` rows.

        Only a table without rows has a piece without rows.
        """
        ...


class TableWriter:
    """Takes a table part by part; `tables.open_table` makes one.

    Parameters
    ----------
    sink : Sink
        Where the pieces go.
    files : list of Path
        Files that will be there in the end.
    """

    def __init__(self, sink: Sink, files: list[Path]) -> None:
        self.files = files
        self._sink = sink
        self._waiting: list[Localizations] = []
        self._rows = 0
        self._extra: dict[str, np.dtype[Any]] | None = None

    def write(self, localizations: Localizations) -> None:
        """Take the next rows.

        Raises
        ------
        TableError
            If their extra columns are not those of the rows before, by name and type.
        """
        if not len(localizations):
            return
        extra = {name: values.dtype for name, values in localizations.extra.items()}
        if self._extra is None:
            self._extra = extra
        elif extra != self._extra:
            raise TableError(
                "all parts of a table must have the same extra columns, got "
                f"{_listed(extra)} after {_listed(self._extra)}; give each part all of them"
            )
        self._waiting.append(localizations)
        self._rows += len(localizations)
        if self._rows > PIECE_ROWS:  # an equal number may turn out to be the last
            table = self._take()
            start = 0
            while len(table) - start > PIECE_ROWS:
                self._sink.add(table[start : start + PIECE_ROWS], last=False)
                start += PIECE_ROWS
            self._waiting, self._rows = [table[start:]], len(table) - start

    def close(self) -> None:
        """Hand on what is left; nothing may be written after."""
        self._sink.add(self._take(), last=True)
        self._waiting, self._rows = [], 0

    def _take(self) -> Localizations:
        if len(self._waiting) == 1:
            return self._waiting[0]
        return Localizations.concatenate(self._waiting)


def hdf5_name(name: str) -> str:
    """Name of a column as HDF5 takes it: what it has for a path is written as in web addresses.

    `urllib.parse.unquote` gives the name back.
    """
    return quote(name, safe=_PLAIN).replace(".", "%2E")


class GrowingColumns:
    """Columns of an HDF5 group that grow together.

    Parameters
    ----------
    group : h5py.Group
        Where they lie.
    axis : int
        Axis along which rows are counted.
    known_only : bool
        Begin a column with the first piece in which a value of it is known; it is NaN before.
    **options
        Filters of the datasets.
    """

    def __init__(
        self, group: h5py.Group, *, axis: int = 0, known_only: bool = False, **options: Any
    ) -> None:
        self._group = group
        self._axis = axis
        self._known_only = known_only
        self._options = options
        self._columns: dict[str, h5py.Dataset] = {}
        self._rows = 0

    def add(self, columns: Mapping[str, NDArray[Any]], *, last: bool) -> None:
        """Write the next rows; each piece has the same columns."""
        rows = 0
        for name, values in columns.items():
            rows = values.shape[self._axis]
            if name in self._columns:
                append(self._columns[name], values, axis=self._axis)
            elif not self._known_only or not rows or not _is_unknown(values):
                self._columns[name] = extendable(
                    self._group,
                    name,
                    values,
                    last=last,
                    axis=self._axis,
                    before=self._rows,
                    **(self._options if rows else {}),
                )
        self._rows += rows

    def names(self) -> list[str]:
        """Names of the columns that are there."""
        return list(self._columns)


def extendable(
    group: h5py.Group,
    name: str,
    values: NDArray[Any],
    *,
    last: bool,
    axis: int = 0,
    before: int = 0,
    **options: Any,
) -> h5py.Dataset:
    """HDF5 dataset that begins with these rows; with `last` it is made to their measure.

    So many rows `before` them are NaN.
    """
    if last and not before:
        return group.create_dataset(name, data=values, **options)
    ahead, behind = values.shape[:axis], values.shape[axis + 1 :]
    options |= {
        "maxshape": (*ahead, None, *behind),
        "chunks": (*ahead, CHUNK_ROWS, *behind),
    }
    if not before:
        return group.create_dataset(name, data=values, **options)
    shape = (*ahead, before, *behind)
    dataset = group.create_dataset(
        name, shape=shape, dtype=values.dtype, fillvalue=np.nan, **options
    )
    append(dataset, values, axis=axis)
    return dataset


def append(dataset: h5py.Dataset, values: NDArray[Any], *, axis: int = 0) -> None:
    """Add rows at the end of a dataset that can grow."""
    before = dataset.shape[axis]
    dataset.resize(before + values.shape[axis], axis=axis)
    dataset[(slice(None),) * axis + (slice(before, None),)] = values


def outermost(values: NDArray[Any]) -> int:
    """Least number of pixels or frames that holds these positions, as far as they are finite."""
    finite = values[np.isfinite(values)]
    return int(np.floor(finite.max() + 0.5)) + 1 if len(finite) else 1


def _is_unknown(values: NDArray[Any]) -> bool:
    return values.dtype.kind == "f" and bool(np.isnan(values).all())


def _listed(extra: Mapping[str, np.dtype[Any]]) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in extra.items()) or "none"
