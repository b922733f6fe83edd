"""Columns of DECODE's tables and what they mean, as in its HDF5 and in its CSV.

- ``x``, ``y``: pixel centres at whole numbers, in px or nm as ``xy_unit`` says; ``x`` runs along
  the first axis of a frame, which is our y. ``z`` nm. ``frame_ix`` from 0.
- ``*_sig``: standard deviation, in the unit of the column; ``*_cr``: bound on the variance.
- ``id``: -1 where there is none. ``prob``, ``phot``, ``bg``: as ours.
- ``px_size``: sides of a pixel along x, y, nm.

Extra columns of ours under ``x_cr`` and ``y_cr`` are along our axes, in px².

Settled from decode/utils/emitter_io.py and decode/generic/emitter.py in
https://github.com/TuragaLab/DECODE and from a file of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_dilatedloc.io.columns import TableError, further
from napari_dilatedloc.table import Localizations

VERSION = "0.10.0"
"""Of the layout we write."""

REQUIRED = ("x", "y", "z", "phot", "frame_ix")
SIGMAS = {
    "x_sig": "sigma_y",
    "y_sig": "sigma_x",
    "z_sig": "sigma_z_nm",
    "phot_sig": "sigma_photons",
}
PLAIN = {"z": "z_nm", "phot": "photons", "bg": "bg", "prob": "prob"}
OWN_EXTRA = ("id", "phot_cr", "bg_cr", "bg_sig", "x_cr", "y_cr", "z_cr")
NAMES = (*REQUIRED, "id", "prob", "bg", *(n for n in OWN_EXTRA if n != "id"), *SIGMAS)

_SWAPPED = {"x_cr": "y_cr", "y_cr": "x_cr"}


@dataclass(frozen=True)
class Unit:
    """Pixels of a file.

    Attributes
    ----------
    size_nm : float
        Side of a pixel along our x, nm; positions are given in it.
    y_scale, x_scale : float
        What DECODE's x and y are multiplied with to be our y and x.
    sides_nm : tuple of float
        Sides of a pixel along our x, y, nm.
    """

    size_nm: float
    y_scale: float
    x_scale: float
    sides_nm: tuple[float, float]


def unit_of(xy_unit: Any, px_size: Any, pixel_size_nm: float | None, path: Path) -> Unit:
    """Pixels as the file says, or square ones as the user does.

    Raises
    ------
    TableError
        For an unknown unit or no pixel size.
    """
    if xy_unit not in ("px", "nm"):
        raise TableError(
            f"{path.name} has positions in {xy_unit!r}, expected px or nm; set xy_unit in DECODE "
            "and save it again"
        )
    sides = np.zeros(0) if px_size is None else np.asarray(px_size, np.float64).ravel()
    if pixel_size_nm is None and len(sides) < 2:
        raise TableError(f"{path.name} has no px_size; give pixel_size_nm, the camera pixel in nm")
    if pixel_size_nm is not None:
        if not pixel_size_nm > 0:
            raise TableError(f"pixel_size_nm must be positive, got {pixel_size_nm}; give it in nm")
        sides = np.full(2, pixel_size_nm)
    y, x = float(sides[0]), float(sides[1])
    if xy_unit == "nm":
        return Unit(x, 1 / x, 1 / x, (x, y))
    return Unit(x, y / x, 1.0, (x, y))


def to_localizations(columns: Mapping[str, NDArray[Any]], unit: Unit) -> Localizations:
    """Localizations of DECODE's columns."""
    scale = {"x": unit.y_scale, "x_sig": unit.y_scale, "y": unit.x_scale, "y_sig": unit.x_scale}
    variance = {"x_cr": unit.y_scale**2, "y_cr": unit.x_scale**2}
    ours: dict[str, ArrayLike] = {"frame": columns["frame_ix"]}
    for foreign, name in {"x": "y", "y": "x", **PLAIN, **SIGMAS}.items():
        if foreign in columns:
            ours[name] = columns[foreign] * np.float64(scale.get(foreign, 1.0))
    taken = ("x", "y", "frame_ix", *PLAIN, *SIGMAS)
    extra = further(columns, taken)
    extra = {
        _SWAPPED.get(name, name): values if variance.get(name, 1) == 1 else values * variance[name]
        for name, values in extra.items()
    }
    return Localizations.from_columns(**ours).replace(extra=extra)


def of_localizations(table: Localizations) -> dict[str, NDArray[Any]]:
    """DECODE's columns in px; those of `OWN_EXTRA` are NaN (`id`: -1) unless the table has them."""
    unknown = np.full(len(table), np.nan, np.float32)
    columns: dict[str, NDArray[Any]] = {
        "x": table.y,
        "y": table.x,
        "frame_ix": table.frame.astype(np.int64),
    }
    columns |= {foreign: getattr(table, ours) for foreign, ours in {**PLAIN, **SIGMAS}.items()}
    for name in OWN_EXTRA:
        columns[name] = table.extra.get(_SWAPPED.get(name, name), unknown).astype(np.float32)
    identity = table.extra.get("id", np.full(len(table), -1))
    columns["id"] = np.nan_to_num(identity, nan=-1).astype(np.int64)
    return {name: columns[name] for name in NAMES}


def beyond(table: Localizations) -> dict[str, NDArray[Any]]:
    """Extra columns that DECODE does not have."""
    return {name: values for name, values in table.extra.items() if name not in OWN_EXTRA}
