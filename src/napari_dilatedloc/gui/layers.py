"""Localizations <-> napari layers: axis order, scale, units and features.

Layer data are in px like the tables (pixel centres at whole numbers, napari's own rule); the
layer's scale and units turn them into nm, so every layer lies exactly over its movie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import pint
from napari.layers import Image

from napari_dilatedloc import render
from napari_dilatedloc.io.movie import open_movie
from napari_dilatedloc.table import Localizations, TableInfo

METADATA_KEY = "dilatedloc"
POINTS_CAP = 200_000
"""Most rows a Points layer is given: beyond, napari is no longer fluid."""
POINTS_COLOUR = "#00e5ff"
SR_PIXEL_NM = 10.0
SR_SIDE_MAX = 8192
"""Longest side of a super-resolution image, px: 256 MiB and half the usual texture limit."""

DENSITY_STYLE = {"colormap": "inferno", "blending": "additive"}
"""Look of a super-resolution image that no hue layer lies on."""

LayerData = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True)
class Placement:
    """Where px (t, y, x) lie in the world.

    Attributes
    ----------
    scale, translate : tuple of float
        World units per px, and world position of px 0; (t, y, x).
    units : tuple of str
        Unit of each axis, as napari takes it.
    """

    scale: tuple[float, float, float]
    translate: tuple[float, float, float]
    units: tuple[str, str, str]

    @classmethod
    def from_pixel_size(cls, pixel_size_nm: float) -> Self:
        """Frames along t, nm along y and x, first pixel centre at 0."""
        return cls((1.0, pixel_size_nm, pixel_size_nm), (0.0, 0.0, 0.0), ("pixel", "nm", "nm"))

    @classmethod
    def from_layer(cls, movie: Image) -> Self:
        """Where the movie itself lies, whatever its units are."""
        return cls(
            tuple(float(v) for v in movie.scale[-3:]),  # type: ignore[arg-type]
            tuple(float(v) for v in movie.translate[-3:]),  # type: ignore[arg-type]
            tuple(str(unit) for unit in movie.units[-3:]),  # type: ignore[arg-type]
        )

    def frame_keywords(self) -> dict[str, Any]:
        """Layer keywords for (t, y, x) data in px."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "units": self.units,
            "axis_labels": ("t", "y", "x"),
        }

    def frame_on_show(self, viewer: Any) -> int:
        """Frame that the slider of a viewer stands on, for a movie (t, y, x) that lies here."""
        axis = viewer.dims.ndim - 3
        if axis < 0:
            return 0
        return round((viewer.dims.point[axis] - self.translate[0]) / self.scale[0])

    def plane_keywords(self, magnification: int = 1) -> dict[str, Any]:
        """Layer keywords for (y, x) data, or for an image with `magnification` pixels a px.

        Sub-pixel i has its centre at (i + 0.5) / magnification - 0.5 px.
        """
        scale, first = self.scale[1:], self.translate[1:]
        shift = (1 / magnification - 1) / 2
        return {
            "scale": tuple(s / magnification for s in scale),
            "translate": tuple(t + shift * s for t, s in zip(first, scale, strict=True)),
            "units": self.units[1:],
            "axis_labels": ("y", "x"),
        }


def pixel_size_nm(movie: Image) -> float | None:
    """Pixel size a movie layer knows: from its scale if that has a length unit, or its metadata.

    Raises
    ------
    ValueError
        If the layer's pixels are not square.
    """
    ours = movie.metadata.get(METADATA_KEY, {})
    sizes = [
        length_nm(scale, unit)
        for scale, unit in zip(movie.scale[-2:], movie.units[-2:], strict=True)
    ]
    if None in sizes:
        return ours.get("pixel_size_nm")
    height, width = sizes
    if not np.isclose(height, width, rtol=0.01):
        raise ValueError(
            f"pixels must be square, got {height:g} x {width:g} nm from the scale of layer "
            f"'{movie.name}'; correct the layer's scale."
        )
    return float(width)


def known_pixel_size_nm(movie: Image) -> float | None:
    """Pixel size that a layer or else the file it came from knows (napari's reader drops it).

    Raises
    ------
    ValueError
        If the layer's pixels are not square.
    """
    size = pixel_size_nm(movie)
    path = movie.source.path
    if size or path is None or not str(path).lower().endswith((".tif", ".tiff")):
        return size
    try:
        return open_movie(path).pixel_size_nm
    except (ValueError, OSError):  # moved or replaced since; then the user enters it
        return None


def plane_distance_nm(stack: Image) -> float | None:
    """Distance of planes along the third axis from behind, if the layer has a length unit there."""
    size = length_nm(stack.scale[-3], stack.units[-3])
    return None if size is None else abs(size)


def is_stack(layer: Any) -> bool:
    """Whether a layer is a movie or bead stack: an image of 3 axes or more, no PSF of ours."""
    shown = isinstance(layer, Image) and layer.ndim >= 3
    return shown and "psf" not in layer.metadata.get(METADATA_KEY, {})


def length_nm(scale: float, unit: Any) -> float | None:
    """So many units in nm; None if the unit is no length."""
    quantity = pint.get_application_registry().Quantity(float(scale), str(unit))
    return float(quantity.to("nm").magnitude) if quantity.is_compatible_with("nm") else None


def has_length_unit(movie: Image) -> bool:
    """Whether the layer's y and x are in a real unit (nm, um, ...) rather than pixels."""
    return all(length_nm(1.0, unit) is not None for unit in movie.units[-2:])


def movie_array(movie: Image) -> Any:
    """Give the layer's array; of a multiscale layer the finest level."""
    return movie.data[0] if movie.multiscale else movie.data


def field_of(table: Localizations) -> tuple[int, int]:
    """(height, width) in px that holds every localization, but for wild ones far beyond.

    Positions that are no numbers do not count, and no side is longer than an image can be shown.
    """
    height, width = (
        int(min(np.floor(values.max(initial=0, where=np.isfinite(values)) + 0.5) + 1, SR_SIDE_MAX))
        for values in (table.y, table.x)
    )
    return height, width


def magnification_for(shape: tuple[int, int], pixel_size: float) -> int:
    """Sub-pixels a camera pixel: about 10 nm each, fewer where the image would get too large."""
    wanted = max(1, round(pixel_size / SR_PIXEL_NM))
    return max(1, min(wanted, SR_SIDE_MAX // max(shape)))


def contrast_limits(image: np.ndarray) -> tuple[float, float]:
    """Limits that show a mostly empty image, from a sample of its pixels: quick at any size."""
    step = -(-max(image.shape) // 1024)
    return render.contrast_limits(image[::step, ::step])


def features(localizations: Localizations, pixel_size: float) -> pd.DataFrame:
    """Columns of a Points layer, lengths in nm (0 = centre of the first pixel)."""
    return pd.DataFrame(
        {
            "frame": localizations.frame,
            "x_nm": localizations.x * pixel_size,
            "y_nm": localizations.y * pixel_size,
            "z_nm": localizations.z_nm,
            "photons": localizations.photons,
            "bg": localizations.bg,
            "prob": localizations.prob,
            "sigma_x_nm": localizations.sigma_x * pixel_size,
            "sigma_y_nm": localizations.sigma_y * pixel_size,
            "sigma_z_nm": localizations.sigma_z_nm,
            "sigma_photons": localizations.sigma_photons,
        }
    )


def points_style() -> dict[str, Any]:
    """Look of our points: open circles of 5 px, so that the spot below stays visible."""
    return {
        "size": 5.0,
        "symbol": "disc",
        "face_color": "transparent",
        "border_color": POINTS_COLOUR,
        "border_width": 0.08,
        "border_width_is_relative": True,
        "blending": "translucent_no_depth",
    }


def metadata(info: TableInfo, **provenance: Any) -> dict[str, Any]:
    """Make what a layer remembers, so that it can be written as a table again."""
    shape = None if info.shape is None else list(info.shape)
    values = {"pixel_size_nm": info.pixel_size_nm, "shape": shape, "n_frames": info.n_frames}
    return {METADATA_KEY: {**values, **provenance}}


def even_rows(total: int, cap: int) -> np.ndarray:
    """Give the rows of an even sample of at most `cap` of so many, in order."""
    rows: np.ndarray = np.linspace(0, total - 1, min(total, cap)).astype(np.intp)
    return rows


def points_layer(
    localizations: Localizations,
    info: TableInfo,
    name: str,
    *,
    placement: Placement | None = None,
    cap: int = POINTS_CAP,
    total: int | None = None,
    **provenance: Any,
) -> LayerData:
    """Points layer (t, y, x) of all localizations; above `cap` an even sample, as its name says.

    Who has taken a sample already says with `total` of how many it is.
    """
    placement = placement or Placement.from_pixel_size(info.pixel_size_nm)
    total = len(localizations) if total is None else total
    if len(localizations) > cap:
        localizations = localizations[even_rows(len(localizations), cap)]
    if len(localizations) < total:
        name = f"{name} ({len(localizations):,} of {total:,})"
    data = np.column_stack([localizations.frame, localizations.y, localizations.x])
    keywords = {
        "name": name,
        "features": features(localizations, info.pixel_size_nm),
        "metadata": metadata(info, **provenance),
        **placement.frame_keywords(),
        **points_style(),
    }
    return data.astype(np.float32), keywords, "points"


def image_layer(
    image: np.ndarray,
    info: TableInfo,
    name: str,
    magnification: int,
    *,
    placement: Placement | None = None,
    **provenance: Any,
) -> LayerData:
    """Super-resolution image layer over the movie; the layer keeps the array itself."""
    placement = placement or Placement.from_pixel_size(info.pixel_size_nm)
    keywords = {
        "name": name,
        "metadata": metadata(info, **provenance),
        "contrast_limits": contrast_limits(image),
        "gamma": 0.5,  # most filled pixels hold a single localization
        "interpolation2d": "nearest",
        **DENSITY_STYLE,
        **placement.plane_keywords(magnification),
    }
    return image, keywords, "image"


def localizations_from_points(
    data: np.ndarray, attributes: Mapping[str, Any]
) -> tuple[Localizations, TableInfo]:
    """Table of a Points layer: position from its data, the rest from its features.

    Any Points layer (t, y, x) with a length unit will do; (y, x) data take their frame from the
    feature ``frame``, else 0.
    """
    columns = pd.DataFrame(attributes.get("features", {}))
    data = np.asarray(data, dtype=np.float64)
    if data.ndim != 2 or data.shape[1] not in (2, 3):
        raise ValueError(
            f"localizations need points (t, y, x) or (y, x), got an array of shape {data.shape}; "
            "choose a 2-D or 3-D Points layer."
        )
    ours = dict(attributes.get("metadata") or {}).get(METADATA_KEY, {})
    pixel_size = ours.get("pixel_size_nm") or _pixel_size_of_points(attributes)
    if data.shape[1] == 3:
        frame = np.rint(data[:, 0])
    else:
        frame = np.asarray(columns.get("frame", np.zeros(len(data))))
    table: dict[str, Any] = {"frame": frame, "y": data[:, -2], "x": data[:, -1]}
    for name in ("z_nm", "photons", "bg", "prob", "sigma_z_nm", "sigma_photons"):
        if name in columns:
            table[name] = columns[name].to_numpy(np.float32)
    for name in ("sigma_x", "sigma_y"):
        if f"{name}_nm" in columns:
            table[name] = columns[f"{name}_nm"].to_numpy(np.float32) / pixel_size
    shape = None if ours.get("shape") is None else tuple(ours["shape"])
    info = TableInfo(pixel_size, shape=shape, n_frames=ours.get("n_frames"))
    return Localizations.from_columns(**table).sorted_by_frame(), info


def _pixel_size_of_points(attributes: Mapping[str, Any]) -> float:
    scale, units = attributes.get("scale", (1.0,)), attributes.get("units") or ("pixel",)
    size = length_nm(scale[-1], units[-1])
    if size is None:
        raise ValueError(
            "a table of localizations needs the pixel size, but this Points layer has no length "
            "unit; set the layer's scale and units to nm."
        )
    return size
