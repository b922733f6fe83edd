"""Layers of the PSF step: the PSF through focus, beads over their stack, beads picked by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Image, Points

from napari_dilatedloc.gui.layers import (
    METADATA_KEY,
    LayerData,
    Placement,
    has_length_unit,
    length_nm,
)

if TYPE_CHECKING:
    from napari_dilatedloc.gui.psf_job import Look
    from napari_dilatedloc.psf.calibration import Calibration

KEPT_COLOUR = "#66ff7f"
REJECTED_COLOUR = "#ff6b6b"
GAP_PX = 4
"""Between the PSF and what lies beside it."""


def psf_layer(
    look: Look, corner_nm: tuple[float, float] | None = None, z_unit: str = "nm"
) -> LayerData:
    """Image layer (z, y, x) of a PSF, one photon in focus, in nm.

    Parameters
    ----------
    look : Look
        The PSF's planes.
    corner_nm : (y, x), optional
        Where the first pixel's centre lies; default: so that the emitter is at 0.
    z_unit : str
        What the layer calls its nm along z, see `z_unit_among`.
    """
    planes = look.slopes.rois.numpy().astype(np.float32)
    size = look.chosen.psf.config.pixel_size_nm
    middle = -(planes.shape[1] // 2) * size
    corner = corner_nm if corner_nm is not None else (middle, middle)
    keywords = {
        "name": f"PSF {look.chosen.name}",
        "scale": (look.z_step_nm, size, size),
        "translate": (float(look.z_nm[0]), *corner),
        "units": (z_unit, "nm", "nm"),
        "axis_labels": ("z", "y", "x"),
        "colormap": "inferno",
        "contrast_limits": (0.0, float(planes.max())),
        "metadata": {METADATA_KEY: {"psf": look.chosen.source, "pixel_size_nm": size}},
    }
    return planes, keywords, "image"


def corner_beside(layers: Any, look: Look) -> tuple[float, float] | None:
    """Corner (y, x) for a PSF to the left of all other layers; None where there are none."""
    if not len(layers):
        return None
    extent = layers.extent
    nm = (1.0, 1.0)
    if extent.units is not None:
        nm = tuple(length_nm(1.0, unit) or 1.0 for unit in extent.units[-2:])
    y, x = (float(first) * size for first, size in zip(extent.world[0][-2:], nm, strict=True))
    config = look.chosen.psf.config
    return y, x - (config.roi_size + GAP_PX) * config.pixel_size_nm


def z_unit_among(layers: Any) -> str:
    """Unit for the first axis of a PSF: nm, or what movies beside it have there.

    Beside a movie in frames, nm and nm, a layer in nm all through would make napari drop the units
    of all layers, and with them the scale bar.
    """
    units = layers.extent.units if len(layers) else None
    if units is None or len(units) < 3 or length_nm(1.0, units[-1]) is None:
        return "nm"
    return "nm" if length_nm(1.0, units[-3]) is not None else str(units[-3])


def scale_stack(stack: Image, pixel_size_nm: float, z_step_nm: float, falling: bool) -> None:
    """Give a bead stack its nm, z = 0 in the middle slice, so that its slider agrees with a PSF's.

    A scale of the user's along y and x is kept.
    """
    lead = stack.ndim - 3
    step = -z_step_nm if falling else z_step_nm
    plane = tuple(stack.scale[-2:]) if has_length_unit(stack) else (pixel_size_nm, pixel_size_nm)
    units = stack.units[-2:] if has_length_unit(stack) else ("nm", "nm")
    middle = (stack.data.shape[-3] - 1) / 2
    # scale before units: napari checks that all layers agree as soon as units change
    stack.scale = (*stack.scale[:lead], step, *plane)
    stack.translate = (*stack.translate[:lead], -middle * step, *stack.translate[-2:])
    stack.units = (*stack.units[:lead], "nm", *units)


def bead_layer(calibration: Calibration, stack: Image) -> LayerData:
    """Points layer (y, x) over a bead stack: a square of the ROI's size round each bead.

    Green beads made the model, red ones did not and say why.
    """
    beads, size = calibration.beads, float(calibration.psf.config.roi_size)
    table = pd.DataFrame([vars(bead) for bead in beads]).drop(columns="stack")
    table.insert(0, "bead", np.arange(1, len(beads) + 1))
    keywords = {
        "name": f"Beads of {stack.name}",
        "metadata": {METADATA_KEY: {"beads": stack.name}},
        "features": table,
        "size": size,
        "symbol": "square",
        "face_color": "transparent",
        "border_color": [KEPT_COLOUR if bead.kept else REJECTED_COLOUR for bead in beads],
        "border_width": 0.5,
        "border_width_is_relative": False,
        "blending": "translucent_no_depth",
        "text": {
            "string": "{reason}",
            "color": REJECTED_COLOUR,
            "size": 9,
            "anchor": "center",
            "translation": (-0.5 * size - 2, 0.0),  # above the square, off the bead
        },
        **Placement.from_layer(stack).plane_keywords(),
    }
    return np.array([[bead.y, bead.x] for bead in beads]), keywords, "points"


def picked_places(points: Points, stack: Image) -> list[tuple[float, float]]:
    """Places (y, x), px of the stack, of the points of a layer with a scale of its own."""
    ratio = [
        _unit_ratio(own, other)
        for own, other in zip(points.units[-2:], stack.units[-2:], strict=True)
    ]
    places = []
    for point in points.data:
        world = np.zeros(stack.ndim)
        world[-2:] = np.asarray(points.data_to_world(point))[-2:] * ratio
        y, x = np.asarray(stack.world_to_data(world))[-2:]
        places.append((float(y), float(x)))
    return places


def _unit_ratio(own: Any, other: Any) -> float:
    """Other units in one of our own; 1 where one of them is no length."""
    sizes = length_nm(1.0, own), length_nm(1.0, other)
    return 1.0 if None in sizes else sizes[0] / sizes[1]
