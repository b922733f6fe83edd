"""Columns of SMAP and what they mean, as in its ``_sml.mat`` and in its CSV.

- ``xnm``, ``ynm``: nm, the centre of the chip's first pixel lies at one pixel: SMAP fits in
  MATLAB's pixels, which count from 1, and multiplies them. Regions count from the chip's corner.
- ``frame`` from 1; ``znm`` nm; ``phot``, ``photerr`` photons; ``bg`` photons per pixel.
- ``xnmerr``, ``ynmerr``, ``locprecznm``: precision, nm. ``locprecnm`` is the root mean square of
  the first two; it stands for both where they are missing.
- ``prob``: as DECODE has it.

Settled from SMAP's fitters and loaders (https://github.com/jries/SMAP) and from a file of it, where
``xnm`` is ``xpix`` times the pixel size and ``locprecnm`` what is said above.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_dilatedloc.io.columns import Columns, further
from napari_dilatedloc.table import Localizations

ID = "ID"  # number of the row in a CSV
REQUIRED = ("frame", "xnm", "ynm")
OPTIONAL = (
    "znm",
    "phot",
    "photerr",
    "bg",
    "prob",
    "xnmerr",
    "ynmerr",
    "locprecnm",
    "locprecznm",
)

_OURS = {
    "z_nm": "znm",
    "photons": "phot",
    "sigma_photons": "photerr",
    "bg": "bg",
    "prob": "prob",
    "sigma_z_nm": "locprecznm",
}

Origin = tuple[float, float]
"""x, y of the camera region's first pixel on the chip, px."""


def to_localizations(
    columns: Columns, frame: NDArray[np.int64], pixel_size_nm: float, origin: Origin = (0.0, 0.0)
) -> Localizations:
    """Localizations of SMAP's columns, with frames from 0; the number of a row is left out."""
    ours: dict[str, ArrayLike] = {
        "frame": frame,
        "x": columns["xnm"] / pixel_size_nm - 1 - origin[0],
        "y": columns["ynm"] / pixel_size_nm - 1 - origin[1],
    }
    ours |= {name: columns[foreign] for name, foreign in _OURS.items() if foreign in columns}
    both = {"xnmerr", "ynmerr"} <= columns.keys()
    for name, foreign in {"sigma_x": "xnmerr", "sigma_y": "ynmerr"}.items():
        precision = foreign if both else "locprecnm"
        if precision in columns:
            ours[name] = columns[precision] / pixel_size_nm
    taken = {ID, *REQUIRED, *_OURS.values(), "locprecnm"} | (
        {"xnmerr", "ynmerr"} if both else set()
    )
    return Localizations.from_columns(**ours).replace(extra=further(columns, taken))


def of_localizations(table: Localizations, pixel_size_nm: float) -> Columns:
    """SMAP's columns of these localizations, for a region that begins at the chip's corner."""
    sigma_x, sigma_y = (
        sigma.astype(np.float64) * pixel_size_nm for sigma in (table.sigma_x, table.sigma_y)
    )
    return {
        "xnm": (table.x.astype(np.float64) + 1) * pixel_size_nm,
        "ynm": (table.y.astype(np.float64) + 1) * pixel_size_nm,
        "znm": table.z_nm.astype(np.float64),
        "phot": table.photons.astype(np.float64),
        "photerr": table.sigma_photons.astype(np.float64),
        "bg": table.bg.astype(np.float64),
        "prob": table.prob.astype(np.float64),
        "xnmerr": sigma_x,
        "ynmerr": sigma_y,
        "locprecnm": np.sqrt((sigma_x**2 + sigma_y**2) / 2),
        "locprecznm": table.sigma_z_nm.astype(np.float64),
    }
