"""Localizations inside a region that was drawn."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_dilatedloc.table import Localizations

Floats64 = NDArray[np.float64]


@dataclass(frozen=True)
class RoiStatistics:
    """Figures of one region; means and medians leave unknown values (NaN) out.

    Attributes
    ----------
    count : int
        Localizations.
    area_um2, density_per_um2 : float
        Area of the region, um2; localizations per um2, over all frames.
    photons, bg : float
        Means: photons a localization, background a pixel.
    sigma_lateral_nm, sigma_z_nm : float
        Median predicted precision, nm; the lateral one along one axis.
    z_nm, z_spread_nm : float
        Mean and standard deviation of z, nm.
    first_frame, last_frame : int or None
        Frames of the first and the last localization.
    frames : int
        Frames in which there is one at least.
    """

    count: int
    area_um2: float
    density_per_um2: float
    photons: float
    bg: float
    sigma_lateral_nm: float
    sigma_z_nm: float
    z_nm: float
    z_spread_nm: float
    first_frame: int | None
    last_frame: int | None
    frames: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN, which JSON lacks, becomes None."""
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in dataclasses.asdict(self).items()
        }


def roi_statistics(table: Localizations, pixel_size_nm: float, polygon: ArrayLike) -> RoiStatistics:
    """Statistics of the localizations inside a polygon.

    Parameters
    ----------
    table, pixel_size_nm
        Rows; camera pixel, nm.
    polygon : array-like (P, 2)
        Corners y, x in px; its edge may not cross itself.

    Raises
    ------
    ValueError
        If the polygon has no area.
    """
    corners = _corners(polygon)
    area = polygon_area(corners) * (pixel_size_nm / 1000) ** 2
    if not area > 0:
        raise ValueError("the region has no area; draw three corners that are not on one line")
    rows = table[in_polygon(table, corners)]
    lateral = np.sqrt((rows.sigma_x**2 + rows.sigma_y**2) / 2) * pixel_size_nm
    return RoiStatistics(
        count=len(rows),
        area_um2=area,
        density_per_um2=len(rows) / area,
        photons=_over(np.mean, rows.photons),
        bg=_over(np.mean, rows.bg),
        sigma_lateral_nm=_over(np.median, lateral),
        sigma_z_nm=_over(np.median, rows.sigma_z_nm),
        z_nm=_over(np.mean, rows.z_nm),
        z_spread_nm=_over(np.std, rows.z_nm),
        first_frame=int(rows.frame.min()) if len(rows) else None,
        last_frame=int(rows.frame.max()) if len(rows) else None,
        frames=len(np.unique(rows.frame)),
    )


def in_polygon(table: Localizations, polygon: ArrayLike) -> NDArray[np.bool_]:
    """Rows inside a polygon of corners y, x in px, bool (N,).

    A ray along +x crosses the edge an odd number of times. Only rows in the bounding box are asked.
    """
    corners = _corners(polygon)
    low, high = corners.min(axis=0), corners.max(axis=0)
    boxed = (table.y >= low[0]) & (table.y <= high[0]) & (table.x >= low[1]) & (table.x <= high[1])
    rows = np.flatnonzero(boxed)
    y, x = (axis[rows].astype(np.float64) for axis in (table.y, table.x))
    odd = np.zeros(len(rows), dtype=bool)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        spans = (y0 > y) != (y1 > y)
        odd ^= spans & (x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
    inside = np.zeros(len(table), dtype=bool)
    inside[rows] = odd
    return inside


def polygon_area(polygon: ArrayLike) -> float:
    """Area of a polygon, in the square of its unit (shoelace formula)."""
    y, x = (_corners(polygon) - _corners(polygon)[0]).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _corners(polygon: ArrayLike) -> Floats64:
    corners = np.asarray(polygon, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ValueError(f"a region is three or more corners of (y, x), got shape {corners.shape}")
    return corners


def _over(measure: Any, values: NDArray[np.floating]) -> float:
    known = values[~np.isnan(values)].astype(np.float64)
    return float(measure(known)) if len(known) else float("nan")
