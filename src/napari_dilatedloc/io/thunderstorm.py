"""ThunderSTORM CSV: nm from the corner of the first pixel, frames from 1, quoted header."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_dilatedloc.io import recipe, text_tables
from napari_dilatedloc.io.columns import (
    Columns,
    corner_nm_to_px,
    emitters_from_nm,
    further,
    px_to_corner_nm,
    require_pixel_size,
)
from napari_dilatedloc.io.csv_rows import CsvRows, Named, writing_csv
from napari_dilatedloc.table import Emitters, Localizations, TableInfo

log = logging.getLogger(__name__)

KNOWS_PIXEL_SIZE = False

ID = "id"  # number of the row, which other readers ignore too
FRAME, X, Y, Z = "frame", "x [nm]", "y [nm]", "z [nm]"
PHOTONS, BG = "intensity [photon]", "offset [photon]"
SIGMA_XY, SIGMA_Z = "uncertainty_xy [nm]", "uncertainty_z [nm]"
SIGMA_OLD = "uncertainty [nm]"  # up to ThunderSTORM 1.3
PROB = "detection_probability"  # ours; ThunderSTORM takes any further column of numbers
REQUIRED = (FRAME, X, Y)
OPTIONAL = (Z, PHOTONS, BG, SIGMA_XY, SIGMA_OLD, SIGMA_Z, PROB)


def is_header(names: tuple[str, ...]) -> bool:
    """Tell a ThunderSTORM header by its required columns."""
    return set(REQUIRED) <= set(names)


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """All that is known of the movie: what the user says."""
    size = require_pixel_size(pixel_size_nm, path)
    return TableInfo(size, recipe=recipe.read_beside(path))


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations; `uncertainty_xy` becomes both `sigma_x` and `sigma_y`."""
    size = require_pixel_size(pixel_size_nm, path)
    table = text_tables.open_text(path)
    base = _base(text_tables.scan(table, FRAME).least, path)
    for columns in text_tables.parts(table, REQUIRED, OPTIONAL, rows=rows):
        yield _localizations(columns, size, base)


def _localizations(columns: Columns, size: float, base: int) -> Localizations:
    ours: dict[str, ArrayLike] = {
        "frame": _whole(columns[FRAME]) - base,
        "x": corner_nm_to_px(columns[X], size),
        "y": corner_nm_to_px(columns[Y], size),
    }
    sigma = SIGMA_XY if SIGMA_XY in columns else SIGMA_OLD
    if sigma in columns:
        ours |= {"sigma_x": columns[sigma] / size, "sigma_y": columns[sigma] / size}
    for name, foreign in {
        "z_nm": Z,
        "photons": PHOTONS,
        "bg": BG,
        "sigma_z_nm": SIGMA_Z,
        "prob": PROB,
    }.items():
        if foreign in columns:
            ours[name] = columns[foreign]
    taken = {ID, *REQUIRED, Z, PHOTONS, BG, sigma, SIGMA_Z, PROB}
    return Localizations.from_columns(**ours).replace(extra=further(columns, taken))


def read_truth(path: Path, pixel_size_nm: float | None) -> Emitters:
    """Read a simulated truth in ThunderSTORM's columns; z is NaN in 2-D."""
    table = text_tables.open_text(path)
    columns = text_tables.whole(table, REQUIRED, OPTIONAL)
    size = require_pixel_size(pixel_size_nm, path)
    unknown = np.full(len(columns[FRAME]), np.nan)
    zyx = (columns.get(Z, unknown), columns[Y], columns[X])
    frame = _whole(columns[FRAME])
    frame -= _base(frame.min() if len(frame) else np.nan, path)
    return emitters_from_nm(frame, zyx, columns.get(PHOTONS, unknown), size)


def files(path: Path) -> list[Path]:
    """Files of a table."""
    return [path]


def writing(path: Path, info: TableInfo) -> AbstractContextManager[CsvRows]:
    """Write localizations piece by piece; the file appears at the end.

    `uncertainty_xy` is the mean of `sigma_x` and `sigma_y`. Columns without any known value are
    left out, spot widths too: other readers drop rows with NaN, and invented numbers mislead.
    """
    taken = (ID, *REQUIRED, *OPTIONAL)
    return writing_csv(path, info, partial(_columns, info.pixel_size_nm), taken=taken, quoted=True)


def _columns(size: float, table: Localizations, rows: int) -> Named:
    """Every column we can write; `rows` were written before, `size` is the pixel's in nm."""
    return {
        ID: rows + np.arange(1, len(table) + 1),
        FRAME: table.frame.astype(np.int64) + 1,
        X: px_to_corner_nm(table.x, size),
        Y: px_to_corner_nm(table.y, size),
        Z: table.z_nm.astype(np.float64),
        PHOTONS: table.photons.astype(np.float64),
        BG: table.bg.astype(np.float64),
        SIGMA_XY: (table.sigma_x.astype(np.float64) + table.sigma_y) / 2 * size,
        SIGMA_Z: table.sigma_z_nm.astype(np.float64),
        PROB: table.prob.astype(np.float64),
    }


def _whole(frame: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(np.rint(frame).astype(np.int64))


def _base(least: float, path: Path) -> int:
    """First frame; a frame 0 shows a file of another habit (Picasso's export)."""
    if not least < 0.5:
        return 1
    log.warning(
        "%s has a frame 0, which ThunderSTORM never writes; frames are taken from 0, positions "
        "from the corner of the first pixel as ThunderSTORM does",
        path.name,
    )
    return 0
