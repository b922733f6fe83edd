"""Images of localizations as wide as their precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.render.spots import Canvas, Cloud
from napari_dilatedloc.render.view import Floats64, Image, Place, Spots, View, chunks

MIN_SIGMA_PX = 0.05
"""Narrowest spot, camera px: a precision predicted too well must not leave a single point."""


def gaussian(
    localizations: Spots,
    shape: Place,
    magnification: float,
    *,
    corner: Place = (0.0, 0.0),
    isotropic: bool = False,
    min_sigma_px: float = MIN_SIGMA_PX,
) -> Image:
    """Each localization as a Gaussian as wide as its precision, (H m, W m) float32.

    The Gaussian is integrated over each sub-pixel, so that narrow ones keep their sum of 1.

    Parameters
    ----------
    localizations : Spots
        `sigma_x` and `sigma_y` are the widths, px; NaN becomes `min_sigma_px`.
    shape : tuple
        (H, W) of what is drawn, camera px.
    magnification : float
        Sub-pixels along a camera pixel.
    corner : tuple
        First camera pixel (y, x) that is drawn.
    isotropic : bool
        Round spots, as wide as the root mean square of both precisions.
    min_sigma_px : float
        Narrowest Gaussian, camera px.

    Examples
    --------
    >>> from napari_dilatedloc.table import Localizations
    >>> table = Localizations.from_columns(
    ...     frame=[0], x=[3.0], y=[4.0], sigma_x=[0.2], sigma_y=[0.1]
    ... )
    >>> image = gaussian(table, shape=(8, 8), magnification=10)
    >>> image.shape, round(float(image.sum()), 4)
    ((80, 80), 1.0)
    """
    view = View.over(shape, magnification, corner)
    canvas = Canvas(view.size)
    for rows in chunks(len(localizations.y)):
        canvas.add(cloud_of(localizations, rows, view, min_sigma_px, isotropic=isotropic))
    image: Image = canvas.image()[0]
    return image


def cloud_of(
    spots: Spots,
    rows: slice | NDArray[Any],
    view: View,
    min_sigma_px: float = MIN_SIGMA_PX,
    *,
    isotropic: bool = False,
) -> Cloud:
    """Some spots in the pixels of a view."""
    if not min_sigma_px > 0:
        raise ValueError(f"min_sigma_px must be positive, got {min_sigma_px}; 0.05 is usual")
    v, u = view.places(spots, rows)
    sigma_v, sigma_u = (_width(s[rows], min_sigma_px) for s in (spots.sigma_y, spots.sigma_x))
    if isotropic:
        sigma_v = sigma_u = np.sqrt((sigma_v**2 + sigma_u**2) / 2)
    return Cloud(v, u, sigma_v * view.magnification, sigma_u * view.magnification)


def _width(sigma: NDArray[np.float32], at_least: float) -> Floats64:
    width: Floats64 = np.fmax(sigma.astype(np.float64), at_least)  # fmax: NaN gives way
    return width
