"""Text of rapidSTORM: nm from the centre of the first pixel, frames from 0.

The first line is XML and says what the columns are; it tells the greatest position too, which is a
whole number of pixels: the centre of the last one. `Amplitude` is in counts of the camera, which
are no photons without its gain; it stays an extra column under its identifier, as do widths and
residues.

Settled from files of it and from a movie that lies beside one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike

from napari_dilatedloc.io import text_tables
from napari_dilatedloc.io.columns import Columns, TableError, further, require_pixel_size
from napari_dilatedloc.table import Localizations, TableInfo

KNOWS_PIXEL_SIZE = False

_START = "# <localizations"
FRAME, X, Y, Z = "ImageNumber-0-0", "Position-0-0", "Position-1-0", "Position-2-0"
_UNCERTAIN = "PositionUncertainty-"
_SIGMAS = {"sigma_x": "0-0", "sigma_y": "1-0", "sigma_z_nm": "2-0"}
_PHOTONS = {"photons": "Amplitude-0-0", "bg": "LocalBackground-0-0"}
_NM = {"nanometer": 1.0, "micrometer": 1e3, "meter": 1e9}
_WHOLE = 0.02
"""A field so far from a whole number of pixels is not told: the pixel size is not that of it."""


def is_title(line: str) -> bool:
    """Tell rapidSTORM's text by its first line."""
    return line.startswith(_START)


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """Pixel size of the user, and the field that the greatest positions make of it."""
    size = require_pixel_size(pixel_size_nm, path)
    fields = _fields(path)
    sides = []
    for name in (Y, X):
        most = fields.get(name, {}).get("max", "").split()
        across = float(most[0]) * 1e9 / size if len(most) == 2 and most[1] == "m" else np.nan
        if not abs(across - np.rint(across)) < _WHOLE:
            return TableInfo(size)
        sides.append(int(np.rint(across)) + 1)
    return TableInfo(size, shape=(sides[0], sides[1]))


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations."""
    size = require_pixel_size(pixel_size_nm, path)
    fields = _fields(path)
    table = text_tables.TextTable(path, tuple(fields), r"\s+")
    for columns in text_tables.parts(table, (FRAME, X, Y), tuple(fields), rows=rows):
        yield _localizations(columns, fields, size)


def _localizations(
    columns: Columns, fields: dict[str, dict[str, str]], size: float
) -> Localizations:
    def nm(name: str) -> ArrayLike:
        return np.asarray(columns[name] * _NM[fields[name]["unit"]])

    ours: dict[str, ArrayLike] = {
        "frame": np.rint(columns[FRAME]),
        "x": np.asarray(nm(X)) / size,
        "y": np.asarray(nm(Y)) / size,
    }
    taken = {FRAME, X, Y}
    for name, place in _SIGMAS.items():
        if _UNCERTAIN + place in columns:
            sigma = np.asarray(nm(_UNCERTAIN + place))
            ours[name] = sigma if name == "sigma_z_nm" else sigma / size
            taken.add(_UNCERTAIN + place)
    if Z in columns:
        ours["z_nm"] = nm(Z)
        taken.add(Z)
    for name, foreign in _PHOTONS.items():
        if foreign in columns and fields[foreign].get("unit", "").startswith("photon"):
            ours[name] = columns[foreign]
            taken.add(foreign)
    return Localizations.from_columns(**ours).replace(extra=further(columns, taken))


def _fields(path: Path) -> dict[str, dict[str, str]]:
    """What the first line says of each column, in order."""
    line = text_tables.first_lines(path, 1)[0]
    try:
        root = ElementTree.fromstring(line.lstrip("# "))
        fields = {field.attrib["identifier"]: dict(field.attrib) for field in root.iter("field")}
    except (ElementTree.ParseError, KeyError) as error:
        raise TableError(
            f"the first line of {path.name} is no description by rapidSTORM ({error}); export the "
            "table again"
        ) from error
    missing = [name for name in (FRAME, X, Y) if name not in fields]
    if missing:
        raise TableError(
            f"{path.name} lacks the columns {', '.join(missing)}; it has {', '.join(fields)}"
        )
    for name in fields:
        unit = fields[name].get("unit", "")
        if name.startswith("Position") and unit not in _NM:
            raise TableError(
                f"{path.name} has {name} in {unit!r}, expected {', '.join(_NM)}; export it again"
            )
    return fields
