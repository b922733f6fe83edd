"""CSV of ONI's Nanoimager (Nimos): nm, frames from 0, precision where it is given.

The origin is taken for the corner of the first pixel: ONI does not say. ``Channel`` and all further
columns stay extra ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from napari_dilatedloc.io import text_tables
from napari_dilatedloc.io.columns import corner_nm_to_px, further, require_pixel_size
from napari_dilatedloc.table import Localizations, TableInfo

KNOWS_PIXEL_SIZE = False

REQUIRED = ("Frame", "X (nm)", "Y (nm)")
_PLAIN = {"z_nm": "Z (nm)", "photons": "Photons", "bg": "Background"}
_SIGMAS = {
    "sigma_x": "X precision (nm)",
    "sigma_y": "Y precision (nm)",
    "sigma_z_nm": "Z precision (nm)",
}
_KNOWN = (*_PLAIN.values(), *_SIGMAS.values())


def is_header(names: tuple[str, ...]) -> bool:
    """Tell ONI's header by its columns of positions."""
    return set(REQUIRED) <= set(names)


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """All that is known of the movie: what the user says."""
    return TableInfo(require_pixel_size(pixel_size_nm, path))


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations."""
    size = require_pixel_size(pixel_size_nm, path)
    table = text_tables.open_text(path)
    for columns in text_tables.parts(table, REQUIRED, _KNOWN, rows=rows):
        ours: dict[str, ArrayLike] = {
            "frame": np.rint(columns["Frame"]),
            "x": corner_nm_to_px(columns["X (nm)"], size),
            "y": corner_nm_to_px(columns["Y (nm)"], size),
        }
        ours |= {name: columns[foreign] for name, foreign in _PLAIN.items() if foreign in columns}
        for name, foreign in _SIGMAS.items():
            if foreign in columns:
                scale = 1.0 if name == "sigma_z_nm" else size
                ours[name] = columns[foreign] / scale
        extra = further(columns, (*REQUIRED, *_KNOWN))
        yield Localizations.from_columns(**ours).replace(extra=extra)
