"""A table that comes in parts of any size, handed to its format in pieces of one size.

A format therefore never holds more than one piece, and the bytes of a file depend on its rows
alone, not on how they came.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import h5py
from numpy.typing import NDArray

from napari_dilatedloc.table import Localizations

PIECE_ROWS = 2**16
"""Rows a piece: 3 MB, enough to be fast in every format."""

CHUNK_ROWS = 2**14
"""Rows of a chunk in an HDF5 file that grows; on disk its last one is as long as the others."""


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

    def write(self, localizations: Localizations) -> None:
        """Take the next rows."""
        if not len(localizations):
            return
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


def extendable(
    file: h5py.File, name: str, values: NDArray[Any], *, last: bool, **options: Any
) -> h5py.Dataset:
    """HDF5 dataset that begins with these rows; with `last` it is made to their measure."""
    if last:
        return file.create_dataset(name, data=values, **options)
    return file.create_dataset(name, data=values, maxshape=(None,), chunks=(CHUNK_ROWS,), **options)


def append(dataset: h5py.Dataset, values: NDArray[Any]) -> None:
    """Add rows at the end of a dataset that can grow."""
    dataset.resize(len(dataset) + len(values), axis=0)
    dataset[len(dataset) - len(values) :] = values
