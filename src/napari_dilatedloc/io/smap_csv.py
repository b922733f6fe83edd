"""CSV of SMAP; what its columns mean stands in `smap_columns`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np

from napari_dilatedloc.io import recipe, smap_columns, text_tables
from napari_dilatedloc.io.columns import frames_from_one, require_pixel_size
from napari_dilatedloc.io.csv_rows import CsvRows, Named, writing_csv
from napari_dilatedloc.table import Localizations, TableInfo

KNOWS_PIXEL_SIZE = False

ID = smap_columns.ID


def is_header(names: tuple[str, ...]) -> bool:
    """Tell SMAP's header by its columns of positions."""
    return set(smap_columns.REQUIRED) <= set(names)


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """All that is known of the movie: what the user says."""
    size = require_pixel_size(pixel_size_nm, path)
    return TableInfo(size, recipe=recipe.read_beside(path))


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations."""
    size = require_pixel_size(pixel_size_nm, path)
    table = text_tables.open_text(path)
    known = (ID, *smap_columns.OPTIONAL)
    for columns in text_tables.parts(table, smap_columns.REQUIRED, known, rows=rows):
        frame = frames_from_one(columns["frame"], path)
        yield smap_columns.to_localizations(columns, frame, size)


def files(path: Path) -> list[Path]:
    """Files of a table."""
    return [path]


def writing(path: Path, info: TableInfo) -> AbstractContextManager[CsvRows]:
    """Write localizations piece by piece, without the columns of which no value is known."""
    taken = (ID, *smap_columns.REQUIRED, *smap_columns.OPTIONAL)
    return writing_csv(path, info, partial(_columns, info.pixel_size_nm), taken=taken)


def _columns(size: float, table: Localizations, rows: int) -> Named:
    return {
        ID: rows + np.arange(1, len(table) + 1),
        "frame": table.frame.astype(np.int64) + 1,
        **smap_columns.of_localizations(table, size),
    }
