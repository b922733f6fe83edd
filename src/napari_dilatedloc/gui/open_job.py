"""The job behind "Open": a table or a kept run as parts of a result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from napari_dilatedloc.gui.kept_runs import KeptRun
from napari_dilatedloc.gui.layers import Placement, field_of
from napari_dilatedloc.gui.store import in_frame_order
from napari_dilatedloc.io.tables import read_table
from napari_dilatedloc.table import Localizations, TableInfo

PART_ROWS = 50_000
"""Rows that the viewer takes at a time: more would hold its event loop up."""


@dataclass(frozen=True)
class TableOpened:
    """First thing that is yielded.

    Attributes
    ----------
    name : str
        Of the table.
    info : TableInfo
    shape : tuple of int
        (height, width) of the field, px: of the movie, else as `layers.field_of` has it.
    z_range_nm : (float, float), optional
        z that the model covers, nm.
    placement : Placement, optional
        Where it lies; default: over the movie of that name, else where pixel (0, 0) is 0.
    """

    name: str
    info: TableInfo
    shape: tuple[int, int]
    z_range_nm: tuple[float, float] | None = None
    placement: Placement | None = None


def open_table_job(
    path: Path, pixel_size_nm: float | None, stop: Event
) -> Iterator[TableOpened | Localizations]:
    """Read a table of any format: what it is, then its rows in order of frame, part by part.

    The pixel size is used where the file does not know its own.
    """
    table, info = _read(path, pixel_size_nm)
    if not len(table):
        raise ValueError(f"{path.name} holds no localizations; choose another table.")
    yield TableOpened(path.stem, info, info.shape or field_of(table))
    yield from parts_of(in_frame_order(table), stop)


def open_kept_job(run: KeptRun, stop: Event) -> Iterator[TableOpened | Localizations]:
    """Read a run of the dock again: what it is, then its rows in order of frame, part by part."""
    about = run.about
    yield TableOpened(about.movie, about.info, about.shape, about.z_range_nm)
    for part in run.parts():
        yield from parts_of(part, stop)


def parts_of(table: Localizations, stop: Event) -> Iterator[Localizations]:
    """Rows in order, those of one frame never apart."""
    start = 0
    while start < len(table) and not stop.is_set():
        last = table.frame[min(start + PART_ROWS, len(table)) - 1]
        end = int(np.searchsorted(table.frame, last, side="right"))
        yield table[start:end]
        start = end


def _read(path: Path, pixel_size_nm: float | None) -> tuple[Localizations, TableInfo]:
    """A file's own pixel size counts; a CSV has none."""
    try:
        return read_table(path)
    except ValueError:
        if pixel_size_nm is None:
            raise
        return read_table(path, pixel_size_nm=pixel_size_nm)
