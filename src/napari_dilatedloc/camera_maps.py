"""Per-pixel calibration of an sCMOS camera, read from a file.

Maps (Y, X) are of the part of the chip that was read out, the movie's first pixel first. A hot
pixel stays one: its read noise is taken as it is.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

NAMES = ("baseline", "e_per_adu", "read_noise_e", "variance_adu2", "qe", "relative_qe")
"""Arrays an .npz may hold."""
PLANES = ("baseline", "variance_adu2", "adu_per_e", "relative_qe")
"""Planes of an .npy or .tif, in their order; the last may be missing."""

Map = NDArray[np.float32]


class CameraMapsError(ValueError):
    """Maps that cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class CameraMaps:
    """Per-pixel calibration of a camera, each (Y, X) and None where the camera is uniform.

    Attributes
    ----------
    baseline : array, optional
        ADU of a pixel without light.
    e_per_adu : array, optional
        Electrons per ADU.
    read_noise_e : array, optional
        Read noise, electrons rms.
    qe : array, optional
        Quantum efficiency, 0-1.

    Raises
    ------
    CameraMapsError
        If the maps differ in shape, are not finite or hold impossible numbers.
    """

    baseline: Map | None = None
    e_per_adu: Map | None = None
    read_noise_e: Map | None = None
    qe: Map | None = None

    def __post_init__(self) -> None:
        maps = {name: values for name, values in vars(self).items() if values is not None}
        for name, values in maps.items():
            _check(name, np.asarray(values))
        shapes = {name: np.shape(values) for name, values in maps.items()}
        if len(set(shapes.values())) > 1:
            listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise CameraMapsError(
                f"the camera's maps must have one shape, got {listed}; cut them to the same part "
                "of the chip"
            )


def load_camera_maps(path: str | Path, *, e_per_adu: float, qe: float) -> CameraMaps:
    """Read maps from an ``.npz``, ``.npy`` or ``.tif``.

    ``.npz``: arrays (Y, X) under any of the names `NAMES`. ``.npy``: storm-analysis' calibration of
    three planes offset (ADU), variance (ADU^2), gain (ADU/e), stored (3, X, Y), and of four planes
    with the relative quantum efficiency, stored (4, Y, X). ``.tif``: the same planes, (3, Y, X) or
    (4, Y, X).

    Parameters
    ----------
    path : path
        The file.
    e_per_adu, qe : float
        Of the camera, to turn a variance without a gain map into electrons and a relative into an
        absolute quantum efficiency.

    Raises
    ------
    CameraMapsError
        If the file is missing, of another kind, or holds impossible numbers.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], dict[str, Map]]] = {
        ".npz": _read_npz,
        ".npy": _read_npy,
        ".tif": _read_tiff,
        ".tiff": _read_tiff,
    }
    if path.suffix.lower() not in readers:
        raise CameraMapsError(f"camera maps must be .npz, .npy or .tif, got {path}; convert them")
    try:
        found = readers[path.suffix.lower()](path)
    except FileNotFoundError as error:
        raise CameraMapsError(
            f"no file of camera maps at {path}; correct maps in the camera's settings"
        ) from error
    except CameraMapsError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, tifffile.TiffFileError) as error:
        raise CameraMapsError(
            f"cannot read {path} as camera maps ({_first_line(error)}); save arrays of numbers "
            "named baseline, e_per_adu and read_noise_e with numpy.savez"
        ) from error
    try:
        return _to_maps(found, e_per_adu, qe)
    except CameraMapsError as error:
        raise CameraMapsError(f"{path}: {error}") from error


def _read_npz(path: Path) -> dict[str, Map]:
    with np.load(path, allow_pickle=False) as archive:
        names = set(archive.files)
        unknown = sorted(names - set(NAMES))
        if unknown or not names:
            raise CameraMapsError(
                f"{path} must hold some of {', '.join(NAMES)}, got "
                f"{', '.join(unknown) or 'nothing'}; rename its arrays"
            )
        doubled = [two for two in (NAMES[2:4], NAMES[4:6]) if names.issuperset(two)]
        if doubled:
            raise CameraMapsError(
                f"{path} holds both {doubled[0][0]} and {doubled[0][1]}; leave one of them out"
            )
        return {name: np.asarray(archive[name], dtype=np.float32) for name in archive.files}


def _read_npy(path: Path) -> dict[str, Map]:
    planes = np.load(path, allow_pickle=False)
    if planes.ndim == 3 and len(planes) == 3:  # the oldest layout counts columns first
        planes = planes.transpose(0, 2, 1)
    return _planes(path, planes)


def _read_tiff(path: Path) -> dict[str, Map]:
    return _planes(path, np.asarray(tifffile.imread(path)))


def _planes(path: Path, planes: NDArray[np.generic]) -> dict[str, Map]:
    if planes.ndim != 3 or len(planes) not in (3, 4):
        raise CameraMapsError(
            f"{path} must hold 3 or 4 planes (offset, variance, gain, relative QE), got shape "
            f"{planes.shape}; stack them along the first axis"
        )
    values = planes.astype(np.float32)
    return dict(zip(PLANES[: len(values)], values, strict=True))


def _to_maps(found: dict[str, Map], e_per_adu: float, qe: float) -> CameraMaps:
    """Maps in our units; what comes in others is checked before it is turned."""
    for name, values in found.items():
        _check(name, values)
    gain = found.get("e_per_adu")
    if "adu_per_e" in found:
        gain = np.float32(1) / found["adu_per_e"]
    noise, efficiency = found.get("read_noise_e"), found.get("qe")
    if "variance_adu2" in found:
        factor = np.float32(e_per_adu) if gain is None else gain
        if gain is None or gain.shape == found["variance_adu2"].shape:
            noise = np.sqrt(found["variance_adu2"]) * factor
        else:
            raise CameraMapsError(
                f"variance_adu2 has shape {found['variance_adu2'].shape}, but e_per_adu "
                f"{gain.shape}; cut them to the same part of the chip"
            )
    if "relative_qe" in found:
        efficiency = np.minimum(found["relative_qe"] * np.float32(qe), np.float32(1))
    return CameraMaps(found.get("baseline"), gain, noise, efficiency)


def _check(name: str, values: NDArray[np.generic]) -> None:
    """Refuse a map that is no image, not finite, or out of bounds."""
    if values.ndim != 2 or values.size == 0:
        raise CameraMapsError(
            f"map {name} must have shape (Y, X), got {values.shape}; give one image"
        )
    real = np.asarray(values, dtype=np.float64)
    may_be_zero = name in ("baseline", "read_noise_e", "variance_adu2")
    good = np.isfinite(real) & ((real >= 0) if may_be_zero else (real > 0))
    bound = "at least 0" if may_be_zero else "above 0"
    if name == "qe":
        good &= real <= 1
        bound = "between 0 and 1"
    if not good.all():
        row, col = (int(i) for i in np.argwhere(~good)[0])
        raise CameraMapsError(
            f"map {name} must be finite and {bound} in every pixel, got {real[row, col]:g} at row "
            f"{row}, column {col}; correct this pixel"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
