"""Files of images: values with their scale for programs, pictures for the eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_dilatedloc.files import replacing
from napari_dilatedloc.render.contrast import stretch


def write_image(
    path: str | Path, image: NDArray[Any], pixel_size_nm: float, z_step_nm: float | None = None
) -> None:
    """Write an image, whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.tif`` keeps the values and the pixel size (ImageJ's metadata, um; ``.ome.tif``: that of
        OME); ``.png`` is for the eye: grey images are stretched to their 99.5th percentile.
    image : array
        (H, W); as colours, (H, W, 3) uint8; as a volume, (Z, H, W) with its `z_step_nm`.
    pixel_size_nm : float
        Side of a pixel of this image (camera pixel / magnification), nm.
    z_step_nm : float, optional
        Distance of the planes of a volume, nm.
    """
    path = Path(path)
    colours = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    is_volume = z_step_nm is not None and image.ndim == 3
    if image.ndim != 2 and not colours and not is_volume:
        raise ValueError(
            f"expected an image (H, W) or (H, W, 3) uint8, got {image.shape} {image.dtype}; "
            "write frames with write_movie"
        )
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        values = image if image.dtype in (np.uint8, np.uint16) else image.astype(np.float32)
        ome = Path(path.stem).suffix.lower() == ".ome"
        tags = _ome if ome else _imagej
        with replacing(path) as temporary:
            tifffile.imwrite(
                temporary,
                values,
                photometric="rgb" if colours and not is_volume else "minisblack",
                **tags(pixel_size_nm, z_step_nm if is_volume else None),
            )
    elif suffix == ".png" and not is_volume:
        from matplotlib.image import imsave  # slow to import, and seldom needed

        grey = image if colours else np.rint(stretch(image) * 255).astype(np.uint8)
        with replacing(path) as temporary:
            imsave(temporary, grey, cmap="gray", vmin=0, vmax=255, dpi=100)
    else:
        wanted = ".tif for a volume" if is_volume else ".tif or .png"
        raise ValueError(f"cannot write an image as {path.name}; expected {wanted}")


def _imagej(pixel_size_nm: float, z_step_nm: float | None) -> dict[str, Any]:
    z = {} if z_step_nm is None else {"axes": "ZYX", "spacing": z_step_nm / 1e3}
    return {
        "imagej": True,
        "resolution": (1e3 / pixel_size_nm,) * 2,
        "metadata": {"unit": "um", **z},
    }


def _ome(pixel_size_nm: float, z_step_nm: float | None) -> dict[str, Any]:
    size = {
        f"PhysicalSize{axis}{part}": value
        for axis in "XY"
        for part, value in (("", pixel_size_nm / 1e3), ("Unit", "µm"))
    }
    if z_step_nm is not None:
        size |= {"axes": "ZYX", "PhysicalSizeZ": z_step_nm / 1e3, "PhysicalSizeZUnit": "µm"}
    return {"ome": True, "metadata": size}
