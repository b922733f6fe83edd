"""A PSF from its config and tensors, from a file, or by the name of a built-in one.

Layout of a PSF file (HDF5)
---------------------------
- attribute ``format``: "dilatedloc-psf"; attribute ``version``: 1
- attribute ``config``: the PSF config as a JSON string (`config.PSFConfig`)
- group ``tensors``: one dataset per tensor of the PSF, float32:

  - spline: ``coefficients`` (Z, S, S), axes z, y, x (`spline.SplinePSF`); field-spline: the same
    with the grid's nodes in front
  - vectorial: nothing, or a mask ``pupil`` (2, P, P): amplitude and phase in rad
  - field: ``zernike_nm`` (rows, columns, modes), nm rms
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import h5py
import numpy as np
import torch
import yaml
from torch import Tensor

from napari_dilatedloc.config import (
    ConfigError,
    FieldPSFConfig,
    FieldSplinePSFConfig,
    GaussianPSFConfig,
    PSFConfig,
    SplinePSFConfig,
    VectorialPSFConfig,
    parse_config,
)
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.field import FieldPSF
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.read import read_foreign_psf
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.spline import FieldSplinePSF, SplinePSF
from napari_dilatedloc.psf.vectorial import VectorialPSF

FORMAT = "dilatedloc-psf"
VERSION = 1


def _gaussian(config: GaussianPSFConfig, tensors: Mapping[str, Tensor]) -> PSF:
    return GaussianPSF(config)


def _spline(config: SplinePSFConfig, tensors: Mapping[str, Tensor]) -> PSF:
    return SplinePSF(config, _required(tensors, "coefficients"))


def _field_spline(config: FieldSplinePSFConfig, tensors: Mapping[str, Tensor]) -> PSF:
    return FieldSplinePSF(config, _required(tensors, "coefficients"))


def _vectorial(config: VectorialPSFConfig, tensors: Mapping[str, Tensor]) -> PSF:
    return VectorialPSF(config, tensors.get("pupil"))


def _field(config: FieldPSFConfig, tensors: Mapping[str, Tensor]) -> PSF:
    return FieldPSF(config, _required(tensors, "zernike_nm"))


def _required(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise ValueError(
            f"this PSF needs the tensor {name}, got {sorted(tensors)}; calibrate or save it again"
        )
    return tensors[name]


_BUILDERS: Mapping[str, Callable[..., PSF]] = MappingProxyType(
    {
        "gaussian": _gaussian,
        "spline": _spline,
        "field-spline": _field_spline,
        "vectorial": _vectorial,
        "field": _field,
    }
)
_BUILT_IN = PRESETS


def available_psfs() -> list[str]:
    """Names of the built-in PSFs."""
    return sorted(_BUILT_IN)


def build_psf(config: PSFConfig, tensors: Mapping[str, Tensor] | None = None) -> PSF:
    """PSF of the class that `config.kind` names.

    Parameters
    ----------
    config : PSFConfig
        Settings of the PSF.
    tensors : mapping of str to Tensor, optional
        What `PSF.tensors` gave; a formula needs none.
    """
    return _BUILDERS[config.kind](config, tensors if tensors is not None else {})


def save_psf(path: str | Path, psf: PSF) -> Path:
    """Write a PSF file; an existing file is replaced only when the new one is complete.

    Parameters
    ----------
    path : str or Path
        File to write, usually with the suffix ``.psf.h5``.
    psf : PSF
        Its config and tensors are stored; see the layout at the top of this module.

    Returns
    -------
    Path
        The file written.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise PSFFileError(f"no such folder: {target.parent}; create it or choose another path")
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    try:
        with h5py.File(name, "w") as file:
            file.attrs["format"] = FORMAT
            file.attrs["version"] = VERSION
            file.attrs["config"] = psf.config.model_dump_json()
            group = file.create_group("tensors")
            for key, tensor in psf.tensors().items():
                group.create_dataset(key, data=tensor.detach().cpu().numpy(), compression="gzip")
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
    return target


def load_psf(
    name_or_path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    z_direction: Literal["up", "down"] = "up",
) -> PSF:
    """PSF by the name of a built-in one, from a file of `save_psf` or of another program.

    Parameters
    ----------
    name_or_path : str or Path
        Built-in name or file; `formats.read` tells which programs' files can be read.
    pixel_size_nm : float, optional
        Camera pixel, nm, for files that do not hold it.
    z_direction : {"up", "down"}
        "down" turns z around in a foreign file whose stage moved the other way.

    Returns
    -------
    PSF
        On the CPU.
    """
    if str(name_or_path) in _BUILT_IN:
        return build_psf(_BUILT_IN[str(name_or_path)])
    path = Path(name_or_path)
    if not path.is_file():
        raise PSFFileError(
            f"no PSF named {str(name_or_path)!r} and no such file; "
            f"use a PSF file or one of {', '.join(available_psfs())}"
        )
    if path.suffix.lower() in (".yaml", ".yml"):
        values = yaml.safe_load(path.read_text(encoding="utf-8", errors="replace"))
        if isinstance(values, dict) and "kind" in values:  # one of our configs
            return _from_config(values, {}, path)
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") == FORMAT:
                return _read(file, path)
    return read_foreign_psf(path, pixel_size_nm=pixel_size_nm, z_direction=z_direction)


def _read(file: h5py.File, path: Path) -> PSF:
    version = file.attrs.get("version")
    if version != VERSION:
        raise PSFFileError(
            f"{path}: expected a PSF file of version {VERSION}, got {version!r}; "
            "update this program or calibrate again"
        )
    try:
        values = json.loads(file.attrs["config"])
        tensors = {
            key: torch.from_numpy(np.asarray(dataset, dtype=np.float32))
            for key, dataset in file["tensors"].items()
        }
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise PSFFileError(f"{path} is a damaged PSF file ({error}); calibrate again") from error
    return _from_config(values, tensors, path)


def _from_config(values: Any, tensors: Mapping[str, Tensor], path: Path) -> PSF:
    """PSF of plain settings; what is wrong with them is said in one sentence."""
    try:
        config: PSFConfig = parse_config(PSFConfig, values, str(path))
        return build_psf(config, tensors)
    except ConfigError as error:
        raise PSFFileError(str(error)) from error
    except ValueError as error:
        raise PSFFileError(f"{path}: {error}") from error


def _umask() -> int:
    """Read the umask (it can only be read by setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
