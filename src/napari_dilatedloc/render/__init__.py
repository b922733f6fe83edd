"""Super-resolution images from localizations.

An image has `magnification` m sub-pixels along each side of a camera pixel: a movie of (H, W) px
gives (H m, W m), and the centre of sub-pixel (i, j) lies at the camera position
((i + 0.5) / m - 0.5, (j + 0.5) / m - 0.5) px, since the first camera pixel begins at -0.5 px.
A `corner` (y, x) begins the image at another camera pixel. m need not be whole. Each localization
integrates to 1, however many photons it has.

Examples
--------
A part of the camera at another scale; an index makes it cost what it shows:

>>> from napari_dilatedloc.table import Localizations
>>> table = Localizations.from_columns(frame=[0, 0], x=[3.0, 50.0], y=[4.0, 60.0])
>>> part = PlaceIndex(table).within(corner=(58, 48), shape=(4, 4))
>>> image = gaussian(part, (4, 4), 2.5, corner=(58, 48))
>>> image.shape, round(float(image.sum()), 3)
((10, 10), 1.0)
"""

from napari_dilatedloc.render.colour import colour_by_z, with_colour_bar, z_range
from napari_dilatedloc.render.contrast import (
    auto_pixel_nm,
    auto_z_step_nm,
    contrast_limits,
    stretch,
    whole_field,
)
from napari_dilatedloc.render.counts import add_histogram, histogram
from napari_dilatedloc.render.gaussian import MIN_SIGMA_PX, gaussian
from napari_dilatedloc.render.index import PlacedSpots, PlaceIndex
from napari_dilatedloc.render.view import Image, Spots, View, sub_pixels
from napari_dilatedloc.render.volume import VoxelGrid, plane_count, planes, volume
from napari_dilatedloc.render.write import write_image

__all__ = [
    "MIN_SIGMA_PX",
    "Image",
    "PlaceIndex",
    "PlacedSpots",
    "Spots",
    "View",
    "VoxelGrid",
    "add_histogram",
    "auto_pixel_nm",
    "auto_z_step_nm",
    "colour_by_z",
    "contrast_limits",
    "gaussian",
    "histogram",
    "plane_count",
    "planes",
    "stretch",
    "sub_pixels",
    "volume",
    "whole_field",
    "with_colour_bar",
    "write_image",
    "z_range",
]
