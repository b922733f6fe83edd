"""Text of Nikon's N-STORM: columns with tabs, nm, frames from 1.

``Xc``, ``Yc``, ``Zc`` are corrected for drift and taken where they are; the raw ``X``, ``Y``, ``Z``
then stay extra columns. ``Lateral Localization Accuracy`` is nm. ``BG`` and ``I`` are in counts and
stay extra ones. The origin is taken for the corner of the first pixel: Nikon does not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from numpy.typing import ArrayLike

from napari_dilatedloc.io import text_tables
from napari_dilatedloc.io.columns import (
    Columns,
    corner_nm_to_px,
    frames_from_one,
    further,
    require_pixel_size,
)
from napari_dilatedloc.table import Localizations, TableInfo

KNOWS_PIXEL_SIZE = False

REQUIRED = ("X", "Y", "Frame")
_SIGNS = {*REQUIRED, "Photons", "Lateral Localization Accuracy"}
_KNOWN = ("Xc", "Yc", "Z", "Zc", "Photons", "Lateral Localization Accuracy")


def is_header(names: tuple[str, ...]) -> bool:
    """Tell Nikon's header by its columns of positions and that of precision."""
    return set(names) >= _SIGNS


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """All that is known of the movie: what the user says."""
    return TableInfo(require_pixel_size(pixel_size_nm, path))


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read localizations."""
    size = require_pixel_size(pixel_size_nm, path)
    table = text_tables.open_text(path)
    for columns in text_tables.parts(table, REQUIRED, _KNOWN, rows=rows):
        yield _localizations(columns, size, path)


def _localizations(columns: Columns, size: float, path: Path) -> Localizations:
    x, y, z = (f"{axis}c" if f"{axis}c" in columns else axis for axis in "XYZ")
    ours: dict[str, ArrayLike] = {
        "frame": frames_from_one(columns["Frame"], path),
        "x": corner_nm_to_px(columns[x], size),
        "y": corner_nm_to_px(columns[y], size),
    }
    for name, foreign in {"z_nm": z, "photons": "Photons"}.items():
        if foreign in columns:
            ours[name] = columns[foreign]
    sigma = columns["Lateral Localization Accuracy"] / size
    ours |= {"sigma_x": sigma, "sigma_y": sigma}
    taken = {"Frame", x, y, z, "Photons", "Lateral Localization Accuracy"}
    return Localizations.from_columns(**ours).replace(extra=further(columns, taken))
