"""3-D images: planes of a volume (Z, Y, X)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.special import ndtr

from napari_dilatedloc.render.gaussian import MIN_SIGMA_PX, cloud_of
from napari_dilatedloc.render.spots import TRUNCATE, Canvas
from napari_dilatedloc.render.view import CHUNK_ROWS, Floats64, Image, Place, Spots, View

MAX_VOXELS = 2**30
"""Largest volume that is held in memory: 4 GiB."""


def volume(
    localizations: Spots,
    shape: Place,
    magnification: float,
    z_range_nm: tuple[float, float],
    z_step_nm: float,
    *,
    corner: Place = (0.0, 0.0),
    min_sigma_px: float = MIN_SIGMA_PX,
) -> Image:
    """Each localization as a Gaussian in space, (Z, H m, W m) float32.

    Parameters
    ----------
    localizations : Spots
        `sigma_x`, `sigma_y` (px) and `sigma_z_nm` are the widths. Those of unknown z are left out;
        those of unknown `sigma_z_nm` lie in one plane.
    shape, magnification, corner, min_sigma_px
        As for `gaussian`.
    z_range_nm : tuple of float
        z of the border before the first and, at least, after the last plane, nm.
    z_step_nm : float
        Distance of the planes, nm.

    Raises
    ------
    ValueError
        The range is empty, the step is not positive or the volume would not fit into memory.
    """
    view = View.over(shape, magnification, corner)
    count = plane_count(z_range_nm, z_step_nm)
    voxels = count * view.size[0] * view.size[1]
    if voxels > MAX_VOXELS:
        raise ValueError(
            f"the volume would have {voxels:.2g} voxels, at most {MAX_VOXELS:.2g} fit into memory; "
            "choose larger voxels or a smaller region"
        )
    image = np.empty((count, *view.size), np.float32)
    drawn_ones = planes(localizations, view, z_range_nm, z_step_nm, min_sigma_px)
    for plane, drawn in zip(image, drawn_ones, strict=True):
        plane[:] = drawn
    return image


def plane_count(z_range_nm: tuple[float, float], z_step_nm: float) -> int:
    """Planes that cover a range."""
    low, high = z_range_nm
    if not high > low:
        raise ValueError(f"z_range_nm must be (low, high), got {z_range_nm}; exchange them")
    if not z_step_nm > 0:
        raise ValueError(f"z_step_nm must be positive, got {z_step_nm}; 50 is usual")
    return max(1, int(np.ceil((high - low) / z_step_nm - 1e-6)))


def planes(
    spots: Spots,
    view: View,
    z_range_nm: tuple[float, float],
    z_step_nm: float,
    min_sigma_px: float = MIN_SIGMA_PX,
) -> Iterator[Image]:
    """Planes of a volume one after another, for volumes that do not fit into memory."""
    count = plane_count(z_range_nm, z_step_nm)
    place = (spots.z_nm.astype(np.float64) - z_range_nm[0]) / z_step_nm  # in planes
    sigma = np.fmax(spots.sigma_z_nm.astype(np.float64) / z_step_nm, 1e-3)
    order = np.argsort(place)  # NaN: last
    order = order[np.isfinite(place[order])]
    place, sigma = place[order], sigma[order]
    # rows sorted by z: all that reach a plane lie in one run
    widest = TRUNCATE * float(sigma.max(initial=0))
    for plane in range(count):
        first, last = np.searchsorted(place, (plane - widest, plane + 1 + widest))
        run = np.arange(first, last)
        run = run[np.abs(place[run] - plane - 0.5) < TRUNCATE * sigma[run] + 0.5]
        share = _share(place[run], sigma[run], plane)
        canvas = Canvas(view.size)
        for start in range(0, len(run), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            cloud = cloud_of(spots, order[run[part]], view, min_sigma_px)
            canvas.add(replace(cloud, weights=share[None, part].astype(np.float32)))
        yield canvas.image()[0]


def _share(place: Floats64, sigma: Floats64, plane: int) -> Floats64:
    """Part of each Gaussian that lies in a plane."""
    share: Floats64 = ndtr((plane + 1 - place) / sigma) - ndtr((plane - place) / sigma)
    return share
