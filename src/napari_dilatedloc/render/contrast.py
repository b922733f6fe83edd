"""What looks right at once: contrast, the size of a pixel and the field."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.render.view import Image, Place, Spots

SAMPLE = 200_000
"""Pixels and rows that percentiles are taken from: enough for three digits."""

PIXEL_RANGE_NM = (2.0, 50.0)
Z_STEP_RANGE_NM = (5.0, 100.0)


def stretch(image: NDArray[Any], percentile: float = 99.5) -> Image:
    """Image scaled to 0-1, where 1 is the percentile of the pixels that are not empty."""
    top = np.float32(contrast_limits(image, percentile)[1])
    scaled: Image = np.divide(image, top, dtype=np.float32)
    np.clip(scaled, 0, 1, out=scaled)
    return scaled


def contrast_limits(image: NDArray[Any], percentile: float = 99.5) -> tuple[float, float]:
    """Black and white of a density: 0 and a percentile of the pixels that are not empty.

    Beads and other spots that shine in every frame are far brighter than the structure but few, so
    a percentile passes them by where the maximum would make all else black. Empty are pixels below
    a thousandth of that, which the tails of Gaussians leave.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((100, 100))
    >>> image[:20] = 3.0
    >>> image[50, 50] = 1e4
    >>> contrast_limits(image)
    (0.0, 3.0)
    """
    flat = image.reshape(-1)
    filled = flat[flat > 0]
    filled = filled[:: max(1, len(filled) // SAMPLE)]
    if filled.size == 0:
        return 0.0, 1.0
    filled = filled[filled >= 1e-3 * np.percentile(filled, percentile)]
    return 0.0, float(np.percentile(filled, percentile))


def auto_pixel_nm(localizations: Spots, pixel_size_nm: float) -> float:
    """Side of an image pixel that shows what the precision allows, nm.

    Half of the median precision: the usual sampling of an image that is blurred by that much
    (`PIXEL_RANGE_NM` bounds it). Without a precision, a tenth of the camera pixel.

    Parameters
    ----------
    localizations : Spots
        Their `sigma_x` and `sigma_y` count.
    pixel_size_nm : float
        Camera pixel, nm.
    """
    every = slice(None, None, max(1, len(localizations.y) // SAMPLE))
    sigma = np.sqrt((localizations.sigma_x[every] ** 2 + localizations.sigma_y[every] ** 2) / 2)
    wanted = _half_median(sigma, 0.1) * pixel_size_nm
    return float(np.clip(wanted, *PIXEL_RANGE_NM))


def auto_z_step_nm(localizations: Spots) -> float:
    """Distance of planes that shows what the axial precision allows, nm; 50 without one."""
    every = slice(None, None, max(1, len(localizations.y) // SAMPLE))
    return float(np.clip(_half_median(localizations.sigma_z_nm[every], 50.0), *Z_STEP_RANGE_NM))


def whole_field(localizations: Spots, movie: Place | None = None) -> tuple[Place, Place]:
    """Corner (y, x) and shape (height, width) of the whole, camera px.

    Parameters
    ----------
    localizations : Spots
        Where the size of the movie is not known, all positions and the first pixel are in the
        field.
    movie : tuple, optional
        (height, width) of the movie, px.

    Raises
    ------
    ValueError
        There is neither a size nor a position.
    """
    if movie is not None:
        return (0.0, 0.0), (float(movie[0]), float(movie[1]))
    sides = []
    for place in (localizations.y, localizations.x):
        known = place[np.isfinite(place)].astype(np.float64)
        if len(known) == 0:
            raise ValueError(
                "the table is empty and does not say the size of its movie; nothing drawn"
            )
        first = min(0.0, float(np.floor(known.min())))
        sides.append((first, float(np.floor(known.max())) + 2 - first))
    (top, height), (left, width) = sides
    return (top, left), (max(1.0, height), max(1.0, width))


def _half_median(sigma: NDArray[np.float32], otherwise: float) -> float:
    known = sigma[np.isfinite(sigma) & (sigma > 0)]
    return float(np.median(known)) / 2 if len(known) else otherwise
