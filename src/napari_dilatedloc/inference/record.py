"""What a run is: its movie, model and settings, and how it went; ``run.json`` in words of Python.

A movie is known again by a hash that costs the same for 1 MB and for 100 GB: of the names and
sizes of its files, and of the first, middle and last MiB of the first, middle and last of them.
Beside it stand the size of all files and the time of their last change, which an edit between
those pieces changes.
"""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from napari_dilatedloc.config import CameraConfig, LocalizeConfig
from napari_dilatedloc.config.base import Config
from napari_dilatedloc.inference.report import HOW, LocalizedBlock
from napari_dilatedloc.io.layout import later_parts, tiff_files
from napari_dilatedloc.io.movie import Movie
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.table import TableInfo

SAMPLE_BYTES = 2**20
"""Length of the pieces of a file that are hashed."""

WITHOUT_EFFECT = {"prefetch_blocks"}
"""Settings that may change between two halves of a run; all others may change a rounding."""


class MovieIdentity(Config):
    """By what a movie is known again."""

    path: str = Field(description="file or folder; not compared, a movie may be moved")
    shape: tuple[int, int, int] = Field(description="frames, height, width")
    dtype: str
    bytes: int = Field(description="size of all its files")
    modified: int = Field(description="last change of any of them, whole seconds since 1970")
    sha256: str = Field(description="of names, sizes and some pieces, see the module")


class ModelIdentity(Config):
    """By what a model is known again."""

    name: str = Field(description="shipped name or path; not compared")
    sha256: str = Field(description="of the file")


class RunRecord(Config):
    """One run, as ``run.json`` has it."""

    format: Literal["dilatedloc-run"] = "dilatedloc-run"
    version: Literal[1] = 1
    status: Literal["running", "stopped", "finished"] = "running"
    movie: MovieIdentity
    model: ModelIdentity
    settings: LocalizeConfig
    camera: CameraConfig
    pixel_size_nm: float = Field(gt=0, description="of the table")
    how: dict[str, Any] = Field(
        default_factory=dict,
        description="what was found by itself where the settings leave it open, so that the other "
        "half of a run computes in the same way",
    )
    table: str = Field(description="name of the table, beside the run's folder")
    tables: list[str] = Field(default_factory=list, description="files written so far")
    versions: dict[str, str] = Field(default_factory=dict)
    report: dict[str, Any] = Field(
        default_factory=dict,
        description="frames and localizations of the table; time and rates of the last session",
    )
    warnings: list[str] = Field(default_factory=list)

    @property
    def info(self) -> TableInfo:
        """What goes with the table."""
        frames, height, width = self.movie.shape
        return TableInfo(self.pixel_size_nm, (height, width), frames)

    @property
    def settings_used(self) -> LocalizeConfig:
        """Settings with what was found by itself."""
        return self.settings.replace(**self.how)

    @property
    def frames(self) -> tuple[int, int]:
        """Frames of the run, half-open, in numbers of the movie."""
        return self.settings.frames or (0, self.movie.shape[0])


def record_of(
    movie: Movie, model: Model, settings: LocalizeConfig, pixel_size_nm: float, table: str
) -> RunRecord:
    """Record of a run that begins now.

    Parameters
    ----------
    movie : Movie
        As `open_movie` gives it; nine pieces of its files are read at most.
    model : Model
        With the camera that is used.
    settings : LocalizeConfig
        As they will be used.
    pixel_size_nm : float
        Written into the table, nm.
    table : str
        Name of the table.
    """
    return RunRecord(
        movie=identify(movie),
        model=ModelIdentity(name=model.name, sha256=model.sha256),
        settings=settings,
        camera=model.info.camera,
        pixel_size_nm=pixel_size_nm,
        table=table,
        versions=versions(),
    )


def how_of(block: LocalizedBlock) -> dict[str, Any]:
    """How a block was localized, as entries of `LocalizeConfig`."""
    found = {name: getattr(block, name) for name in HOW}
    return {name: value for name, value in found.items() if value}


def identify(movie: Movie) -> MovieIdentity:
    """By what a movie is known again; cheap, however long it is."""
    files = (
        tiff_files(movie.path) if movie.path.is_dir() else [movie.path, *later_parts(movie.path)]
    )
    stats = [file.stat() for file in files]
    digest = hashlib.sha256()
    for file, stat in zip(files, stats, strict=True):
        digest.update(f"{file.name}\0{stat.st_size}\0".encode())
    for index in sorted({0, len(files) // 2, len(files) - 1}):
        for piece in _pieces(files[index], stats[index].st_size):
            digest.update(piece)
    frames, height, width = (int(side) for side in movie.data.shape)
    return MovieIdentity(
        path=str(movie.path.absolute()),
        shape=(frames, height, width),
        dtype=str(movie.data.dtype),
        bytes=sum(stat.st_size for stat in stats),
        modified=max(int(stat.st_mtime) for stat in stats),
        sha256=digest.hexdigest(),
    )


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    packages = {name: version(name) for name in ("napari-dilatedloc", "torch", "numpy")}
    return {**packages, "python": platform.python_version()}


def differences(there: RunRecord, now: RunRecord) -> list[str]:
    """What keeps one run from being the other, in words; nothing if they give one table."""
    found = []
    if there.model.sha256 != now.model.sha256:
        found.append(f"model ({there.model.name}, now {now.model.name}, another file)")
    pairs = {
        "movie": (there.movie, now.movie, {"path"}),
        "": (there.settings, now.settings, WITHOUT_EFFECT),
        "camera": (there.camera, now.camera, set()),
    }
    for subject, (old, new, ignored) in pairs.items():
        before, after = old.model_dump(), new.model_dump()
        for name in sorted((before.keys() | after.keys()) - ignored):
            one, other = before.get(name), after.get(name)
            if one != other:
                what = "contents" if name == "sha256" else f"{name} ({one}, now {other})"
                found.append(f"{subject} {what}".strip())
    if there.pixel_size_nm != now.pixel_size_nm:
        found.append(f"pixel size ({there.pixel_size_nm:g} nm, now {now.pixel_size_nm:g} nm)")
    return found


def _pieces(path: Path, size: int) -> list[bytes]:
    """First, middle and last MiB of a file; all of it if it is no longer than that together."""
    with path.open("rb") as file:
        if size <= 3 * SAMPLE_BYTES:
            return [file.read()]
        pieces = []
        for start in (0, size // 2, size - SAMPLE_BYTES):
            file.seek(start)
            pieces.append(file.read(SAMPLE_BYTES))
        return pieces
