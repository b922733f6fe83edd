"""Columns by the names and in the units in which people speak of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.parts import Placed
from napari_dilatedloc.table import Localizations

Column = NDArray[Any]
Floats64 = NDArray[np.float64]


def _lateral(table: Localizations) -> Column:
    return np.asarray(np.sqrt((table.sigma_x**2 + table.sigma_y**2) / 2))


_IN_PX: dict[str, Callable[[Localizations], Column]] = {
    "x_nm": lambda table: table.x,
    "y_nm": lambda table: table.y,
    "sigma_x_nm": lambda table: table.sigma_x,
    "sigma_y_nm": lambda table: table.sigma_y,
    "sigma_lateral_nm": _lateral,
}

SPOKEN = (
    "photons",
    "bg",
    "prob",
    "frame",
    "x_nm",
    "y_nm",
    "z_nm",
    "sigma_x_nm",
    "sigma_y_nm",
    "sigma_z_nm",
    "sigma_lateral_nm",
)


def quantity_names(table: Localizations) -> tuple[str, ...]:
    """All names that `quantity` knows for this table: those with units, raw ones, extra ones."""
    return tuple(dict.fromkeys((*SPOKEN, *table.column_names(), *table.extra)))


def quantity(table: Localizations, name: str, pixel_size_nm: float) -> Column:
    """One column of a table.

    Parameters
    ----------
    table : Localizations
        Where it is from.
    name : str
        Of `quantity_names`. ``x_nm`` and ``y_nm`` are 0 at the centre of the first pixel, as in
        napari; ``sigma_lateral_nm`` is the root mean square of both lateral precisions, the
        standard deviation along any one axis.
    pixel_size_nm : float
        Camera pixel, nm.

    Raises
    ------
    ValueError
        If the table has no such column.

    Examples
    --------
    >>> table = Localizations.from_columns(frame=[0], x=[2.0], y=[3.0], sigma_x=[0.25])
    >>> quantity(table, "sigma_x_nm", 100.0).tolist()
    [25.0]
    """
    if name in _IN_PX:
        return np.asarray(_IN_PX[name](table) * np.float32(pixel_size_nm))
    if name in table.column_names():
        return np.asarray(getattr(table, name))
    if name in table.extra:
        return table.extra[name]
    raise ValueError(f"no column {name!r}; there are {', '.join(quantity_names(table))}")


def positions_nm(table: Placed, pixel_size_nm: float, z_weight: float = 0.0) -> Floats64:
    """Places in which a distance is a plain one, (N, 2) y, x or (N, 3) z, y, x in nm.

    Parameters
    ----------
    table, pixel_size_nm
        Rows; camera pixel, nm.
    z_weight : float
        z is multiplied with it; 0 leaves z out.

    Raises
    ------
    ValueError
        If z is to count and the table has none.
    """
    y, x = (axis.astype(np.float64) * pixel_size_nm for axis in (table.y, table.x))
    if not z_weight:
        return np.stack([y, x], axis=1)
    if len(table) and np.isnan(table.z_nm).all():
        raise ValueError(f"the table has no z, but z_weight is {z_weight:g}; set it to 0")
    return np.stack([table.z_nm.astype(np.float64) * z_weight, y, x], axis=1)
