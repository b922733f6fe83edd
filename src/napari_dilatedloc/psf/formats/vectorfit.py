"""Vectorial PSFs fitted by SMAP's and the Li lab's programs: optics and 21 Zernike coefficients.

Three layouts of a MATLAB file are read, the first that is there:

- ``vector_psf_model``: ``aberrations`` (21, 3) and ``zernikefit`` (of calibrate_psf_model.m);
- ``SXY.zernikefit``: ``aberrations`` among the optics (of SMAP's and FD-DeepLoc's calibration);
- ``psf_params_fitted``: ``zernike_mode`` (21, 2), ``zernike_coef`` (21,) and the optics
  (``*_calib_results.mat`` of LiteLoc's bead fit in Python).

A row of ``aberrations`` is n, m, nm rms with Noll's normalization; m < 0 is the sine.

Conventions
-----------
All three share one model, E = sum of A exp(+i 2 pi W / lambda) exp(+i k.(r - r0)) exp(+i kz z):

- z grows away from the cover slip, and ``zemit0 = -objstage0 n_medium / n_immersion`` is the height
  of the paraxial focus, our `depth_nm`.
- x of the pupil, from which the angle of a Zernike mode counts, runs along the image's **rows**
  (MATLAB's first axis), while ours runs along columns: modes are turned by `from_li_lab`.
- ``otf_rescale_xy[0]`` and ``pixel_size_xy[0]`` belong to columns.

Settled from VectorPSFTorch (get_zernike, prechirpz, simulate) in
https://github.com/Li-Lab-SUSTech/LiteLoc/blob/main/PSF_vector_gpu/vectorpsf.py, from
kernel_DerivativeAberration_vectorPSF_FixPara_sigma2.m and zernikefitBeadstack.m in
https://github.com/Li-Lab-SUSTech/FD-DeepLoc, and from calibrate_psf_model.m and
utils/help_utils.py (format_psf_model_params) in https://github.com/Li-Lab-SUSTech/LiteLoc.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.config import (
    ConfigError,
    VectorialPSFConfig,
    ZernikeCoefficient,
    parse_config,
)
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.mat import Value, array, child, load_mat, number
from napari_dilatedloc.psf.formats.pieces import choose_pixel_size

_log = logging.getLogger(__name__)

Z_RANGE_NM = (-700.0, 700.0)
"""Assumed where a file does not say how long its bead stack was."""
ROI_SIZE = 31


def from_li_lab(coefficients: Iterable[ZernikeCoefficient]) -> tuple[ZernikeCoefficient, ...]:
    """Coefficients with the angle counted from columns instead of rows, or the other way round.

    With phi' = pi/2 - phi, cos(m phi) = cos(m pi/2) cos(m phi') + sin(m pi/2) sin(m phi') and
    sin(m phi) = sin(m pi/2) cos(m phi') - cos(m pi/2) sin(m phi'): odd modes swap sine and cosine,
    even ones change sign or not. This is what transposing the image does.

    Parameters
    ----------
    coefficients : iterable of (n, m, nm)
        Any number of modes.

    Returns
    -------
    tuple of (n, m, nm)
        In the same order.
    """
    return tuple((n, *_turned(m, nm)) for n, m, nm in coefficients)


def _turned(m: int, nm: float) -> tuple[int, float]:
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[abs(m) % 4]  # of |m| pi/2
    if sine:
        return -m, sine * nm
    return m, (cosine if m >= 0 else -cosine) * nm


def read_vectorfit(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    depth_nm: float | None = None,
    unit: Literal["nm", "waves"] = "nm",
) -> VectorialPSFConfig:
    """Optics and aberrations of a vectorial fit; `build.build_psf` makes the PSF.

    Parameters
    ----------
    path : str or Path
        MATLAB file, old or version 7.3.
    pixel_size_nm : float, optional
        Camera pixel, nm; default: the file's.
    depth_nm : float, optional
        Height of z = 0 above the cover slip, nm; default: what the file says of the fit, else 0.
    unit : {"nm", "waves"}
        Unit of the coefficients; published tables come in both.

    Raises
    ------
    PSFFileError
        If the file holds no such fit, or settings that make no PSF.
    """
    variables = load_mat(path)
    values = _optics(variables, path)
    aberrations = _aberrations(variables, path)
    n_medium = _needed(values, path, "refmed")
    n_immersion = _needed(values, path, "refimm")
    wavelength_nm = _needed(values, path, "lambda", "wavelength")
    if unit == "waves":
        aberrations[:, 2] *= wavelength_nm
    elif np.abs(aberrations[:, 2]).max() < 1:
        _log.warning("%s: all coefficients are below 1 nm; if they are waves, say so", path)
    if depth_nm is None:
        depth_nm = _depth(values, n_medium / n_immersion)
    blur_y_px, blur_x_px = _blur(values)
    modes = ((round(n), round(m), float(nm)) for n, m, nm in aberrations)
    settings = {
        "pixel_size_nm": choose_pixel_size(pixel_size_nm, _pixel(values, path), path),
        "roi_size": _roi_size(values),
        "z_range_nm": _z_range(values),
        "na": _needed(values, path, "NA", "na"),
        "wavelength_nm": wavelength_nm,
        "n_medium": n_medium,
        "n_cover": _needed(values, path, "refcov"),
        "n_immersion": n_immersion,
        "depth_nm": depth_nm,
        "zernike_nm": tuple(mode for mode in from_li_lab(modes) if mode[2] != 0),
        "blur_y_px": blur_y_px,
        "blur_x_px": blur_x_px,
        "n_pupil": round(_first(values, "Npupil", "npupil") or 64),
    }
    try:
        config: VectorialPSFConfig = parse_config(VectorialPSFConfig, settings, str(path))
    except ConfigError as error:
        raise PSFFileError(str(error)) from error
    return config


def has_vectorfit(variables: dict[str, Value]) -> bool:
    """Whether a MATLAB file holds a vectorial fit."""
    fitted = (
        child(variables, "vector_psf_model", "aberrations"),
        child(variables, "SXY", "zernikefit", "aberrations"),
        child(variables, "psf_params_fitted", "zernike_coef"),
    )
    return any(array(value) is not None for value in fitted)


def _optics(variables: dict[str, Value], path: str | Path) -> dict[str, Value]:
    """Optics of all layouts that are there; the names differ little."""
    found: dict[str, Value] = {}
    for names in (
        ("SXY", "zernikefit"),
        ("psf_params_fitted",),
        ("vector_psf_model", "zernikefit"),
    ):
        part = child(variables, *names)
        if isinstance(part, dict):
            found.update(part)
    if not found or not has_vectorfit(variables):
        raise PSFFileError(
            f"{path}: expected a vectorial fit (vector_psf_model, SXY.zernikefit or "
            f"psf_params_fitted), got the variables {', '.join(sorted(variables)) or 'none'}; "
            "choose another file"
        )
    return found


def _aberrations(variables: dict[str, Value], path: str | Path) -> NDArray[np.float64]:
    """Rows of n, m, coefficient."""
    table = array(child(variables, "vector_psf_model", "aberrations"))
    if table is None:
        table = array(child(variables, "SXY", "zernikefit", "aberrations"))
    if table is None:
        fitted = variables["psf_params_fitted"]
        modes, sizes = array(child(fitted, "zernike_mode")), array(child(fitted, "zernike_coef"))
        if modes is not None and sizes is not None and modes.shape == (sizes.size, 2):
            table = np.column_stack([modes, sizes.ravel()])
    if table is None or table.ndim != 2 or table.shape[1] != 3:
        raise PSFFileError(
            f"{path}: expected aberrations as rows of n, m, nm, got "
            f"{None if table is None else table.shape}; fit again"
        )
    return table.copy()


def _first(values: dict[str, Value], *names: str) -> float | None:
    """First of several names that holds a number."""
    found = (number(values.get(name)) for name in names)
    return next((value for value in found if value is not None), None)


def _needed(values: dict[str, Value], path: str | Path, *names: str) -> float:
    value = _first(values, *names)
    if value is None:
        raise PSFFileError(
            f"{path}: expected the number {names[0]} among the optics, got only "
            f"{', '.join(sorted(values))}; fit again with a newer program"
        )
    return value


def _pixel(values: dict[str, Value], path: str | Path) -> float | None:
    """Pixel along columns, nm, if it is as large along rows."""
    pair = array(values.get("pixel_size_xy"))
    x_nm = number(pair) if pair is not None else _first(values, "pixelSizeX")
    y_nm = float(pair.ravel()[-1]) if pair is not None else _first(values, "pixelSizeY")
    if x_nm is not None and y_nm is not None and abs(x_nm / y_nm - 1) > 0.01:
        raise PSFFileError(
            f"{path}: expected square pixels, got {x_nm} x {y_nm} nm; resample the movie"
        )
    return x_nm


def _blur(values: dict[str, Value]) -> tuple[float, float]:
    """Gaussian blur (y, x), px."""
    pair = array(values.get("otf_rescale_xy"))
    if pair is not None:
        return float(pair.ravel()[-1]), float(pair.ravel()[0])
    x_px = _first(values, "psfrescale", "Imgsigmax")
    y_px = _first(values, "psfrescale", "Imgsigmay")
    return (0.5 if y_px is None else y_px), (0.5 if x_px is None else x_px)


def _depth(values: dict[str, Value], ratio: float) -> float:
    """Height of the paraxial focus above the cover slip, nm."""
    stage_nm = _first(values, "objstage0", "objStage0")
    return 0.0 if stage_nm is None else max(0.0, -stage_nm * ratio)


def _roi_size(values: dict[str, Value]) -> int:
    """Odd side of the fitted ROI, px."""
    size = _first(values, "psf_size", "psfSizeX", "sizeX")
    return ROI_SIZE if size is None else max(7, (round(size) - 1) // 2 * 2 + 1)


def _z_range(values: dict[str, Value]) -> tuple[float, float]:
    """Length of the bead stack round the focus, nm."""
    limits = array(values.get("zrang"))
    if limits is not None and limits.size == 2:
        return float(limits.min()), float(limits.max())
    step_nm, slices = _first(values, "dz"), _first(values, "sizeZ")
    if step_nm is None or slices is None:
        return Z_RANGE_NM
    half = step_nm * (slices - 1) / 2
    return -half, half
