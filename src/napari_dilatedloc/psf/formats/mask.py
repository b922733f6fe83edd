"""Phase masks as DeepSTORM3D keeps them: one square matrix of radians in a MATLAB file.

DeepSTORM3D takes the fourth entry of the file, whatever its name; we take the one square matrix.

Conventions
-----------
- Rows are y and columns are x of the mask. DeepSTORM3D's camera takes exp(-i k.r) of it, which
  turns the image by half a turn against our exp(+i k.r); the mask is turned instead. z has our
  sign.
- The mask fills the Fourier plane that one FFT takes to the camera, so its side in wave numbers is
  1 / (camera pixel in the sample), and the objective's rim is a circle of radius
  ``side * NA * pixel / wavelength`` samples round its centre. Outside it is zero.

Settled from load_image_generator_parameters, calc_bfp_grids, EmittersToPhases and
MaskPhasesToPSFs in https://github.com/EliasNehme/DeepSTORM3D (physics_utils.py, demo1.py): pupil
diameter 2 f NA / sqrt(M^2 - NA^2) and side lambda f / camera pixel, both over one SLM pixel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.mat import Value, load_mat

SMALLEST_MASK = 16


def read_phase_mask(path: str | Path, *, name: str | None = None) -> NDArray[np.float64]:
    """Phase of a mask.

    Parameters
    ----------
    path : str or Path
        MATLAB file, old or version 7.3.
    name : str, optional
        Variable to take, if the file holds several square matrices.

    Returns
    -------
    ndarray
        (S, S) phase in rad, axes y, x, turned for our axes. A complex matrix gives its angle.

    Raises
    ------
    PSFFileError
        If there is no such matrix, or several and no name.
    """
    masks = phase_masks(load_mat(path))
    if name is None and len(masks) == 1:
        name = next(iter(masks))
    if name in masks:
        return np.ascontiguousarray(masks[name][::-1, ::-1])
    found = ", ".join(f"{key} {value.shape}" for key, value in masks.items()) or "none"
    wanted = "one square matrix of phases" if name is None else f"the square matrix {name}"
    raise PSFFileError(f"{path}: expected {wanted}, got {found}; give the name of one")


def phase_masks(variables: dict[str, Value]) -> dict[str, NDArray[np.float64]]:
    """Square matrices of a MATLAB file that can be masks, rad."""
    masks = {}
    for name, value in variables.items():
        if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind not in "fciu":
            continue
        if value.shape[0] == value.shape[1] >= SMALLEST_MASK and np.isfinite(value).all():
            phase = np.angle(value) if value.dtype.kind == "c" else value
            masks[name] = np.asarray(phase, dtype=np.float64)
    return masks


def pupil_of_mask(
    phase: NDArray[np.float64],
    *,
    na: float,
    wavelength_nm: float,
    pixel_size_nm: float,
    n_pupil: int,
) -> Tensor:
    """Mask on the pupil of a vectorial PSF.

    Parameters
    ----------
    phase : ndarray
        (S, S) of `read_phase_mask`.
    na, wavelength_nm, pixel_size_nm : float
        Numerical aperture, wavelength and camera pixel in the sample that the mask was made for.
    n_pupil : int
        Samples along the pupil's diameter.

    Returns
    -------
    Tensor (2, n_pupil, n_pupil)
        Amplitude (1) and phase in rad, float64, the rim at the border of the array.
    """
    radius = len(phase) * na * pixel_size_nm / wavelength_nm
    if not 1 < radius <= len(phase) / 2:
        raise PSFFileError(
            f"expected a pupil within the mask of {len(phase)} samples, got a radius of "
            f"{radius:.1f} samples; give the NA, wavelength and pixel size of the mask"
        )
    places = (np.arange(n_pupil) - (n_pupil - 1) / 2) * (2 / n_pupil) * radius
    grid = np.meshgrid(places, places, indexing="ij") + np.full((2, 1, 1), (len(phase) - 1) / 2)
    # waves are interpolated, not phases, which jump by 2 pi
    real, imaginary = (
        map_coordinates(part, grid, order=1, mode="nearest")
        for part in (np.cos(phase), np.sin(phase))
    )
    return torch.from_numpy(np.stack([np.ones_like(real), np.arctan2(imaginary, real)]))
