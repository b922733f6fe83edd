"""Colour by z: hue tells the depth, brightness the density."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.render.contrast import stretch
from napari_dilatedloc.render.gaussian import MIN_SIGMA_PX, cloud_of
from napari_dilatedloc.render.spots import Canvas
from napari_dilatedloc.render.view import Image, Place, Spots, View, chunks

COLOUR_MAP = "turbo"


def colour_by_z(
    localizations: Spots,
    shape: Place,
    magnification: float,
    z_range_nm: tuple[float, float],
    *,
    corner: Place = (0.0, 0.0),
    min_sigma_px: float = MIN_SIGMA_PX,
    percentile: float = 99.5,
) -> NDArray[np.uint8]:
    """Gaussian image with z as colour and density as brightness, (H m, W m, 3) uint8.

    Parameters
    ----------
    localizations, shape, magnification, corner, min_sigma_px
        As for `gaussian`.
    z_range_nm : tuple of float
        z of the first and the last colour (matplotlib's turbo), nm; beyond, the last holds.
        An unknown z (NaN) is white.
    percentile : float
        The density at this percentile of the non-empty sub-pixels is fully bright.
    """
    low, high = z_range_nm
    if not high > low:
        raise ValueError(f"z_range_nm must be (low, high), got {z_range_nm}; exchange them")
    view = View.over(shape, magnification, corner)
    canvas = Canvas(view.size, channels=4)  # density, and density times each colour
    for rows in chunks(len(localizations.y)):
        cloud = cloud_of(localizations, rows, view, min_sigma_px)
        colours = z_colours((localizations.z_nm[rows] - low) / (high - low))
        canvas.add(replace(cloud, weights=np.concatenate([np.ones_like(colours[:1]), colours])))
    density, *sums = canvas.image()
    brightness = stretch(density, percentile)
    brightness *= 255
    image = np.empty((*density.shape, 3), np.uint8)
    for channel, one in enumerate(sums):
        np.divide(one, density, out=one, where=density > 0)
        one *= brightness
        image[..., channel] = np.rint(np.clip(one, 0, 255, out=one), out=one)
    return image


def z_colours(fraction: NDArray[np.floating[Any]]) -> Image:
    """Colours (3, N), 0-1, of fractions 0-1 of the range; NaN is white."""
    from matplotlib import colormaps  # slow to import, and seldom needed

    known = np.isfinite(fraction)
    table = colormaps[COLOUR_MAP](np.arange(256))[:, :3].astype(np.float32).T
    entry = np.clip(np.where(known, fraction, 0), 0, 1) * 255.999
    return np.where(known, table[:, entry.astype(np.intp)], np.float32(1))


def z_range(z_nm: NDArray[np.float32], tail: float = 1.0) -> tuple[float, float]:
    """Range of colours, nm: all known z but `tail` percent at either end."""
    known = z_nm[np.isfinite(z_nm)]
    if len(known) == 0:
        raise ValueError("the table has no z; draw it as a plain image")
    low, high = np.percentile(known, (tail, 100 - tail))
    return float(low), max(float(high), float(low) + 1.0)


def with_colour_bar(image: NDArray[np.uint8], z_range_nm: tuple[float, float]) -> NDArray[np.uint8]:
    """Image (H, W, 3) with a bar of colours and z in nm on its right, (H', W', 3) uint8.

    The pixels of the image stay what they were; a low image is padded with black below.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    height = max(len(image), 120)
    scale = np.clip(height / 600, 0.6, 4.0)  # letters grow with the image
    width = round(95 * scale)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    axis = figure.add_axes((0.1, 0.06, 0.2, 0.88))
    shown = ScalarMappable(Normalize(*z_range_nm), colormaps[COLOUR_MAP])
    bar = figure.colorbar(shown, cax=axis)
    bar.set_label("z (nm)", color="white", fontsize=9 * scale)
    bar.ax.tick_params(colors="white", labelsize=8 * scale)
    bar.outline.set_edgecolor("white")
    canvas.draw()  # type: ignore[no-untyped-call]
    legend = np.asarray(canvas.buffer_rgba())[:height, :, :3]  # type: ignore[no-untyped-call]
    below = np.zeros((height - len(image), image.shape[1], 3), np.uint8)
    return np.concatenate([np.concatenate([image, below]), legend], axis=1)
