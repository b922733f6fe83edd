"""Picasso's calibrations: width polynomials (``.yaml``) and cubic splines (``.hdf5``).

A ``.yaml`` holds ``X Coefficients`` and ``Y Coefficients``, polynomials of 6th degree (highest
power first) that give the spot's standard deviations sx (along columns) and sy in px over z in nm,
``Number of frames`` and ``Step size in nm`` of the bead stack, and ``Magnification factor``.

A ``.hdf5`` holds the dataset ``coefficients``, nominally (64, X - 1, Y - 1, Z - 1), whose buffer
reads in C order as (z, y, x, pz, py, px) with x along columns, and the attribute ``metadata``, a
JSON string with ``model``, ``n_data``, ``z_center`` (slice of z = 0), ``z_step_nm``, ``pixelsize``
(nm), ``photon_scale`` (sum of the focused slice, whose peak is 1), ``magnification_factor``.

Conventions
-----------
- z falls with the frames of the stack (``z_range = -(frame * step - range / 2)``, "so that the
  first frames of a bottom-to-up scan are positive"), the sign of SMAP and ours.
- z of a file is the stage's; fitted z is multiplied by the magnification factor to make up for the
  mismatch of refractive indices. Here the factor is applied to the PSF, once.

Settled from picasso/zfit.py (calibrate_z, fit_z), picasso/spline.py (spline_coefficients,
calibrate_spline, _scan_center_index), picasso/fitting/precision.py (_spline_coeff_reshaped) and
picasso/io.py in https://github.com/jungmannlab/picasso.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.optimize import least_squares

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.pieces import (
    choose_pixel_size,
    knots_of,
    psf_of_knots,
    sign_of,
)
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.spline import SplinePSF

Array = NDArray[np.float64]
WORST_FIT = 0.15
"""Root mean square deviation of the widths, relative, above which a fit is refused."""
STACK_NM = 1000.0
"""Length of the bead stack assumed for files that do not tell it, nm."""

_log = logging.getLogger(__name__)


def read_picasso_gaussian(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    z_direction: Literal["up", "down"] = "up",
) -> GaussianPSF:
    """Astigmatic Gaussian whose widths follow Picasso's polynomials best.

    The four parameters (smallest width, two foci, depth) are fitted to both polynomials over the
    length of the bead stack; how well they do is logged.

    Parameters
    ----------
    path : str or Path
        3-D calibration (``.yaml``).
    pixel_size_nm : float, optional
        Camera pixel, nm; the file does not hold it.
    z_direction : {"up", "down"}
        "up": z as Picasso counts it.

    Raises
    ------
    PSFFileError
        If it is no such file, or the widths are none of an astigmatic Gaussian.
    """
    values = _yaml(path)
    cx, cy = (_polynomial(values, name, path) for name in ("X Coefficients", "Y Coefficients"))
    pixel_nm = choose_pixel_size(pixel_size_nm, _number(values, "Pixelsize"), path)
    factor = _number(values, "Magnification factor") or 1.0
    stage_nm = np.linspace(-0.5, 0.5, 201) * _stack_length(values)
    width_x, width_y = (np.asarray(np.polyval(c, stage_nm), dtype=np.float64) for c in (cx, cy))
    if min(width_x.min(), width_y.min()) <= 0:
        raise PSFFileError(
            f"{path}: expected positive widths over the bead stack, got "
            f"{min(width_x.min(), width_y.min()):.3g} px; calibrate again over a shorter range"
        )
    z_nm = stage_nm * factor * sign_of(z_direction)
    parameters, residual = _fit_widths(z_nm, width_x, width_y)
    _log.info("%s: Gaussian widths deviate by %.1f%% rms", path, 100 * residual)
    if residual > WORST_FIT:
        raise PSFFileError(
            f"{path}: expected the widths of an astigmatic Gaussian, got curves it misses by "
            f"{100 * residual:.0f}% rms; calibrate a spline from the bead stack instead"
        )
    sigma, focus_x, focus_y, depth = parameters
    widest = float(max(width_x.max(), width_y.max()))
    config = GaussianPSFConfig(
        pixel_size_nm=pixel_nm,
        roi_size=int(np.clip(2 * np.ceil(4 * widest) + 1, 9, 61)),
        z_range_nm=(float(z_nm.min()), float(z_nm.max())),
        sigma_nm=sigma * pixel_nm,
        focus_x_nm=focus_x,
        focus_y_nm=focus_y,
        depth_nm=depth,
    )
    return GaussianPSF(config)


def _fit_widths(z_nm: Array, width_x: Array, width_y: Array) -> tuple[Array, float]:
    """Least squares of (smallest width px, focus x, focus y, depth nm), and the relative rms."""

    def deviation(parameters: Array) -> Array:
        sigma, focus_x, focus_y, depth = parameters
        model_x, model_y = (
            sigma * np.sqrt(1 + ((z_nm - focus) / depth) ** 2) for focus in (focus_x, focus_y)
        )
        return np.concatenate([model_x / width_x - 1, model_y / width_y - 1])

    start = np.array(
        [
            min(width_x.min(), width_y.min()),
            z_nm[width_x.argmin()],
            z_nm[width_y.argmin()],
            np.ptp(z_nm) / 3,
        ]
    )
    lower = [1e-3, -np.inf, -np.inf, 1e-3]
    scale = np.maximum(np.abs(start), [0.1, 100, 100, 100])
    found = least_squares(deviation, start, bounds=(lower, np.inf), x_scale=scale)
    return found.x, float(np.sqrt(np.mean(found.fun**2)))


def _yaml(path: str | Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise PSFFileError(f"{path} is not a readable YAML file ({error})") from error
    if not isinstance(values, dict):
        raise PSFFileError(
            f"{path}: expected a calibration as one mapping, got {type(values).__name__}; choose "
            "the file that Picasso wrote with its 3-D calibration"
        )
    return values


def _polynomial(values: dict[str, Any], name: str, path: str | Path) -> Array:
    numbers = values.get(name)
    if not isinstance(numbers, list) or len(numbers) < 3:
        raise PSFFileError(
            f"{path}: expected {name} as a list of polynomial coefficients, got {numbers!r}; "
            "choose a 3-D calibration of Picasso"
        )
    return np.array(numbers, dtype=np.float64)


def _number(values: dict[str, Any], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _stack_length(values: dict[str, Any]) -> float:
    """Stage travel of the bead stack, nm."""
    frames, step_nm = _number(values, "Number of frames"), _number(values, "Step size in nm")
    if frames is None or step_nm is None:
        return STACK_NM
    per_step = max(1.0, _number(values, "Frames per step") or 1.0)
    return (frames // per_step - 1) * step_nm


def read_picasso_spline(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    z_direction: Literal["up", "down"] = "up",
) -> SplinePSF:
    """Spline PSF of Picasso's spline calibration (``.hdf5``) of one channel.

    Parameters
    ----------
    path : str or Path
        The calibration.
    pixel_size_nm : float, optional
        Camera pixel, nm; default: the file's.
    z_direction : {"up", "down"}
        "up": z as Picasso counts it.

    Raises
    ------
    PSFFileError
        If it is no such file, or one of a 2-D or multichannel model.
    """
    table, values = _spline_file(path)
    model, points = values.get("model"), values.get("n_data")
    if model != "spline-3d" or not isinstance(points, list) or len(points) != 3:
        raise PSFFileError(
            f"{path}: expected the model spline-3d with three n_data, got {model!r} with "
            f"{points!r}; calibrate one channel in 3-D"
        )
    x, y, z = (int(count) - 1 for count in points)
    if table.size != 64 * x * y * z:
        raise PSFFileError(
            f"{path}: expected {64 * x * y * z} coefficients for n_data {points}, got "
            f"{table.size}; calibrate again"
        )
    volume = knots_of(table.reshape(z, y, x, 4, 4, 4))
    scale = _number(values, "photon_scale")
    z_step_nm = _number(values, "z_step_nm")
    if z_step_nm is None or not z_step_nm > 0:
        raise PSFFileError(
            f"{path}: expected a positive z_step_nm, got {z_step_nm}; calibrate again"
        )
    z_zero = _number(values, "z_center")
    return psf_of_knots(
        volume / scale if scale else volume,
        centre=((volume.shape[1] - 1) / 2, (volume.shape[2] - 1) / 2),
        pixel_size_nm=choose_pixel_size(pixel_size_nm, _number(values, "pixelsize"), path),
        z_zero=(len(volume) - 1) / 2 if z_zero is None else z_zero,
        z_step_nm=z_step_nm * (_number(values, "magnification_factor") or 1.0),
        z_sign=-sign_of(z_direction),
    )


def _spline_file(path: str | Path) -> tuple[Array, dict[str, Any]]:
    """Coefficients as stored, and the metadata."""
    try:
        with h5py.File(path, "r") as file:
            if "coefficients" not in file or "metadata" not in file.attrs:
                raise PSFFileError(
                    f"{path}: expected Picasso's dataset coefficients and attribute metadata, got "
                    f"{', '.join(file) or 'nothing'}; choose another file"
                )
            table = np.asarray(file["coefficients"][()], dtype=np.float64)
            values = json.loads(file.attrs["metadata"])
    except OSError as error:
        raise PSFFileError(f"{path} is not a readable HDF5 file ({error})") from error
    except json.JSONDecodeError as error:
        raise PSFFileError(f"{path}: expected JSON in metadata, got {error}") from error
    return table, values if isinstance(values, dict) else {}
