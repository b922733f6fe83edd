"""CSV tables as named columns of float64, with one sentence for what is wrong with them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_dilatedloc.table import Emitters


class TableError(ValueError):
    """A table that cannot be used; the message is one sentence."""


Columns = dict[str, NDArray[np.float64]]


def read_header(path: Path) -> list[str]:
    """Column names of the first line, without quotes and blanks; [] if there is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(65536)
    except FileNotFoundError as error:
        raise TableError(f"no such file: {path}; check the path") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path.name} is no text; expected a CSV of localizations") from error
    names = next(csv.reader([line.strip()]), [])
    if len(names) == 1 and "," in names[0]:  # a header that was quoted once more as a whole
        names = next(csv.reader([names[0]]))
    return [name.strip() for name in names]


def read_columns(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Columns:
    """Read the wanted columns of a CSV with one header line.

    Raises
    ------
    TableError
        For an empty file, missing columns, or rows that are no numbers.
    """
    names = read_header(path)
    if not names:
        raise TableError(f"{path.name} is empty, expected a header line; export the table again")
    missing = [name for name in required if name not in names]
    if missing:
        raise TableError(
            f"{path.name} lacks the columns {', '.join(missing)}; it has {', '.join(names)}"
        )
    wanted = [name for name in (*required, *optional) if name in names]
    try:
        table = pd.read_csv(
            path,
            header=None,
            skiprows=1,
            usecols=[names.index(name) for name in wanted],
            dtype=np.float64,
            skipinitialspace=True,
            encoding="utf-8-sig",
        )
    except pd.errors.EmptyDataError:
        return {name: np.zeros(0) for name in wanted}
    except (ValueError, pd.errors.ParserError) as error:
        raise TableError(
            f"{path.name} has rows that are no numbers under its header ({error}); export the "
            "table again"
        ) from error
    columns = {name: table[names.index(name)].to_numpy(np.float64) for name in wanted}
    for name in required:
        bad = np.flatnonzero(~np.isfinite(columns[name]))
        if len(bad):
            raise TableError(
                f"{path.name}: {name} in row {bad[0] + 1} is no finite number; the file is cut "
                "or damaged, export it again"
            )
    return columns


def corner_nm_to_px(position_nm: NDArray[np.float64], pixel_size_nm: float) -> NDArray[np.float64]:
    """Nm from the corner of the first pixel -> px from its centre."""
    return np.asarray(position_nm / pixel_size_nm - 0.5)


def px_to_corner_nm(position_px: NDArray[np.float32], pixel_size_nm: float) -> NDArray[np.float64]:
    """Px from the centre of the first pixel -> nm from its corner."""
    return np.asarray((position_px.astype(np.float64) + 0.5) * pixel_size_nm)


def require_pixel_size(pixel_size_nm: float | None, path: Path) -> float:
    """Give back the pixel size, or say that it is missing."""
    if pixel_size_nm is None:
        raise TableError(
            f"{path.name} has positions in nm and no pixel size; give pixel_size_nm, the camera "
            "pixel in nm"
        )
    if not pixel_size_nm > 0:
        raise TableError(f"pixel_size_nm must be positive, got {pixel_size_nm}; give it in nm")
    return float(pixel_size_nm)


def emitters_from_nm(
    frame: NDArray[np.int64],
    zyx_nm: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    photons: NDArray[np.float64],
    pixel_size_nm: float,
) -> Emitters:
    """Emitters from frames counted from 0 and positions from the corner of the first pixel.

    Rows at one position get one `id`; an unknown z (NaN) counts as one.
    """
    z, y, x = zyx_nm
    return Emitters(
        frame=frame.astype(np.int32),
        x=corner_nm_to_px(x, pixel_size_nm).astype(np.float32),
        y=corner_nm_to_px(y, pixel_size_nm).astype(np.float32),
        z_nm=z.astype(np.float32),
        photons=photons.astype(np.float32),
        id=_position_ids(x, y, np.nan_to_num(z)).astype(np.int32),
    )


def _position_ids(*coordinates: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give rows at one position one number, from 0 in order of appearance."""
    rows = np.stack(coordinates, axis=1)
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse.reshape(-1)])
