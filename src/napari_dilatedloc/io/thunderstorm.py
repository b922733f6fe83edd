"""ThunderSTORM CSV: nm from the corner of the first pixel, frames from 1, quoted header."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
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


def write(path: Path, localizations: Localizations, info: TableInfo) -> list[Path]:
    """Write localizations.

    `uncertainty_xy` is the mean of `sigma_x` and `sigma_y`. Columns without any known value are
    left out, spot widths too: other readers drop rows with NaN, and invented numbers mislead.
    """
    size = info.pixel_size_nm
    sigma_xy = (localizations.sigma_x.astype(np.float64) + localizations.sigma_y) / 2 * size
    columns = {
        "id": np.arange(1, len(localizations) + 1),
        FRAME: localizations.frame.astype(np.int64) + 1,
        X: px_to_corner_nm(localizations.x, size),
        Y: px_to_corner_nm(localizations.y, size),
        Z: localizations.z_nm.astype(np.float64),
        PHOTONS: localizations.photons.astype(np.float64),
        BG: localizations.bg.astype(np.float64),
        SIGMA_XY: sigma_xy,
        SIGMA_Z: localizations.sigma_z_nm.astype(np.float64),
        PROB: localizations.prob.astype(np.float64),
    }
    kept = {
        name: values
        for name, values in columns.items()
        if not len(values) or not np.isnan(values).all()
    }
    with replacing(path) as temporary:
        header = ",".join(f'"{name}"' for name in kept)
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(header + "\n")
            pd.DataFrame(kept).to_csv(
                file,
                header=False,
                index=False,
                float_format="%.5f",
                na_rep="NaN",
                lineterminator="\n",
            )
    return [path]


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
