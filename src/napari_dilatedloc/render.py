"""Super-resolution images from localizations.

An image has `magnification` m sub-pixels along each side of a camera pixel: a movie of (H, W) px
gives (H m, W m), and the centre of sub-pixel (i, j) lies at the camera position
((i + 0.5) / m - 0.5, (j + 0.5) / m - 0.5) px, since the first camera pixel begins at -0.5 px.
Each localization integrates to 1, however many photons it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.special import ndtr

from napari_dilatedloc.files import replacing
from napari_dilatedloc.table import Localizations

Image = NDArray[np.float32]

MIN_SIGMA_PX = 0.05
"""Narrowest spot, camera px: a precision predicted too well must not leave a single point."""

TRUNCATE = 4.0
"""Kernels reach this many standard deviations; what lies beyond (6e-5) is given to the rest."""

_BATCH = 2**21  # weights held in memory at a time


def histogram(localizations: Localizations, shape: tuple[int, int], magnification: int) -> Image:
    """Localizations per sub-pixel, (H m, W m) float32.

    Parameters
    ----------
    localizations : Localizations
        Those outside of the image are left out.
    shape : tuple of int
        (H, W) of the movie, px.
    magnification : int
        Sub-pixels along a camera pixel.

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
    image = _blank(shape, magnification)
    add_histogram(image, localizations, magnification)
    return image


def add_histogram(image: Image, localizations: Localizations, magnification: int) -> None:
    """Add localizations to a histogram in place, for images that grow during a run."""
    if not image.flags.c_contiguous:
        raise ValueError("expected a contiguous image to add to, got a view; pass its base")
    v, u = sub_pixels(localizations, magnification)
    inside = (v >= 0) & (v < image.shape[0]) & (u >= 0) & (u < image.shape[1])  # NaN: False
    row, column = v[inside].astype(np.intp), u[inside].astype(np.intp)
    np.add.at(image.reshape(-1), row * image.shape[1] + column, np.float32(1))


def gaussian(
    localizations: Localizations,
    shape: tuple[int, int],
    magnification: int,
    *,
    min_sigma_px: float = MIN_SIGMA_PX,
) -> Image:
    """Each localization as a Gaussian as wide as its precision, (H m, W m) float32.

    The Gaussian is integrated over each sub-pixel, so that narrow ones keep their sum of 1.

    Parameters
    ----------
    localizations : Localizations
        `sigma_x` and `sigma_y` are the widths, px; NaN becomes `min_sigma_px`.
    shape : tuple of int
        (H, W) of the movie, px.
    magnification : int
        Sub-pixels along a camera pixel.
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
    image = _blank(shape, magnification)
    flat = image.reshape(-1)
    for _, index, weight in _kernels(localizations, image.shape, magnification, min_sigma_px):
        np.add.at(flat, index.reshape(-1), weight.reshape(-1))
    return image


def colour_by_z(
    localizations: Localizations,
    shape: tuple[int, int],
    magnification: int,
    z_range_nm: tuple[float, float],
    *,
    min_sigma_px: float = MIN_SIGMA_PX,
    percentile: float = 99.5,
) -> NDArray[np.uint8]:
    """Gaussian image with z as colour and density as brightness, (H m, W m, 3) uint8.

    Parameters
    ----------
    localizations, shape, magnification, min_sigma_px
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
    colours = _turbo((localizations.z_nm - low) / (high - low))  # (N, 3)
    density = _blank(shape, magnification)
    sums = np.zeros((density.size, 3), dtype=np.float32)
    for rows, index, weight in _kernels(localizations, density.shape, magnification, min_sigma_px):
        np.add.at(density.reshape(-1), index.reshape(-1), weight.reshape(-1))
        for channel in range(3):
            part = weight * colours[rows, channel, None, None]
            np.add.at(sums[:, channel], index.reshape(-1), part.reshape(-1))
    flat = density.reshape(-1, 1)
    hue = np.divide(sums, flat, out=np.zeros_like(sums), where=flat > 0)
    rgb = hue * stretch(density, percentile).reshape(-1, 1) * np.float32(255)
    image: NDArray[np.uint8] = np.rint(rgb).astype(np.uint8).reshape(*density.shape, 3)
    return image


def stretch(image: NDArray[Any], percentile: float = 99.5) -> Image:
    """Image scaled to 0-1, where 1 is the percentile of the pixels that are not empty."""
    filled = image[image > 1e-6 * image.max(initial=0)]
    top = float(np.percentile(filled, percentile)) if filled.size else 1.0
    return np.clip(image / np.float32(top), 0, 1).astype(np.float32)


def write_image(path: str | Path, image: NDArray[Any], pixel_size_nm: float) -> None:
    """Write an image, whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.tif`` keeps the values and the pixel size (ImageJ's metadata, um); ``.png`` is for the
        eye: grey images are stretched to their 99.5th percentile.
    image : array
        (H, W) or, as colours, (H, W, 3) uint8.
    pixel_size_nm : float
        Side of a pixel of this image (camera pixel / magnification), nm.
    """
    path = Path(path)
    colours = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    if image.ndim != 2 and not colours:
        raise ValueError(
            f"expected an image (H, W) or (H, W, 3) uint8, got {image.shape} {image.dtype}; "
            "write frames with write_movie"
        )
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        with replacing(path) as temporary:
            tifffile.imwrite(
                temporary,
                image if image.dtype in (np.uint8, np.uint16) else image.astype(np.float32),
                imagej=True,
                photometric="rgb" if colours else "minisblack",
                resolution=(1e3 / pixel_size_nm,) * 2,
                metadata={"unit": "um"},
            )
    elif suffix == ".png":
        from matplotlib.image import imsave  # slow to import, and seldom needed

        grey = image if colours else np.rint(stretch(image) * 255).astype(np.uint8)
        with replacing(path) as temporary:
            imsave(temporary, grey, cmap="gray", vmin=0, vmax=255, dpi=100)
    else:
        raise ValueError(f"cannot write an image as {path.name}; expected .tif or .png")


def _blank(shape: tuple[int, int], magnification: int) -> Image:
    if magnification < 1:
        raise ValueError(f"magnification must be at least 1, got {magnification}; 10 is usual")
    return np.zeros((shape[0] * magnification, shape[1] * magnification), dtype=np.float32)


def sub_pixels(
    localizations: Localizations, magnification: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column in sub-pixels from the corner of the image: floor() is the index."""
    y, x = localizations.y.astype(np.float64), localizations.x.astype(np.float64)
    return (y + 0.5) * magnification, (x + 0.5) * magnification


def _kernels(
    localizations: Localizations, shape: tuple[int, ...], magnification: int, min_sigma_px: float
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], Image]]:
    """Batches of (rows, flat image index (N, K, K), weight (N, K, K)), alike in kernel size K."""
    if not min_sigma_px > 0:
        raise ValueError(f"min_sigma_px must be positive, got {min_sigma_px}; 0.05 is usual")
    v, u = sub_pixels(localizations, magnification)
    sigmas = [
        magnification * np.fmax(sigma.astype(np.float64), min_sigma_px)  # fmax: NaN gives way
        for sigma in (localizations.sigma_y, localizations.sigma_x)
    ]
    reach = np.maximum(*sigmas) * TRUNCATE
    near = (v > -reach) & (v < shape[0] + reach) & (u > -reach) & (u < shape[1] + reach)
    near &= np.isfinite(reach)
    rows = np.flatnonzero(near)
    # sizes in steps of a quarter, so that there are few groups
    exponent = np.ceil(4 * np.log2(np.ceil(reach[rows]) + 1))
    for step in np.unique(exponent):
        radius = int(np.ceil(2 ** (step / 4)))
        group = rows[exponent == step]
        batch = max(1, _BATCH // (2 * radius + 1) ** 2)
        for start in range(0, len(group), batch):
            some = group[start : start + batch]
            iy, wy = _profile(v[some], sigmas[0][some], radius, shape[0])
            ix, wx = _profile(u[some], sigmas[1][some], radius, shape[1])
            weight = (wy[:, :, None] * wx[:, None, :]).astype(np.float32)
            yield some, iy[:, :, None] * shape[1] + ix[:, None, :], weight


def _profile(
    centre: NDArray[np.float64], sigma: NDArray[np.float64], radius: int, size: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Index and weight along one axis, each (N, 2 radius + 1); weight 0 outside of the image."""
    first = np.floor(centre).astype(np.intp) - radius
    edges = first[:, None] + np.arange(2 * radius + 2)
    weight = np.diff(ndtr((edges - centre[:, None]) / sigma[:, None]), axis=1)
    weight /= weight.sum(axis=1, keepdims=True)
    index = edges[:, :-1]
    inside = (index >= 0) & (index < size)
    return np.where(inside, index, 0), np.where(inside, weight, 0.0)


def _turbo(fraction: NDArray[np.floating[Any]]) -> Image:
    """Colours (N, 3), 0-1, of fractions 0-1; NaN is white."""
    from matplotlib import colormaps  # slow to import, and seldom needed

    known = np.isfinite(fraction)
    colours = colormaps["turbo"](np.clip(np.where(known, fraction, 0), 0, 1))[:, :3]
    return np.where(known[:, None], colours, 1.0).astype(np.float32)
