"""Which format a table has, by its content, and in which one it is written, by name or suffix.

A format is a module with

- ``KNOWS_PIXEL_SIZE``: whether its files say how large a camera pixel is;
- ``info(path, pixel_size_nm)``: a `TableInfo`;
- ``parts(path, pixel_size_nm, rows)``: `Localizations` in parts of so many rows at most;
- ``files(path)`` and ``writing(path, info)``, a context manager that gives a `rows.Sink`, if we
  write it.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Literal

import h5py

from napari_dilatedloc.io import (
    challenge,
    decode_csv,
    decode_tables,
    native,
    nikon,
    oni,
    parquet,
    picasso,
    rapidstorm,
    smap,
    smap_csv,
    text_tables,
    thunderstorm,
)
from napari_dilatedloc.io.columns import TableError

Kind = Literal[
    "thunderstorm",
    "picasso",
    "native",
    "parquet",
    "smap",
    "smap-csv",
    "decode",
    "decode-csv",
    "challenge",
]

FORMATS: dict[Kind, ModuleType] = {
    "thunderstorm": thunderstorm,
    "picasso": picasso,
    "native": native,
    "parquet": parquet,
    "smap": smap,
    "smap-csv": smap_csv,
    "decode": decode_tables,
    "decode-csv": decode_csv,
    "challenge": challenge,
}
KIND_OF_SUFFIX: dict[str, Kind] = {
    ".csv": "thunderstorm",
    ".hdf5": "picasso",
    ".h5": "native",
    ".parquet": "parquet",
    ".mat": "smap",
}
KEEPS_RECIPE_BESIDE = (thunderstorm, smap_csv, decode_csv, challenge)

_BY_HEADER = (challenge, smap_csv, thunderstorm, oni, nikon)
_BY_TITLE = (decode_csv, rapidstorm)
_IN_HDF5 = (native, smap, decode_tables, picasso)


def written_by(path: Path, kind: Kind | None) -> ModuleType:
    """Module of the format that writes this name."""
    kind = kind or KIND_OF_SUFFIX.get(path.suffix.lower())
    if kind not in FORMATS:
        raise TableError(
            f"cannot write a table as {kind or path.name}; expected .csv (ThunderSTORM), .hdf5 "
            "(Picasso), .mat (SMAP), .h5 or .parquet (full precision), or a format of "
            f"{', '.join(FORMATS)}"
        )
    return FORMATS[kind]


def format_of(path: Path) -> ModuleType | None:
    """Module of the format, or None; raises `TableError` if there is no such file."""
    if not path.is_file():
        raise TableError(f"no such file: {path}; check the path")
    if parquet.is_file(path):
        return parquet
    if smap.is_version_5(path):
        return smap
    if not h5py.is_hdf5(path):
        return _format_of_text(path)
    try:
        with h5py.File(path, "r") as file:
            for module in _IN_HDF5:
                if module.is_file(file):
                    return module
    except OSError as error:
        raise TableError(f"{path.name} is a damaged HDF5 file ({error}); copy it again") from error
    return None


def unknown(path: Path) -> str:
    """One sentence about a file that is none of our formats."""
    if path.suffix.lower() == ".csv":
        names = text_tables.open_text(path).names
        if not names:
            return f"{path.name} is empty, expected a header line; export the table again"
        return (
            f"{path.name} lacks the columns {', '.join(thunderstorm.REQUIRED)} of a ThunderSTORM "
            f"table and is none of SMAP, DECODE, ONI or the Challenge; it has {', '.join(names)}"
        )
    return (
        f"{path.name} is no table of localizations; expected one of ThunderSTORM, Picasso, SMAP, "
        "DECODE, rapidSTORM, N-STORM, ONI or the SMLM Challenge, or our own .h5 or .parquet"
    )


def _format_of_text(path: Path) -> ModuleType | None:
    try:
        title = text_tables.first_lines(path, 1)[0]
    except TableError:  # pictures, and whatever else there is
        return None
    for module in _BY_TITLE:
        if module.is_title(title):
            return module
    names = text_tables.open_text(path).names
    return next((module for module in _BY_HEADER if module.is_header(names)), None)
