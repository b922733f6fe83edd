"""Settings of all steps in one YAML file, which every command takes its own section from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from napari_dilatedloc.config.base import Config, ConfigError, parse_config, read_yaml
from napari_dilatedloc.config.camera import CameraConfig, EMCCDConfig, SCMOSConfig
from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.config.psf import VectorialPSFConfig
from napari_dilatedloc.config.runs import LocalizeConfig, TrainingConfig
from napari_dilatedloc.config.simulation import SimulationConfig

FORMAT_KEY = "dilatedloc"
"""Entry that tells a file with sections from one of a single section."""


class MovieSettings(Config):
    """What a movie may not know of itself."""

    pixel_size_nm: float | None = Field(None, gt=0, description="camera pixel in the sample, nm")


class PSFFile(Config):
    """A PSF file and what it may not say itself."""

    path: str = Field(description="the file, of ours or of another program")
    pixel_size_nm: float | None = Field(None, gt=0, description="nm; default: the file's")
    z_direction: Literal["up", "down"] = Field("up", description="down turns z around")


class BeadSettings(Config):
    """How to calibrate a PSF from a bead stack."""

    pixel_size_nm: float | None = Field(None, gt=0, description="camera pixel, nm")
    z_step_nm: float | None = Field(None, gt=0, description="distance of slices, nm")
    roi_size: int = Field(25, ge=7, description="side of the square around a bead, px, odd")
    z_direction: Literal["up", "down"] = Field(
        "up", description="whether z of the beads grows or falls from slice to slice"
    )
    optics: VectorialPSFConfig | None = Field(
        None, description="microscope for phase retrieval; default: the average of the beads"
    )


class PSFSettings(Config):
    """Where the PSF of a training is from; `origin` says which of the entries counts."""

    origin: Literal["preset", "file", "beads"] = "preset"
    preset: str | None = Field(None, description="name of a built-in PSF")
    file: PSFFile | None = None
    beads: BeadSettings = Field(default_factory=lambda: BeadSettings())


class Settings(Config):
    """Settings of all steps; sections that a file does not state leave things as they are.

    With `camera` None the camera is the one that the model was trained with.
    """

    dilatedloc: Literal[1] = Field(1, description="version of the format")
    movie: MovieSettings = Field(default_factory=lambda: MovieSettings())
    camera: CameraConfig | None = None
    psf: PSFSettings = Field(default_factory=lambda: PSFSettings())
    model: str | None = Field(None, description="name or file of the model to localize with")
    localize: LocalizeConfig = Field(default_factory=lambda: LocalizeConfig())
    init: str = Field("auto", description="weights training starts from: auto, a model, or none")
    training: TrainingConfig = Field(default_factory=lambda: TrainingConfig())
    filter: FilterConfig = Field(default_factory=lambda: FilterConfig())
    drift: DriftConfig = Field(default_factory=lambda: DriftConfig())
    link: LinkingConfig = Field(default_factory=lambda: LinkingConfig())
    cluster: ClusterConfig | None = Field(None, description="a radius has no usual value")

    def states(self, section: str) -> bool:
        """Whether a section was stated."""
        return section in self.model_fields_set

    @property
    def stated_training(self) -> TrainingConfig:
        """Settings of a training with the camera, which the file states once for all steps."""
        if self.camera is None:
            return self.training
        return self.training.model_copy(update={"camera": self.camera})


def load_yaml(kind: Any, path: str | Path) -> Any:
    """Read a config of the given kind (a model or a union such as `CameraConfig`) from YAML.

    Parameters
    ----------
    kind : type
        `CameraConfig`, `TrainingConfig`, `LocalizeConfig` ...
    path : str or Path
        File of such settings, or of `Settings`, of which the section is taken that is meant.

    Raises
    ------
    ConfigError
        One sentence: no such file, no YAML, a wrong entry, no such section.
    """
    values = read_yaml(path)
    if kind is not Settings and isinstance(values, dict) and FORMAT_KEY in values:
        return _section(parse_config(Settings, values, str(path)), kind, str(path))
    return parse_config(kind, values, str(path))


def load_settings(path: str | Path) -> Settings:
    """Read settings of all steps, or a file of one step as one of them.

    Raises
    ------
    ConfigError
        One sentence: no such file, no YAML, nothing known in it, a wrong entry.
    """
    values = read_yaml(path)
    if isinstance(values, dict) and FORMAT_KEY in values:
        settings: Settings = parse_config(Settings, values, str(path))
        return settings
    known = values if isinstance(values, dict) else {}
    section = max(_ENTRIES, key=lambda name: len(_ENTRIES[name] & set(known)))
    if not _ENTRIES[section] & set(known):
        raise ConfigError(
            f"{path}: expected settings of a camera, a training or a localization, found none; "
            "choose a file written by 'Save settings' or by 'dilatedloc match'"
        )
    read = parse_config(_KINDS[section], values, str(path))
    if section == "training" and "camera" in read.model_fields_set:
        return Settings(training=read, camera=read.camera)
    return Settings.model_validate({section: read})


def save_settings(settings: Settings, path: str | Path) -> None:
    """Write the stated sections as YAML that `load_settings` reads back.

    Of a training what was left at its default is left out, because fine-tuning chooses another
    length and warm-up where none was stated; and so is the camera where it has a section.
    """
    values = settings.model_dump(mode="json", exclude={"training"})
    stated = {name: value for name, value in values.items() if settings.states(name)}
    if settings.states("training"):
        training = settings.training.model_dump(mode="json")
        left_out = set(training) - settings.training.model_fields_set
        left_out |= {"camera"} if settings.camera is not None else set()
        stated["training"] = {k: v for k, v in training.items() if k not in left_out}
    stated = {FORMAT_KEY: settings.dilatedloc, **stated}
    Path(path).write_text(yaml.safe_dump(stated, sort_keys=False), encoding="utf-8")


_KINDS: dict[str, Any] = {
    "camera": CameraConfig,
    "localize": LocalizeConfig,
    "training": TrainingConfig,
}
_ENTRIES: dict[str, set[str]] = {
    "training": set(TrainingConfig.model_fields),
    "localize": set(LocalizeConfig.model_fields),
    "camera": set(EMCCDConfig.model_fields) | set(SCMOSConfig.model_fields),
}


def _section(settings: Settings, kind: Any, source: str) -> Any:
    """Part of the settings that is of the kind."""
    camera = settings.camera is not None
    found: list[tuple[Any, str, bool, Any]] = [
        (CameraConfig, "camera", camera, settings.camera),
        (LocalizeConfig, "localize", settings.states("localize"), settings.localize),
        (
            TrainingConfig,
            "training",
            settings.states("training") or camera,
            settings.stated_training,
        ),
        (
            SimulationConfig,
            "training",
            settings.states("training"),
            settings.training.simulation,
        ),
        (FilterConfig, "filter", settings.states("filter"), settings.filter),
        (DriftConfig, "drift", settings.states("drift"), settings.drift),
        (LinkingConfig, "link", settings.states("link"), settings.link),
        (ClusterConfig, "cluster", settings.cluster is not None, settings.cluster),
    ]
    for candidate, name, stated, value in found:
        if candidate == kind:
            if stated:
                return value
            raise ConfigError(f"{source}: expected a section '{name}', got none; add it")
    raise ConfigError(
        f"{source} holds the settings of several steps, none of which is meant here; give a file "
        f"with those of {getattr(kind, '__name__', kind)} alone"
    )
