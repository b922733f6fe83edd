"""DECODE's parameter YAML: camera, calibration file and what is simulated.

Two layouts are read: ``Camera``, ``InOut.calibration_file``, ``Simulation.{bg_uniform, emitter_av,
emitter_extent, intensity_mu_sig, lifetime_avg}`` (DECODE 0.9 and 0.10), and ``Camera.0``,
``Paths.calibration``, ``Simulation.{bg.0.uniform, emitter_avg, emitter_extent.{x,y,z},
intensity.{mean,std}}`` (0.11).

Conventions
-----------
- ``em_gain`` null, 0 or 1 is a camera without multiplication (null is DECODE's own word for it).
- ``px_size`` is nm, (x, y); ``read_sigma`` electrons; ``spur_noise`` electrons per pixel; z in nm
  with SMAP's sign, as its PSF (see `smap`).
- Brightness is a normal distribution; ours is uniform, so the range with the same mean and standard
  deviation is taken.
- ``emitter_av`` counts molecules on per frame of the stated extent (px).

Settled from config/param_friendly.yaml, decode/utils/reference_files/reference.yaml and
decode/simulation/camera.py in https://github.com/TuragaLab/DECODE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from napari_dilatedloc.config import (
    CameraConfig,
    ConfigError,
    EMCCDConfig,
    SCMOSConfig,
    SimulationConfig,
    parse_config,
)
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.smap import read_smap
from napari_dilatedloc.psf.spline import SplinePSF


@dataclass(frozen=True)
class DecodeParameters:
    """What a DECODE file says.

    Attributes
    ----------
    camera : CameraConfig
        The camera.
    pixel_size_nm : float, optional
        Camera pixel, nm; None if the file leaves it open.
    calibration : Path, optional
        File of the PSF, seen from the YAML's folder; it need not exist.
    simulation : SimulationConfig
        Ranges; what the file leaves open has our defaults.
    """

    camera: CameraConfig
    pixel_size_nm: float | None
    calibration: Path | None
    simulation: SimulationConfig

    def psf(
        self,
        *,
        pixel_size_nm: float | None = None,
        z_direction: Literal["up", "down"] = "up",
    ) -> SplinePSF:
        """Read the calibration file; for the parameters see `smap.read_smap`."""
        if self.calibration is None:
            raise PSFFileError(
                "the DECODE file names no calibration file (InOut.calibration_file); add it"
            )
        pixel_nm = pixel_size_nm if pixel_size_nm is not None else self.pixel_size_nm
        return read_smap(self.calibration, pixel_size_nm=pixel_nm, z_direction=z_direction)


def read_decode(path: str | Path) -> DecodeParameters:
    """Camera, calibration file and simulation ranges of a DECODE parameter file.

    Raises
    ------
    PSFFileError
        If it is no such file, or holds a value that no camera or simulation has.
    """
    path = Path(path)
    values = _load(path)
    pixel_nm = _pixel_size(_camera_part(values), path)
    name = _get(values, "InOut", "calibration_file") or _get(values, "Paths", "calibration")
    simulation = _part(values, "Simulation")
    return DecodeParameters(
        camera=_camera(_camera_part(values), path),
        pixel_size_nm=pixel_nm,
        calibration=path.parent / str(name) if name else None,
        simulation=_simulation(simulation, values, pixel_nm, path),
    )


def is_decode(values: Any) -> bool:
    """Whether parsed YAML looks like DECODE's parameters."""
    return isinstance(values, dict) and isinstance(values.get("Camera"), dict)


def _load(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise PSFFileError(f"{path} is not a readable YAML file ({error})") from error
    if not is_decode(values):
        found = ", ".join(map(str, values)) if isinstance(values, dict) else type(values).__name__
        raise PSFFileError(
            f"{path}: expected DECODE's parameters with the part Camera, got {found}; "
            "choose another file"
        )
    parameters: dict[str, Any] = values
    return parameters


def _get(values: Any, *names: Any) -> Any:
    for name in names:
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _part(values: dict[str, Any], name: str) -> dict[str, Any]:
    part = values.get(name)
    return part if isinstance(part, dict) else {}


def _camera_part(values: dict[str, Any]) -> dict[str, Any]:
    """Settings of the first camera."""
    camera = _part(values, "Camera")
    first = _first(_get(camera, 0), _get(camera, "0"))
    return first if isinstance(first, dict) else camera


def _camera(part: dict[str, Any], path: Path) -> CameraConfig:
    names = {
        "baseline": "baseline",
        "e_per_adu": "e_per_adu",
        "qe": "qe",
        "read_noise_e": "read_sigma",
        "spurious_e": "spur_noise",
    }
    settings = {
        ours: part[theirs] for ours, theirs in names.items() if part.get(theirs) is not None
    }
    settings.setdefault("qe", 1.0)  # DECODE's default
    gain = part.get("em_gain")
    multiplies = gain is not None and gain not in (0, 1)
    if multiplies:
        settings["em_gain"] = gain
    missing = [names[ours] for ours in ("baseline", "e_per_adu") if ours not in settings]
    if missing:
        raise PSFFileError(
            f"{path}: expected Camera with baseline and e_per_adu, got no {', '.join(missing)}; "
            "fill them in"
        )
    try:
        camera: CameraConfig = parse_config(
            EMCCDConfig if multiplies else SCMOSConfig, settings, f"{path}: Camera"
        )
    except ConfigError as error:
        raise PSFFileError(str(error)) from error
    return camera


def _pixel_size(part: dict[str, Any], path: Path) -> float | None:
    size = part.get("px_size")
    if size is None:
        return None
    sides = [float(side) for side in (size if isinstance(size, list) else [size])]
    if max(sides) > 1.01 * min(sides):
        raise PSFFileError(f"{path}: expected square pixels, got {sides} nm; resample the movie")
    return sides[0]


def _simulation(
    part: dict[str, Any], values: dict[str, Any], pixel_nm: float | None, path: Path
) -> SimulationConfig:
    settings: dict[str, Any] = {}
    bg = _first(part.get("bg_uniform"), _get(part, "bg", 0, "uniform"))
    if bg is not None:
        settings["bg"] = (bg, bg) if isinstance(bg, (int, float)) else tuple(bg)
    settings |= _photons(part)
    if part.get("lifetime_avg") is not None:
        settings["lifetime_frames"] = part["lifetime_avg"]
    x, y, z = _extent(part.get("emitter_extent"))
    if z is not None:
        settings["z_range_nm"] = tuple(z)
    count = _first(part.get("emitter_av"), part.get("emitter_avg"))
    if count is not None and pixel_nm is not None and x is not None and y is not None:
        area_um2 = (x[1] - x[0]) * (y[1] - y[0]) * (pixel_nm / 1000) ** 2
        settings["density_per_um2"] = (count / area_um2, count / area_um2)
    limit = _get(values, "HyperParameter", "emitter_label_photon_min")
    least = _get(values, "Target", "filter", "phot")
    limit = _first(limit, least[0] if isinstance(least, list) else None)
    if limit is not None:
        settings["min_photons"] = limit
    try:
        config: SimulationConfig = parse_config(SimulationConfig, settings, f"{path}: Simulation")
    except ConfigError as error:
        raise PSFFileError(str(error)) from error
    return config


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _photons(part: dict[str, Any]) -> dict[str, Any]:
    """Uniform range with the mean and standard deviation of DECODE's normal distribution."""
    pair = part.get("intensity_mu_sig")
    if not isinstance(pair, list) or len(pair) != 2:
        pair = [_get(part, "intensity", "mean"), _get(part, "intensity", "std") or 0.0]
    mean, deviation = pair
    if mean is None:
        return {}
    half = math.sqrt(3) * float(deviation)
    return {"photons": (max(0.0, float(mean) - half), float(mean) + half)}


def _extent(extent: Any) -> tuple[Any, Any, Any]:
    """Ranges in x, y (px) and z (nm); None where open."""
    if isinstance(extent, dict):
        return extent.get("x"), extent.get("y"), extent.get("z")
    if isinstance(extent, list) and len(extent) == 3:
        return extent[0], extent[1], extent[2]
    return None, None, None
