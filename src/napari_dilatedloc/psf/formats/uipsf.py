"""uiPSF's HDF5 files: learned volumes, Zernike coefficients and their maps over the chip.

Attribute ``params`` is the JSON (or YAML) of all settings: ``pixel_size.{x,y,z}`` and
``option.imaging.emission_wavelength`` in um, ``option.imaging.{NA, RI.{imm,med,cov}}``,
``option.model.pupilsize``, ``PSFtype``. Group ``res`` holds ``I_model`` (Z, Y, X), for Zernike
models ``zernike_coeff`` (2, N) in Noll's order (magnitude, phase in rad), ``sigma`` (y, x) in px,
for field-dependent ones ``zernike_map`` (2, N, rows, columns), for in-situ ones ``stagepos`` (um)
and ``zoffset`` (slices). Group ``locres`` holds ``coeff`` (64, Z - 1, Y - 1, X - 1), the cubic
pieces of ``I_model`` with index 16 pz + 4 py + px.

Conventions
-----------
- ``swapxy`` transposes every image before learning; the model is transposed back here.
- Bead models (``datatype`` bead) run with the stack: the stage moves towards the objective
  (``stage_mov_dir`` reverse is turned round at loading), so z **falls** with the slices. In-situ
  models count z upwards from ``zoffset`` slices above the cover slip, and the focus is where
  ``kz_med z = kz_imm stagepos`` paraxially, at ``stagepos n_med / n_imm``.
- The pupil's angle counts from columns (x), images are the sum of exp(+i phase) exp(+i k.r), a mode
  with l < 0 is the sine, all as ours. In-situ models have exp(+i kz z), as ours. Bead models have
  +kz for growing slices although z falls, which makes a phase phi(k) the mirror image of the true
  one: W(k) = -phi(-k), that is, modes of even order change sign.
- Nodes of a map lie evenly from 0 to the image's size on each axis.
- A volume becomes photons as in uiPSF's own splines: less its minimum, over the median of its
  slices' sums.

Settled from psflearninglib.py (load_data, gencspline, writeh5file), psfs/PSFInterface_file.py,
psfs/PSFZernikeBased_vector_file.py, psfs/PSFZernikeBased_vector_smlm_file.py,
psfs/PSFZernikeBased_FD_file.py, utilities.py (genZern1, prechirpz1, psf2cspline_np) and
"config/parameter description.md" in https://github.com/ries-lab/uiPSF.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.config import (
    ConfigError,
    FieldPSFConfig,
    VectorialPSFConfig,
    ZernikeCoefficient,
    parse_config,
)
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.pieces import (
    choose_pixel_size,
    knots_of,
    psf_of_knots,
    sign_of,
)
from napari_dilatedloc.psf.formats.vectorfit import ROI_SIZE, Z_RANGE_NM, from_li_lab
from napari_dilatedloc.psf.spline import SplinePSF
from napari_dilatedloc.psf.zernike import noll_to_mode

Array = NDArray[np.float64]

_log = logging.getLogger(__name__)


class _File(NamedTuple):
    """What the readers need of a file."""

    path: Path
    params: dict[str, Any]
    data: dict[str, Array]

    @property
    def in_situ(self) -> bool:
        """Learned from blinking molecules, not from beads."""
        return "insitu" in str(self.params.get("PSFtype", "")) or "stagepos" in self.data

    @property
    def swapped(self) -> bool:
        """Learned from transposed images."""
        return bool(self.params.get("swapxy", False))

    def setting(self, *names: str) -> float:
        """Return a number among the settings."""
        value: Any = self.params
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, (int, float)):
            raise PSFFileError(
                f"{self.path}: expected the number {'.'.join(names)} in params, got {value!r}; "
                "learn the PSF again with a newer uiPSF"
            )
        return float(value)

    def pixel_nm(self) -> float:
        """Square camera pixel, nm."""
        x_nm, y_nm = (1000 * self.setting("pixel_size", axis) for axis in "xy")
        if abs(x_nm / y_nm - 1) > 0.01:
            raise PSFFileError(
                f"{self.path}: expected square pixels, got {x_nm:g} x {y_nm:g} nm; resample the "
                "movie"
            )
        return x_nm


def read_uipsf_volume(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    z_direction: Literal["up", "down"] = "up",
) -> SplinePSF:
    """Spline PSF through the learned volume, whatever model made it.

    Parameters
    ----------
    path : str or Path
        uiPSF's HDF5 file of one channel.
    pixel_size_nm : float, optional
        Camera pixel, nm; default: the file's.
    z_direction : {"up", "down"}
        "down" if the stack was taken the other way than uiPSF was told.

    Raises
    ------
    PSFFileError
        If the file is not uiPSF's, or has several channels.
    """
    file = _open(path)
    values, scaled = _volume(file)
    if file.swapped:
        values = values.transpose(0, 2, 1)
    if not scaled:
        values = values - values.min()
        values = values / np.median(values.sum(axis=(1, 2)))
    z_step_nm = 1000 * file.setting("pixel_size", "z")
    return psf_of_knots(
        values,
        centre=(values.shape[1] // 2, values.shape[2] // 2),
        pixel_size_nm=choose_pixel_size(pixel_size_nm, file.pixel_nm(), path),
        z_zero=_zero_slice(file, len(values), z_step_nm),
        z_step_nm=z_step_nm,
        z_sign=sign_of(z_direction) * (1 if file.in_situ else -1),
    )


def read_uipsf_zernike(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    z_direction: Literal["up", "down"] = "up",
) -> VectorialPSFConfig:
    """Optics and aberrations of a Zernike model; `build.build_psf` makes the PSF.

    The learned magnitude of the pupil is left out; apodization stands in for it. Parameters and
    errors are those of `read_uipsf_volume`.
    """
    file = _open(path)
    phases = file.data.get("zernike_coeff")
    if phases is None or phases.ndim != 2 or len(phases) != 2:
        raise PSFFileError(
            f"{path}: expected res/zernike_coeff of shape (2, N), got "
            f"{None if phases is None else phases.shape}; read its volume or its map instead"
        )
    magnitude = phases[0]
    uneven = float(np.sqrt((magnitude[1:] ** 2).sum()) / max(abs(magnitude[0]), 1e-12))
    if uneven > 0.05:
        _log.warning("%s: the pupil's magnitude varies by %.0f%%; left out", path, 100 * uneven)
    coefficients = _modes(file, phases[1], sign_of(z_direction))
    return _config(file, pixel_size_nm, tuple(c for c in coefficients if c[2] != 0))


def read_uipsf_field(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    z_direction: Literal["up", "down"] = "up",
) -> tuple[FieldPSFConfig, Tensor]:
    """Optics and the map of aberrations over the chip, for `build.build_psf`.

    Returns
    -------
    config : FieldPSFConfig
        Grid of nodes, chip px.
    zernike_nm : Tensor (rows, columns, modes)
        Coefficients at the nodes, nm rms, float32.
    """
    file = _open(path)
    table, size = file.data.get("zernike_map"), file.data.get("image_size")
    if table is None or table.ndim != 4 or len(table) != 2 or size is None or size.size < 2:
        raise PSFFileError(
            f"{path}: expected res/zernike_map of shape (2, N, rows, columns) and "
            f"rois/image_size, got {None if table is None else table.shape} and "
            f"{None if size is None else size.tolist()}; it is not field-dependent"
        )
    _, count, rows, columns = table.shape
    sign = sign_of(z_direction)
    coefficients = [
        _modes(file, table[1, :, row, column], sign)
        for row in range(rows)
        for column in range(columns)
    ]
    values = np.array([[nm for _, _, nm in node] for node in coefficients])
    values = values.reshape(rows, columns, count - FIRST_MODE)
    height, width = (float(side) for side in size.ravel()[-2:])
    if file.swapped:
        values, rows, columns = values.transpose(1, 0, 2), columns, rows
        height, width = width, height
    config = FieldPSFConfig(
        optics=_config(file, pixel_size_nm, ()),
        modes=tuple((n, m) for n, m, _ in coefficients[0]),
        rows_px=tuple(np.linspace(0, height, rows).tolist()),
        columns_px=tuple(np.linspace(0, width, columns).tolist()),
    )
    return config, torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


FIRST_MODE = 3
"""Piston and the two tilts come first in Noll's order; uiPSF does not use them."""


def kind_of_uipsf(path: str | Path) -> Literal["volume", "zernike", "field"]:
    """Which reader suits a file: its map, its coefficients, or only its volume."""
    file = _open(path)
    if "zernike_map" in file.data:
        return "field"
    coefficients = file.data.get("zernike_coeff")
    return "zernike" if coefficients is not None and coefficients.ndim == 2 else "volume"


def _open(path: str | Path) -> _File:
    """Settings and arrays of a file."""
    wanted = {
        "res": ("I_model", "zernike_coeff", "zernike_map", "sigma", "stagepos", "zoffset"),
        "locres": ("coeff",),
        "rois": ("image_size",),
    }
    try:
        with h5py.File(path, "r") as file:
            if "res" not in file or "params" not in file.attrs:
                raise PSFFileError(
                    f"{path}: expected uiPSF's group res and attribute params, got groups "
                    f"{', '.join(file) or 'none'}; choose another file"
                )
            channels = [name for name in file["res"] if name.startswith("channel")]
            if channels:
                raise PSFFileError(
                    f"{path}: expected a PSF of one channel, got {', '.join(channels)}; learn each "
                    "channel by itself"
                )
            params = yaml.safe_load(str(file.attrs["params"]))  # JSON is YAML
            data = {
                name: np.asarray(np.real(file[group][name][()]), dtype=np.float64)
                for group, names in wanted.items()
                for name in names
                if group in file and name in file[group]
            }
    except OSError as error:
        raise PSFFileError(f"{path} is not a readable HDF5 file ({error})") from error
    return _File(Path(path), params if isinstance(params, dict) else {}, data)


def _volume(file: _File) -> tuple[Array, bool]:
    """Volume (Z, Y, X), and whether it is in photons already."""
    model = file.data.get("I_model")
    if model is not None and model.ndim == 3:
        return model, False
    pieces = file.data.get("coeff")
    if pieces is not None and pieces.ndim == 4 and len(pieces) == 64:
        return knots_of(np.moveaxis(pieces, 0, -1).reshape(*pieces.shape[1:], 4, 4, 4)), True
    raise PSFFileError(
        f"{file.path}: expected res/I_model (Z, Y, X) or locres/coeff (64, Z, Y, X), got "
        f"{ {name: value.shape for name, value in file.data.items()} }; learn the PSF again"
    )


def _zero_slice(file: _File, count: int, z_step_nm: float) -> float:
    """Slice of z = 0: the middle of a stack, or the focus of an in-situ model."""
    stage, first = file.data.get("stagepos"), file.data.get("zoffset")
    if stage is None or first is None:
        return (count - 1) / 2
    return _focus_nm(file, stage) / z_step_nm - float(first.ravel()[0])


def _focus_nm(file: _File, stage_um: Array) -> float:
    """Height of the paraxial focus above the cover slip, nm."""
    ratio = file.setting("option", "imaging", "RI", "med") / file.setting(
        "option", "imaging", "RI", "imm"
    )
    return 1000 * float(stage_um.ravel()[0]) * ratio


def _modes(file: _File, phases: Array, sign: int) -> tuple[ZernikeCoefficient, ...]:
    """Coefficients in our axes and signs, nm rms."""
    unit_nm = 1000 * file.setting("option", "imaging", "emission_wavelength") / (2 * np.pi)
    mirrored = sign < 0 if file.in_situ else sign > 0  # see Conventions
    modes = []
    for index in range(FIRST_MODE, len(phases)):
        n, m = noll_to_mode(index + 1)
        flip = -1 if mirrored and n % 2 == 0 else 1
        modes.append((n, m, flip * unit_nm * float(phases[index])))
    return from_li_lab(modes) if file.swapped else tuple(modes)


def _config(
    file: _File, pixel_size_nm: float | None, coefficients: tuple[ZernikeCoefficient, ...]
) -> VectorialPSFConfig:
    """Optics of a file."""
    imaging = ("option", "imaging")
    model = file.data.get("I_model")
    volume = model if model is not None and model.ndim == 3 else None
    half_nm = 500 * file.setting("pixel_size", "z") * (len(volume) - 1) if volume is not None else 0
    sigma = file.data.get("sigma", np.array([0.5, 0.5])).ravel()
    blur_y_px, blur_x_px = float(sigma[0]), float(sigma[-1])
    stage = file.data.get("stagepos")
    settings = {
        "pixel_size_nm": choose_pixel_size(pixel_size_nm, file.pixel_nm(), file.path),
        "roi_size": ROI_SIZE if volume is None else max(7, (volume.shape[1] - 1) // 2 * 2 + 1),
        "z_range_nm": (-half_nm, half_nm) if half_nm > 0 else Z_RANGE_NM,
        "na": file.setting(*imaging, "NA"),
        "wavelength_nm": 1000 * file.setting(*imaging, "emission_wavelength"),
        "n_medium": file.setting(*imaging, "RI", "med"),
        "n_cover": file.setting(*imaging, "RI", "cov"),
        "n_immersion": file.setting(*imaging, "RI", "imm"),
        "depth_nm": 0.0 if stage is None else max(0.0, _focus_nm(file, stage)),
        "zernike_nm": coefficients,
        "blur_y_px": blur_x_px if file.swapped else blur_y_px,
        "blur_x_px": blur_y_px if file.swapped else blur_x_px,
        "n_pupil": round(file.setting("option", "model", "pupilsize")),
    }
    try:
        config: VectorialPSFConfig = parse_config(VectorialPSFConfig, settings, str(file.path))
    except ConfigError as error:
        raise PSFFileError(str(error)) from error
    return config
