"""A PSF from its config and tensors, from a file, or by the name of a built-in one.

Layout of a PSF file (HDF5)
---------------------------
- attribute ``format``: "dilatedloc-psf"; attribute ``version``: 1
- attribute ``config``: the PSF config as a JSON string (`config.PSFConfig`)
- group ``tensors``: one dataset per tensor of the PSF; for a spline ``coefficients``, float32,
  (Z, R + 4, R + 4), axes z, y, x
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np
import torch
from torch import Tensor

from napari_dilatedloc.config import (
    ConfigError,
    GaussianPSFConfig,
    PSFConfig,
    SplinePSFConfig,
    parse_config,
)
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.spline import SplinePSF

FORMAT = "dilatedloc-psf"
VERSION = 1


class PSFFileError(ValueError):
    """A PSF that cannot be read; the message is one sentence."""


def _gaussian(config: GaussianPSFConfig, tensors: Mapping[str, Tensor]) -> PSF:
    return GaussianPSF(config)


def _spline(config: SplinePSFConfig, tensors: Mapping[str, Tensor]) -> PSF:
    if "coefficients" not in tensors:
        raise ValueError(
            f"a spline PSF needs the tensor coefficients, got {sorted(tensors)}; "
            "calibrate or save it again"
        )
    return SplinePSF(config, tensors["coefficients"])


_BUILDERS: Mapping[str, Callable[..., PSF]] = MappingProxyType(
    {"gaussian": _gaussian, "spline": _spline}
)
_BUILT_IN: Mapping[str, PSFConfig] = MappingProxyType({"astigmatism": GaussianPSFConfig()})


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


def load_psf(name_or_path: str | Path) -> PSF:
    """PSF by the name of a built-in one or from a file of `save_psf`, on the CPU."""
    if str(name_or_path) in _BUILT_IN:
        return build_psf(_BUILT_IN[str(name_or_path)])
    path = Path(name_or_path)
    if not path.is_file():
        raise PSFFileError(
            f"no PSF named {str(name_or_path)!r} and no such file; "
            f"use a PSF file or one of {', '.join(available_psfs())}"
        )
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except OSError as error:
        raise PSFFileError(
            f"{path} is not a readable PSF file (HDF5); use a file written by calibrate"
        ) from error


def _read(file: h5py.File, path: Path) -> PSF:
    found = file.attrs.get("format"), file.attrs.get("version")
    if found != (FORMAT, VERSION):
        raise PSFFileError(
            f"{path}: expected an HDF5 file with format {FORMAT!r}, version {VERSION}, "
            f"got {found[0]!r}, {found[1]!r}; use a file written by calibrate"
        )
    try:
        values = json.loads(file.attrs["config"])
        config: PSFConfig = parse_config(PSFConfig, values, str(path))
        tensors = {
            key: torch.from_numpy(np.asarray(dataset, dtype=np.float32))
            for key, dataset in file["tensors"].items()
        }
        return build_psf(config, tensors)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise PSFFileError(f"{path} is a damaged PSF file ({error}); calibrate again") from error
    except ConfigError as error:
        raise PSFFileError(str(error)) from error
    except ValueError as error:
        raise PSFFileError(f"{path}: {error}") from error


def _umask() -> int:
    """Read the umask (it can only be read by setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
