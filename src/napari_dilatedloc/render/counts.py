"""Histograms: localizations per image pixel."""

from __future__ import annotations

import numpy as np

from napari_dilatedloc.render.view import Image, Place, Spots, View, chunks


def histogram(
    localizations: Spots,
    shape: Place,
    magnification: float,
    *,
    corner: Place = (0.0, 0.0),
) -> Image:
    """Localizations per sub-pixel, (H m, W m) float32.

    Parameters
    ----------
    localizations : Spots
        A table or what an index gives; those outside of the image are left out.
    shape : tuple
        (H, W) of what is drawn, camera px.
    magnification : float
        Sub-pixels along a camera pixel; a last one that is not whole is drawn too.
    corner : tuple
        First camera pixel (y, x) that is drawn.

    Examples
    --------
    >>> from napari_dilatedloc.table import Localizations
    >>> table = Localizations.from_columns(frame=[0, 0], x=[0.0, 2.3], y=[-0.4, 1.2])
    >>> histogram(table, shape=(2, 3), magnification=2).astype(int)
    array([[0, 1, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 1]])
    """
    view = View.over(shape, magnification, corner)
    image = view.blank()
    _add(image, localizations, view)
    return image


def add_histogram(image: Image, localizations: Spots, magnification: float) -> None:
    """Add localizations to a histogram in place, for images that grow during a run."""
    if not image.flags.c_contiguous:
        raise ValueError("expected a contiguous image to add to, got a view; pass its base")
    height, width = image.shape
    _add(image, localizations, View((0.0, 0.0), magnification, (height, width)))


def _add(image: Image, spots: Spots, view: View) -> None:
    height, width = view.size
    flat = image.reshape(-1)
    for rows in chunks(len(spots.y)):
        v, u = view.places(spots, rows)
        inside = (v >= 0) & (v < height) & (u >= 0) & (u < width)  # NaN: False
        index = v[inside].astype(np.intp)
        index *= width
        index += u[inside].astype(np.intp)
        np.add.at(flat, index, np.float32(1))
