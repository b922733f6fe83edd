"""Camera pixel size in nm from the metadata of a TIFF, where it is believable, and of tables."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

log = logging.getLogger(__name__)

SMALLEST_NM, LARGEST_NM = 10.0, 1000.0
"""Camera pixels of single-molecule movies lie inside; 72 dpi (352,778 nm) lies outside."""

_NM_PER_UNIT = {
    "nm": 1.0,
    "nanometer": 1.0,
    "nanometers": 1.0,
    "um": 1e3,
    "µm": 1e3,
    "μm": 1e3,  # Greek mu; the line above is the micro sign
    "\\u00b5m": 1e3,  # ImageJ writes the micro sign as an escape
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
    "inch": 2.54e7,
}


def pixel_size_of(tif: tifffile.TiffFile) -> float | None:
    """Pixel width in nm from OME, Micro-Manager, ImageJ or TIFF resolution; None if unknown.

    Values outside 10-1000 nm are taken for a default somebody forgot to set.
    """
    for source in (_from_ome, _from_micromanager, _from_resolution):
        size = source(tif)
        if size is not None and SMALLEST_NM <= size <= LARGEST_NM:
            return round(size, 6)
    return None


def _from_ome(tif: tifffile.TiffFile) -> float | None:
    text = tif.ome_metadata or ""
    size = re.search(r'\bPhysicalSizeX="([^"]+)"', text)
    if size is None:
        return None
    unit = re.search(r'\bPhysicalSizeXUnit="([^"]+)"', text)
    return _nm(size.group(1), unit.group(1) if unit else "um")


def _from_micromanager(tif: tifffile.TiffFile) -> float | None:
    metadata: Any = tif.micromanager_metadata if tif.is_micromanager else None
    summary = metadata.get("Summary", {}) if isinstance(metadata, dict) else {}
    first = tif.pages.first.tags.get(51123)  # MicroManagerMetadata of the first frame
    frame = first.value if first is not None and isinstance(first.value, dict) else {}
    for values in (summary, frame):
        for name in ("PixelSizeUm", "PixelSize_um"):
            if name in values:
                return _nm(values[name], "um")
    return None


def _from_resolution(tif: tifffile.TiffFile) -> float | None:
    tags = tif.pages.first.tags
    if "XResolution" not in tags:
        return None
    value = tags["XResolution"].value
    if not isinstance(value, tuple) or len(value) != 2 or 0 in value:
        return None
    unit = str((tif.imagej_metadata or {}).get("unit", ""))
    if not unit and "ResolutionUnit" in tags:
        unit = {2: "inch", 3: "cm"}.get(int(tags["ResolutionUnit"].value), "")
    return _nm(value[1] / value[0], unit)


def _nm(size: object, unit: str) -> float | None:
    factor = _NM_PER_UNIT.get(unit.strip().lower())
    try:
        return None if factor is None else float(str(size)) * factor
    except ValueError:
        return None


def tell_unless_square(x_nm: float, y_nm: float, path: Path) -> None:
    """Warn of pixels that are not square.

    Tables have one pixel size: such a file is read so that nm stay right, with y in pixels as wide
    as along x.
    """
    if not np.isclose(x_nm, y_nm, rtol=1e-4):
        log.warning(
            "%s has pixels of %g x %g nm (x, y); y is given in pixels of %g nm, so that nm stay "
            "right and it does not lie on the movie",
            path.name,
            x_nm,
            y_nm,
            x_nm,
        )
