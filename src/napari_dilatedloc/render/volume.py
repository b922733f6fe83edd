"""3-D images: planes of a volume (Z, Y, X)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.special import ndtr

from napari_dilatedloc.render.contrast import auto_pixel_nm, auto_z_step_nm
from napari_dilatedloc.render.gaussian import MIN_SIGMA_PX, cloud_of
from napari_dilatedloc.render.spots import TRUNCATE, Canvas
from napari_dilatedloc.render.view import CHUNK_ROWS, Floats64, Image, Place, Spots, View

MAX_VOXELS = 2**30
"""Largest volume that is held in memory: 4 GiB."""

SHOWN_VOXELS = 2**26
"""Largest volume that `VoxelGrid` chooses: 256 MiB, which graphics cards take too."""
LONGEST_SIDE = 2048
"""And its longest side, the limit of most of them for textures in space."""
MARGIN_SIGMAS = 3.0


@dataclass(frozen=True)
class VoxelGrid:
    """Where the voxels of a volume lie.

    Attributes
    ----------
    view : View
        Planes over the camera.
    z_range_nm : (float, float)
        Border before the first and, at least, after the last plane, nm.
    z_step_nm : float
        Distance of the planes, nm.
    voxel_nm : (float, float, float)
        Sides of a voxel z, y, x, nm.
    coarser : float
        How many times larger voxels are than the precision asks for, at least along one axis; 1
        where all fit.
    """

    view: View
    z_range_nm: tuple[float, float]
    z_step_nm: float
    voxel_nm: tuple[float, float, float]
    coarser: float = 1.0

    @classmethod
    def around(
        cls,
        spots: Spots,
        pixel_size_nm: float,
        most_voxels: int = SHOWN_VOXELS,
        longest_side: int = LONGEST_SIDE,
    ) -> Self:
        """Grid around all localizations of known z.

        Voxels are half of the median precision (`auto_pixel_nm`, `auto_z_step_nm`), or as much
        larger as the bounds ask for.

        Parameters
        ----------
        spots : Spots
            What will be drawn.
        pixel_size_nm : float
            Camera pixel, nm.
        most_voxels, longest_side : int
            Bounds.

        Raises
        ------
        ValueError
            No localization has a place in space.
        """
        known = np.isfinite(spots.z_nm) & np.isfinite(spots.y) & np.isfinite(spots.x)
        if not known.any():
            raise ValueError(
                "a volume needs z, got no localization that has one; use a model or a table with z"
            )
        low, high = _corners(spots, known, pixel_size_nm)
        wanted = np.array([auto_z_step_nm(spots), *2 * [auto_pixel_nm(spots, pixel_size_nm)]])
        voxel = wanted.copy()
        while True:
            sides = np.ceil((high - low) / voxel)
            if sides.prod() <= most_voxels and sides.max() <= longest_side:
                break
            too_long = sides > longest_side
            too_long[1:] = too_long[1:].any()  # pixels stay square
            # of all axes if none is too long by itself
            voxel[too_long if too_long.any() else slice(None)] *= 1.02
        shape = (high - low)[1:] / pixel_size_nm
        corner = low[1:] / pixel_size_nm + 0.5
        magnification = pixel_size_nm / float(voxel[1])
        view = View.over(
            (float(shape[0]), float(shape[1])), magnification, (float(corner[0]), float(corner[1]))
        )
        sizes = (float(voxel[0]), float(voxel[1]), float(voxel[1]))
        larger = float((voxel / wanted).max())
        return cls(view, (float(low[0]), float(high[0])), sizes[0], sizes, larger)

    @property
    def size(self) -> tuple[int, int, int]:
        """Planes, rows, columns."""
        return (plane_count(self.z_range_nm, self.z_step_nm), *self.view.size)


def _corners(spots: Spots, known: np.ndarray, pixel_size_nm: float) -> tuple[Floats64, Floats64]:
    """First and last border z, y, x of what is drawn, nm from the centre of the first pixel."""
    axes = (
        (spots.z_nm, spots.sigma_z_nm, 1.0),
        (spots.y, spots.sigma_y, pixel_size_nm),
        (spots.x, spots.sigma_x, pixel_size_nm),
    )
    low, high = np.zeros(3), np.zeros(3)
    for axis, (place, sigma, nm) in enumerate(axes):
        widths = sigma[np.isfinite(sigma)]
        wide = float(np.median(widths)) if len(widths) else 0.0
        margin = MARGIN_SIGMAS * max(wide, MIN_SIGMA_PX * pixel_size_nm / nm)
        low[axis] = (float(place[known].min()) - margin) * nm
        high[axis] = (float(place[known].max()) + margin) * nm
    return low, high


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
