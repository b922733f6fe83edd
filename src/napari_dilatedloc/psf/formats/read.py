"""Any foreign calibration file: look into it, pick its reader, give a PSF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import h5py
import yaml
from torch import Tensor

from napari_dilatedloc.config import FieldPSFConfig, VectorialPSFConfig
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.field import FieldPSF
from napari_dilatedloc.psf.formats.decode import is_decode, read_decode
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.fd_map import read_fd_map
from napari_dilatedloc.psf.formats.mask import phase_masks, pupil_of_mask, read_phase_mask
from napari_dilatedloc.psf.formats.mat import load_mat
from napari_dilatedloc.psf.formats.picasso import read_picasso_gaussian, read_picasso_spline
from napari_dilatedloc.psf.formats.smap import has_spline, read_smap
from napari_dilatedloc.psf.formats.uipsf import (
    kind_of_uipsf,
    read_uipsf_field,
    read_uipsf_volume,
    read_uipsf_zernike,
)
from napari_dilatedloc.psf.formats.vectorfit import has_vectorfit, read_vectorfit
from napari_dilatedloc.psf.vectorial import VectorialPSF

Direction = Literal["up", "down"]
MOST_NAMES = 8  # of a file's contents in an error


def read_foreign_psf(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    z_direction: Direction = "up",
) -> PSF:
    """PSF of another program's calibration file.

    Reads SMAP, Li-lab vector fits, uiPSF, Picasso (both kinds) and DECODE's parameters (its
    calibration file). Of a file that holds a spline and a vectorial fit the spline is taken, since
    it is what was measured; `vectorfit.read_vectorfit` gives the other.

    Parameters
    ----------
    path : str or Path
        ``.mat``, ``.h5``, ``.hdf5``, ``.yaml`` or ``.yml``.
    pixel_size_nm : float, optional
        Camera pixel, nm; needed where the file does not hold it, else it has the last word.
    z_direction : {"up", "down"}
        "up": z as the other program counts it; "down": the bead stack was taken the other way.

    Raises
    ------
    PSFFileError
        If nothing known is in the file; the sentence says what was found.
    """
    path = Path(path)
    if not path.is_file():
        raise PSFFileError(f"no such file: {path}; check the path")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise PSFFileError(
            f"{path}: expected a file ending in {', '.join(_READERS)}, got {path.suffix or 'none'};"
            " choose a calibration file"
        )
    return reader(path, pixel_size_nm, z_direction)


def read_with_optics(path: str | Path, optics: VectorialPSFConfig) -> PSF:
    """PSF of a file that holds no optics: a phase mask (DeepSTORM3D) or a map of aberrations.

    Parameters
    ----------
    path : str or Path
        ``.mat`` with a square phase mask, or with FD-DeepLoc's ``aber_map``.
    optics : VectorialPSFConfig
        The microscope; coefficients in it stay and the file's come on top.

    Returns
    -------
    PSF
        A `VectorialPSF` with the mask, or a `FieldPSF`.
    """
    if "aber_map" in load_mat(Path(path)):
        return _field(*read_fd_map(path, optics))
    pupil = pupil_of_mask(
        read_phase_mask(path),
        na=optics.na,
        wavelength_nm=optics.wavelength_nm,
        pixel_size_nm=optics.pixel_size_nm,
        n_pupil=optics.n_pupil,
    )
    return VectorialPSF(optics, pupil)


def _mat(path: Path, pixel_size_nm: float | None, z_direction: Direction) -> PSF:
    variables = load_mat(path)
    if has_spline(variables):
        return read_smap(path, pixel_size_nm=pixel_size_nm, z_direction=z_direction)
    if has_vectorfit(variables):
        return _vectorial(read_vectorfit(path, pixel_size_nm=pixel_size_nm))
    if "aber_map" in variables or phase_masks(variables):
        what = "a map of aberrations" if "aber_map" in variables else "a phase mask"
        raise PSFFileError(
            f"{path}: expected a whole PSF, got {what} without optics ({', '.join(variables)}); "
            "read it with the settings of a vectorial PSF (dilatedloc convert-psf FILE psf.h5 "
            "--optics FILE.yaml)"
        )
    raise _unknown(
        path,
        "SXY, cspline, cspline_psf_model, vector_psf_model or psf_params_fitted",
        sorted(variables),
    )


def _hdf5(path: Path, pixel_size_nm: float | None, z_direction: Direction) -> PSF:
    try:
        with h5py.File(path, "r") as file:
            names, attributes = sorted(file), sorted(file.attrs)
    except OSError as error:
        raise PSFFileError(f"{path} is not a readable HDF5 file ({error})") from error
    if "coefficients" in names and "metadata" in attributes:
        return read_picasso_spline(path, pixel_size_nm=pixel_size_nm, z_direction=z_direction)
    if "res" not in names:
        raise _unknown(path, "uiPSF's res or Picasso's coefficients", names + attributes)
    kind = kind_of_uipsf(path)
    if kind == "volume":
        return read_uipsf_volume(path, pixel_size_nm=pixel_size_nm, z_direction=z_direction)
    if kind == "zernike":
        return _vectorial(
            read_uipsf_zernike(path, pixel_size_nm=pixel_size_nm, z_direction=z_direction)
        )
    return _field(*read_uipsf_field(path, pixel_size_nm=pixel_size_nm, z_direction=z_direction))


def _yaml(path: Path, pixel_size_nm: float | None, z_direction: Direction) -> PSF:
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PSFFileError(f"{path} is not a readable YAML file ({error})") from error
    if isinstance(values, dict) and "X Coefficients" in values:
        return read_picasso_gaussian(path, pixel_size_nm=pixel_size_nm, z_direction=z_direction)
    if is_decode(values):
        parameters = read_decode(path)
        return parameters.psf(pixel_size_nm=pixel_size_nm, z_direction=z_direction)
    found = [str(name) for name in values] if isinstance(values, dict) else [type(values).__name__]
    raise _unknown(path, "Picasso's X Coefficients or DECODE's Camera", found)


def _vectorial(config: VectorialPSFConfig) -> PSF:
    return VectorialPSF(config)


def _field(config: FieldPSFConfig, zernike_nm: Tensor) -> PSF:
    return FieldPSF(config, zernike_nm)


def _unknown(path: Path, expected: str, found: list[str]) -> PSFFileError:
    names = ", ".join(found[:MOST_NAMES]) + (" ..." if len(found) > MOST_NAMES else "")
    return PSFFileError(
        f"{path}: expected {expected}, got {names or 'nothing'}; "
        "choose a calibration file of a program we read"
    )


_READERS: Mapping[str, Callable[[Path, float | None, Direction], PSF]] = MappingProxyType(
    {".mat": _mat, ".h5": _hdf5, ".hdf5": _hdf5, ".yaml": _yaml, ".yml": _yaml}
)
