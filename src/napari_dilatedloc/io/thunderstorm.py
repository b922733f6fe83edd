"""ThunderSTORM CSV: nm from the corner of the first pixel, frames from 1, quoted header."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io.columns import (
    corner_nm_to_px,
    emitters_from_nm,
    px_to_corner_nm,
    read_columns,
    require_pixel_size,
)
from napari_dilatedloc.table import Emitters, Localizations, TableInfo

log = logging.getLogger(__name__)

FRAME, X, Y, Z = "frame", "x [nm]", "y [nm]", "z [nm]"
PHOTONS, BG = "intensity [photon]", "offset [photon]"
SIGMA_XY, SIGMA_Z = "uncertainty_xy [nm]", "uncertainty_z [nm]"
SIGMA_OLD = "uncertainty [nm]"  # up to ThunderSTORM 1.3
PROB = "detection_probability"  # ours; ThunderSTORM takes any further column of numbers
REQUIRED = (FRAME, X, Y)
OPTIONAL = (Z, PHOTONS, BG, SIGMA_XY, SIGMA_OLD, SIGMA_Z, PROB)
_UNKNOWN = "NaN"


def is_header(names: list[str]) -> bool:
    """Tell a ThunderSTORM header by its required columns."""
    return set(REQUIRED) <= set(names)


def read(path: Path, pixel_size_nm: float | None) -> tuple[Localizations, TableInfo]:
    """Read localizations; `uncertainty_xy` becomes both `sigma_x` and `sigma_y`."""
    columns = read_columns(path, REQUIRED, OPTIONAL)
    size = require_pixel_size(pixel_size_nm, path)
    ours: dict[str, ArrayLike] = {
        "frame": _frame(columns[FRAME], path),
        "x": corner_nm_to_px(columns[X], size),
        "y": corner_nm_to_px(columns[Y], size),
    }
    sigma = columns.get(SIGMA_XY, columns.get(SIGMA_OLD))
    if sigma is not None:
        ours |= {"sigma_x": sigma / size, "sigma_y": sigma / size}
    for name, foreign in {
        "z_nm": Z,
        "photons": PHOTONS,
        "bg": BG,
        "sigma_z_nm": SIGMA_Z,
        "prob": PROB,
    }.items():
        if foreign in columns:
            ours[name] = columns[foreign]
    return Localizations.from_columns(**ours), TableInfo(size)


def read_truth(path: Path, pixel_size_nm: float | None) -> Emitters:
    """Read a simulated truth in ThunderSTORM's columns; z is NaN in 2-D."""
    columns = read_columns(path, REQUIRED, OPTIONAL)
    size = require_pixel_size(pixel_size_nm, path)
    unknown = np.full(len(columns[FRAME]), np.nan)
    zyx = (columns.get(Z, unknown), columns[Y], columns[X])
    return emitters_from_nm(_frame(columns[FRAME], path), zyx, columns.get(PHOTONS, unknown), size)


def files(path: Path) -> list[Path]:
    """Files of a table."""
    return [path]


@contextmanager
def writing(path: Path, info: TableInfo) -> Iterator[_Writer]:
    """Write localizations piece by piece; the file appears at the end.

    `uncertainty_xy` is the mean of `sigma_x` and `sigma_y`. Columns without any known value are
    left out, spot widths too: other readers drop rows with NaN, and invented numbers mislead.
    """
    with replacing(path) as temporary:
        yield _Writer(temporary, info.pixel_size_nm)


class _Writer:
    """Begins with the columns known in the first piece; a later one may make the file wider."""

    def __init__(self, path: Path, pixel_size_nm: float) -> None:
        self._path = path
        self._pixel_size_nm = pixel_size_nm
        self._rows = 0
        self._names: list[str] = []

    def add(self, piece: Localizations, *, last: bool) -> None:
        columns = _columns(piece, self._rows, self._pixel_size_nm)
        known = {
            name
            for name, values in columns.items()
            if not len(values) or not np.isnan(values).all()
        }
        if not known <= set(self._names):
            self._widen([name for name in columns if name in known or name in self._names])
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_text([columns[name] for name in self._names]))
        self._rows += len(piece)

    def _widen(self, names: list[str]) -> None:
        """Give the file more columns; rows written so far know nothing of them."""
        with (
            replacing(self._path) as wider,
            self._path.open(encoding="utf-8", newline="\n") as old,
            wider.open("w", encoding="utf-8", newline="\n") as new,
        ):
            new.write(",".join(f'"{name}"' for name in names) + "\n")
            old.readline()
            for line in old:
                row = dict(zip(self._names, line.rstrip("\n").split(","), strict=True))
                new.write(",".join(row.get(name, _UNKNOWN) for name in names) + "\n")
        self._names = names


def _text(columns: list[NDArray[Any]]) -> str:
    """Lines of a CSV; formatting whole rows was measured to take a quarter of pandas' time."""
    form = ",".join("%d" if values.dtype.kind == "i" else "%.5f" for values in columns) + "\n"
    text = "".join([form % row for row in zip(*(c.tolist() for c in columns), strict=True)])
    return text.replace("nan", _UNKNOWN)


def _columns(table: Localizations, rows: int, size: float) -> dict[str, NDArray[Any]]:
    """Every column we can write; `rows` were written before, `size` is the pixel's in nm."""
    return {
        "id": rows + np.arange(1, len(table) + 1),
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


def _frame(frame: NDArray[np.float64], path: Path) -> NDArray[np.int64]:
    """Frames from 1 -> from 0; a frame 0 shows a file of another habit (Picasso's export)."""
    whole: NDArray[np.int64] = np.rint(frame).astype(np.int64)
    if len(whole) and whole.min() < 1:
        log.warning(
            "%s has a frame 0, which ThunderSTORM never writes; frames are taken from 0, positions "
            "from the corner of the first pixel as ThunderSTORM does",
            path.name,
        )
        return whole
    return whole - 1
