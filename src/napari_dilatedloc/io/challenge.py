"""Ground-truth CSV of the SMLM Challenge: nm from the corner of the first pixel, frames from 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io.columns import (
    Columns,
    TableError,
    corner_nm_to_px,
    emitters_from_nm,
    px_to_corner_nm,
    read_columns,
    require_pixel_size,
)
from napari_dilatedloc.table import Emitters, Localizations, TableInfo

HEADER = "Ground-truth,frame,xnano,ynano,znano,intensity "  # the original ends in a blank too
REQUIRED = ("frame", "xnano", "ynano", "znano", "intensity")


def is_header(names: list[str]) -> bool:
    """Tell the Challenge's header by its columns of positions."""
    return {"frame", "xnano", "ynano"} <= set(names)


def read(path: Path, pixel_size_nm: float | None) -> tuple[Localizations, TableInfo]:
    """Read the truth as if it were localizations."""
    columns, size = _read(path, pixel_size_nm)
    table = Localizations.from_columns(
        frame=columns["frame"] - 1,
        x=corner_nm_to_px(columns["xnano"], size),
        y=corner_nm_to_px(columns["ynano"], size),
        z_nm=columns["znano"],
        photons=columns["intensity"],
    )
    return table, TableInfo(size)


def read_truth(path: Path, pixel_size_nm: float | None) -> Emitters:
    """Read emitters; the rows of one position get one `id`."""
    columns, size = _read(path, pixel_size_nm)
    zyx = (columns["znano"], columns["ynano"], columns["xnano"])
    return emitters_from_nm(columns["frame"].astype(np.int64) - 1, zyx, columns["intensity"], size)


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


def _read(path: Path, pixel_size_nm: float | None) -> tuple[Columns, float]:
    columns = read_columns(path, REQUIRED)
    columns["frame"] = np.rint(columns["frame"])
    if (columns["frame"] < 1).any():
        raise TableError(
            f"{path.name} has a frame {columns['frame'].min():.0f}, expected frames from 1; add 1 "
            "to the column"
        )
    return columns, require_pixel_size(pixel_size_nm, path)
