"""CSV of the SMLM Challenge: nm from the corner of the first pixel, frames from 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io import recipe, text_tables
from napari_dilatedloc.io.columns import (
    corner_nm_to_px,
    emitters_from_nm,
    frames_from_one,
    further,
    px_to_corner_nm,
    require_pixel_size,
)
from napari_dilatedloc.io.csv_rows import CsvRows, Named, writing_csv
from napari_dilatedloc.table import Emitters, Localizations, TableInfo

KNOWS_PIXEL_SIZE = False

HEADER = "Ground-truth,frame,xnano,ynano,znano,intensity "  # the original ends in a blank too
ID, FRAME, X, Y, Z, PHOTONS = HEADER.split(",")
PHOTONS = PHOTONS.strip()
REQUIRED = (FRAME, X, Y, Z, PHOTONS)


def is_header(names: tuple[str, ...]) -> bool:
    """Tell the Challenge's header by its columns of positions."""
    return {FRAME, X, Y} <= set(names)


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """All that is known of the movie: what the user says."""
    size = require_pixel_size(pixel_size_nm, path)
    return TableInfo(size, recipe=recipe.read_beside(path))


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations, or a truth as if it were some; z and photons may be NaN."""
    size = require_pixel_size(pixel_size_nm, path)
    table = text_tables.open_text(path)
    for columns in text_tables.parts(table, REQUIRED, (ID,), rows=rows, finite=(FRAME, X, Y)):
        yield Localizations.from_columns(
            frame=frames_from_one(columns[FRAME], path),
            x=corner_nm_to_px(columns[X], size),
            y=corner_nm_to_px(columns[Y], size),
            z_nm=columns[Z],
            photons=columns[PHOTONS],
        ).replace(extra=further(columns, (ID, *REQUIRED)))


def read_truth(path: Path, pixel_size_nm: float | None) -> Emitters:
    """Read emitters; the rows of one position get one `id`."""
    columns = text_tables.whole(text_tables.open_text(path), REQUIRED)
    frame = frames_from_one(columns[FRAME], path)
    size = require_pixel_size(pixel_size_nm, path)
    return emitters_from_nm(frame, (columns[Z], columns[Y], columns[X]), columns[PHOTONS], size)


def write_truth(path: Path, emitters: Emitters, pixel_size_nm: float) -> None:
    """Write emitters; rows are numbered from 1 as in the original."""
    size = require_pixel_size(pixel_size_nm, path)
    rows = np.stack(
        [
            np.arange(1, len(emitters) + 1),
            emitters.frame.astype(np.int64) + 1,
            px_to_corner_nm(emitters.x, size),
            px_to_corner_nm(emitters.y, size),
            emitters.z_nm.astype(np.float64),
            emitters.photons.astype(np.float64),
        ],
        axis=1,
    )
    with replacing(path) as temporary:
        np.savetxt(
            temporary,
            rows,
            fmt="%d,%d,%.5f,%.5f,%.5f,%.5f",
            header=HEADER,
            comments="",
            newline="\n",
        )


def files(path: Path) -> list[Path]:
    """Files of a table."""
    return [path]


def writing(path: Path, info: TableInfo) -> AbstractContextManager[CsvRows]:
    """Write localizations piece by piece; all columns of the Challenge are there, known or not."""
    return writing_csv(
        path, info, partial(_columns, info.pixel_size_nm), taken=(ID, *REQUIRED), whole=True
    )


def _columns(size: float, table: Localizations, rows: int) -> Named:
    return {
        ID: rows + np.arange(1, len(table) + 1),
        FRAME: table.frame.astype(np.int64) + 1,
        X: px_to_corner_nm(table.x, size),
        Y: px_to_corner_nm(table.y, size),
        Z: table.z_nm.astype(np.float64),
        PHOTONS: table.photons.astype(np.float64),
    }
