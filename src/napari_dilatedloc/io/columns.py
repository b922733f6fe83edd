"""Named columns of foreign tables: units, origins, names, and what is wrong in one sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.table import Emitters, Localizations


class TableError(ValueError):
    """A table that cannot be used; the message is one sentence."""


Columns = dict[str, NDArray[np.float64]]

_PREFIX = "extra_"
"""Set before the name of an extra column where the format has a column of that name."""


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


def frames_from_one(frame: NDArray[np.float64], path: Path) -> NDArray[np.int64]:
    """Frames from 1 -> from 0; `TableError` for a frame below 1."""
    whole: NDArray[np.int64] = np.rint(frame).astype(np.int64)
    if len(whole) and whole.min() < 1:
        raise TableError(
            f"{path.name} has a frame {whole.min()}, expected frames from 1; add 1 to the column"
        )
    return whole - 1


def written_names(extra: Collection[str], taken: Collection[str]) -> dict[str, str]:
    """Names of extra columns in a file whose format takes these for its own."""
    return {name: f"{_PREFIX}{name}" if name in taken else name for name in extra}


def further(columns: Mapping[str, NDArray[Any]], taken: Collection[str]) -> dict[str, NDArray[Any]]:
    """Columns of a file that are none of its format's, by their names in a table of ours.

    A name that means something else with us, such as a foreign ``bg``, gets ``foreign_`` before it.
    """
    house = Localizations.column_names()
    found = {}
    for name, values in columns.items():
        if name in taken:
            continue
        bare = name.removeprefix(_PREFIX)
        if bare != name and bare in taken and bare not in house:
            found[bare] = values
        else:
            found[f"foreign_{name}" if name in house else name] = values
    return found


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
