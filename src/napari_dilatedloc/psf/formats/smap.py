"""SMAP's cubic splines: ``*_3dcal.mat`` and ``*_3Dcorr.mat``, read and written.

What is looked for, in this order: ``cspline_psf_model`` (of the Li lab's calibration), then
``SXY.cspline`` (SMAP), then ``cspline`` or ``cspline_all.cspline`` (fit3Dcspline's stand-alone
calibration). Each is a struct of

- ``coeff``: (Y - 1, X - 1, Z - 1, 64), often in a cell with one element per channel;
- ``x0``: lateral reference, knots from 1; ``z0``: slice of z = 0; ``dz``: slice distance, nm.

Conventions
-----------
- The first axis of ``coeff`` is the image's row (our y): beads are cut as image(y, x, z), and the
  fitter's first coordinate ends in SMAP's ypix. The 64 coefficients count 16 pz + 4 px + py with
  py, px, pz the powers along the first, second and third axis.
- Voxel (i, j, k) lies between knots i and i + 1 and so on; its polynomial runs from 0 to 1.
- The emitter lies on knot x0 - 1 (from 0) of both lateral axes, but z = 0 is knot z0 from 0: SMAP
  finds z0 counting from 1 and uses it counting from 0, and so does DECODE.
- SMAP's z is -(k - z0) dz and so is DECODE's: a bead stack is taken with the objective moving
  towards the sample, so the emitter sinks relative to the focus from slice to slice. z is in units
  of the stage; SMAP multiplies it by its refractive index factor after the fit.
- The spline is normalized to one photon in the ROI, mean of three slices round the focus.
- With an EM camera (``EMon``) SMAP mirrors columns of beads and of movies when it loads them.

Settled from calibrate3D_g.m, private/images2beads_globalfit.m, private/getstackcal_g.m,
private/readbeadimages.m, Spline3D_interp.m, private/fAt3Dj_v2.m, simSplinePSF.m and
source/CPUmleFit_LM/CPUsplineLib.cpp in https://github.com/jries/SMAP/tree/master/fit3Dcspline, from
splinePSF.m and MLE_GPU_Yiming.m (znm, xpix, ypix) in https://github.com/jries/SMAP, and from
decode/simulation/psf_kernel.py (coord2impl) and decode/io/psf.py in
https://github.com/TuragaLab/DECODE.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import savemat

from napari_dilatedloc.files import replacing
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.mat import Value, array, child, load_mat, number
from napari_dilatedloc.psf.formats.pieces import (
    choose_pixel_size,
    knots_of,
    pieces_of,
    psf_of_knots,
    sign_of,
)
from napari_dilatedloc.psf.spline import SplinePSF, spline_from_volume

Array = NDArray[np.float64]
Z_STEP_NM = 20.0
"""Slice distance of a written file whose PSF has no slices of its own, nm."""

_log = logging.getLogger(__name__)


class _Spline(NamedTuple):
    """The struct as numbers."""

    coefficients: Array  # (Y - 1, X - 1, Z - 1, 64)
    centre: float | None  # knot from 0
    z_zero: float
    z_step_nm: float


def read_smap(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    z_direction: Literal["up", "down"] = "up",
    part: int | None = None,
    channel: int | None = None,
    mirror_x: bool = False,
) -> SplinePSF:
    """PSF of a SMAP calibration.

    Parameters
    ----------
    path : str or Path
        MATLAB file, old or version 7.3.
    pixel_size_nm : float, optional
        Camera pixel, nm; default: the file's, if it holds one.
    z_direction : {"up", "down"}
        "up": z as SMAP counts it; "down": the bead stack was taken the other way.
    part, channel : int, optional
        Which element of ``SXY`` and of the cell ``coeff``, from 0, if there are several (regions of
        the chip; cameras).
    mirror_x : bool
        Mirror columns, for an EM camera whose movies are read as they are.

    Returns
    -------
    SplinePSF
        Photons are scaled as in the file, unless nothing near one photon is seen at z = 0.

    Raises
    ------
    PSFFileError
        If the file holds no spline, or several and it is not said which.
    """
    variables = load_mat(path)
    holder = _holder(variables, path, part)
    spline = _spline(holder, path, channel)
    if number(child(variables, "SXY", "EMon")) and not mirror_x:
        _log.warning("%s was made with SMAP's EM mirror; movies read here are not mirrored", path)
    columns, rows, slices = 1, 0, 2
    powers = spline.coefficients.reshape(*spline.coefficients.shape[:3], 4, 4, 4)  # pz, px, py
    values = knots_of(powers.transpose(slices, rows, columns, 3, 5, 4))
    lateral = spline.centre if spline.centre is not None else (values.shape[1] // 2)
    centre_x = values.shape[2] - 1 - lateral if mirror_x else lateral
    return psf_of_knots(
        values[:, :, ::-1] if mirror_x else values,
        centre=(lateral, centre_x),
        pixel_size_nm=choose_pixel_size(pixel_size_nm, _pixel_size(variables), path),
        z_zero=spline.z_zero,
        z_step_nm=spline.z_step_nm,
        z_sign=-sign_of(z_direction),
    )


def has_spline(variables: dict[str, Value]) -> bool:
    """Whether a MATLAB file holds a cubic spline."""
    sxy = variables.get("SXY")
    parts = sxy if isinstance(sxy, list) else [sxy]
    return any(
        child(value, "coeff") is not None
        for value in (
            variables.get("cspline_psf_model"),
            *(child(item, "cspline") for item in parts),
            variables.get("cspline"),
            child(variables, "cspline_all", "cspline"),
        )
    )


def _holder(variables: dict[str, Value], path: str | Path, part: int | None) -> Value:
    """Struct with ``coeff``."""
    sxy = variables.get("SXY")
    if isinstance(sxy, list):
        sxy = _pick(sxy, part, "SXY", "part", path)
    for value in (
        variables.get("cspline_psf_model"),
        child(sxy, "cspline"),
        variables.get("cspline"),
        child(variables, "cspline_all", "cspline"),
        variables.get("cspline_all"),
    ):
        if child(value, "coeff") is not None:
            return value
    raise PSFFileError(
        f"{path}: expected a cubic spline (SXY.cspline, cspline_psf_model or cspline with coeff), "
        f"got the variables {', '.join(sorted(variables)) or 'none'}; choose another file"
    )


def _pick(values: list[Value], index: int | None, what: str, name: str, path: object) -> Value:
    """Element of a list; which one must be said if there are several."""
    if index is None and len(values) == 1:
        return values[0]
    if index is None or not 0 <= index < len(values):
        raise PSFFileError(
            f"{path}: expected {name} from 0 to {len(values) - 1} for the {len(values)} elements "
            f"of {what}, got {index}; say which"
        )
    return values[index]


def _spline(holder: Value, path: str | Path, channel: int | None) -> _Spline:
    coefficients = holder["coeff"]
    if isinstance(coefficients, list):
        coefficients = _pick(coefficients, channel, "coeff", "channel", path)
    values = array(coefficients)
    if values is None or values.ndim != 4 or values.shape[3] != 64:
        raise PSFFileError(
            f"{path}: expected coeff of shape (Y, X, Z, 64), got "
            f"{None if values is None else values.shape}; calibrate again"
        )
    first, z_zero, z_step_nm = (number(holder.get(name)) for name in ("x0", "z0", "dz"))
    if z_step_nm is None or z_zero is None or not z_step_nm > 0:
        raise PSFFileError(
            f"{path}: expected z0 and a positive dz beside coeff, got z0 {z_zero} and dz "
            f"{z_step_nm}; calibrate again"
        )
    return _Spline(values, None if first is None else first - 1, z_zero, z_step_nm)


def _pixel_size(variables: dict[str, Value]) -> float | None:
    """Pixel size where a program left it, nm.

    SMAP keeps um (of the camera's metadata) in ``parameters.pixelsize`` and writes 100 if it does
    not know; fits of a vectorial PSF keep nm.
    """
    size_um = number(child(variables, "parameters", "pixelsize"))
    if size_um is not None and 0.01 < size_um < 2:
        return 1000 * size_um
    for names in (("SXY", "zernikefit"), ("vector_psf_model", "zernikefit")):
        size_nm = number(child(variables, *names, "pixelSizeX"))
        if size_nm is not None:
            return size_nm
    return None


def write_smap(path: str | Path, psf: PSF, *, z_step_nm: float = Z_STEP_NM) -> Path:
    """Write a calibration that SMAP and DECODE read.

    A spline with one knot a pixel is written as it is, with the two pixels round its ROI. Of any
    other PSF the ROI is sampled every `z_step_nm`; a reader that needs two pixels round its ROI, as
    ours does, then gets a ROI smaller by four.

    Parameters
    ----------
    path : str or Path
        File to write, usually ``*_3dcal.mat``; an existing one is replaced whole.
    psf : PSF
        Any PSF; one that changes over the chip is taken in the middle of its map.
    z_step_nm : float
        Slice distance for a PSF that is no spline, nm.

    Returns
    -------
    Path
        The file written.
    """
    plain = type(psf) is SplinePSF and psf.config.oversampling == 1
    spline = psf if plain and isinstance(psf, SplinePSF) else _sampled(psf, z_step_nm)
    target = Path(path)
    with replacing(target) as temporary:
        savemat(temporary, _variables(spline), do_compression=True)
    return target


def _variables(spline: SplinePSF) -> dict[str, Value]:
    """What SMAP's calibration saves: SXY and parameters."""
    config = spline.config
    coefficients = spline.coefficients.cpu().double().numpy()[::-1]  # SMAP's z falls with the slice
    pieces = pieces_of(coefficients)
    slices, rows, columns = 0, 1, 2
    table = pieces.transpose(rows, columns, slices, 3, 5, 4).reshape(
        *(pieces.shape[axis] for axis in (rows, columns, slices)), 64
    )
    z_max_nm = config.z_min_nm + (len(coefficients) - 1) * config.z_step_nm
    side = coefficients.shape[1]
    nothing, everywhere = np.empty((0, 0)), np.array([[-np.inf, np.inf]])
    sxy = {
        **dict.fromkeys(("gausscal", "cspline_all", "gauss_sx2_sy2", "gauss_zfit"), nothing),
        "cspline": {
            "coeff": _cell(table.astype(np.float32)),
            "dz": config.z_step_nm,
            "z0": z_max_nm / config.z_step_nm,
            "x0": float(side // 2 + 1),
            "global": {"isglobal": 0.0},
            "mirror": 0.0,
        },
        **dict.fromkeys(("Xrangeall", "Yrangeall", "Xrange", "Yrange"), everywhere),
        "posind": np.array([[1.0, 1.0]]),
        "EMon": 0.0,
        "PSF": _cell(knots_of(pieces).transpose(1, 2, 0).astype(np.float32)),
    }
    pixel_um = config.pixel_size_nm / 1000
    parameters = {
        "dz": config.z_step_nm,
        "pixelsize": _cell(np.array([[pixel_um, pixel_um]])),
        "ROIxy": float(side),
        "ROIz": float(len(coefficients)),
        "isglobalfit": 0.0,
        "modality": "arbitrary",
        "filelist": "",
    }
    return {"SXY": sxy, "parameters": parameters}


def _cell(value: Array | NDArray[np.float32]) -> NDArray[np.object_]:
    """MATLAB cell with one element."""
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = value
    return cell


def _sampled(psf: PSF, z_step_nm: float) -> SplinePSF:
    """Spline through the ROI of any PSF."""
    config = psf.config
    low, high = config.z_range_nm
    count = max(2, round((high - low) / z_step_nm) + 1)
    z_nm = torch.linspace(low, high, count, dtype=torch.float64)
    zeros = torch.zeros_like(z_nm)
    return spline_from_volume(
        psf.rois(z_nm, zeros, zeros).detach().numpy(),
        pixel_size_nm=config.pixel_size_nm,
        z_min_nm=low,
        z_step_nm=(high - low) / (count - 1),
    )
