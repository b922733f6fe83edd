"""Cameras by name: built-in ones and those the user saved, as YAML files; no Qt in here."""

from __future__ import annotations

from pathlib import Path

from napari_dilatedloc.config import (
    BUILT_IN_CAMERAS,
    CameraConfig,
    Config,
    ConfigError,
    MovieSettings,
    Settings,
    load_settings,
    load_yaml,
    save_settings,
    save_yaml,
)

SUFFIX = ".yaml"


class CameraMemory(Config):
    """What is remembered from one session to the next."""

    last: str | None = None


class CameraPresets:
    """Cameras in a folder, one YAML file each, which 'dilatedloc --camera' reads too.

    Parameters
    ----------
    folder : Path
        Is made when the first camera is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Names of the saved cameras, in alphabetical order."""
        return sorted((path.stem for path in self._folder.glob(f"*{SUFFIX}")), key=str.casefold)

    def path(self, name: str) -> Path:
        """File of a saved camera."""
        return self._folder / f"{name}{SUFFIX}"

    def load(self, name: str) -> tuple[CameraConfig, float | None]:
        """Camera and its pixel size in the sample, nm, if it has one.

        Raises
        ------
        ConfigError
            If the file cannot be used, in one sentence.
        """
        if name in BUILT_IN_CAMERAS and not self.path(name).exists():
            return BUILT_IN_CAMERAS[name], None
        return read_camera(self.path(name))

    def save(self, name: str, camera: CameraConfig, pixel_size_nm: float | None) -> str:
        """Write a camera, in place of one of the same name; returns the name it has got.

        Raises
        ------
        ValueError
            If no letter or digit is in the name.
        """
        plain = "".join(c if c.isalnum() or c in " -_.,()+" else "-" for c in name).strip(" .")
        if not any(c.isalnum() for c in plain):
            raise ValueError(f"a camera's name needs a letter or a digit, got {name!r}; enter one")
        self._folder.mkdir(parents=True, exist_ok=True)
        movie = MovieSettings(pixel_size_nm=pixel_size_nm)
        save_settings(Settings(movie=movie, camera=camera), self.path(plain))
        return plain

    def delete(self, name: str) -> None:
        """Remove a saved camera; one that is gone already is no error."""
        self.path(name).unlink(missing_ok=True)

    @property
    def last(self) -> str | None:
        """Camera used last; None if there is none or it is gone."""
        if not self._memory.exists():
            return None
        try:
            name: str | None = load_yaml(CameraMemory, self._memory).last
        except ConfigError:  # somebody's edit; nothing is lost but a convenience
            return None
        return name if name in self.names() or name in BUILT_IN_CAMERAS else None

    def remember(self, name: str | None) -> None:
        """Note which camera is used."""
        self._folder.mkdir(parents=True, exist_ok=True)
        save_yaml(CameraMemory(last=name), self._memory)

    @property
    def _memory(self) -> Path:
        return self._folder.parent / f"{self._folder.name}-used{SUFFIX}"


def read_camera(path: Path) -> tuple[CameraConfig, float | None]:
    """Camera of a YAML file and its pixel size, nm, if the file states one.

    Raises
    ------
    ConfigError
        If the file holds none or cannot be read, in one sentence.
    """
    settings = load_settings(path)
    if settings.camera is None:
        raise ConfigError(f"{path}: expected the settings of a camera, found none; choose another")
    return settings.camera, settings.movie.pixel_size_nm
