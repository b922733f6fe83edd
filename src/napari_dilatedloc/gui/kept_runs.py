"""The tables of the dock's last runs, on disk while they are made, so that no crash loses them.

::

    runs/20261125-221003-movie/
        about.json                          which movie, which model, when
        parts/00000000-00000640.parquet     localizations of frames 0 to 639
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from napari_dilatedloc.config.base import Config
from napari_dilatedloc.files import replacing
from napari_dilatedloc.gui.localize_job import RunStarted
from napari_dilatedloc.gui.preferences import preferences
from napari_dilatedloc.gui.watch_job import MovieGrew
from napari_dilatedloc.inference.report import LocalizedBlock
from napari_dilatedloc.io.tables import read_table, write_table
from napari_dilatedloc.table import Localizations, TableInfo

if TYPE_CHECKING:
    from napari_dilatedloc.gui.worker import Job
    from napari_dilatedloc.inference.store import PartWriter

KEPT = 5
"""Runs that are kept; each new one lets the oldest go."""
MOST_BYTES = 4 * 2**30
"""And so much on disk: ten million localizations take 0.5 GB."""
AT_WORK_S = 3600
"""A run that has not ended and was noted since may still go on, in another napari."""
_NAME = re.compile(r"\d{8}-\d{6}-\d{6}-.*")


class About(Config):
    """What a kept run was on."""

    movie: str = Field(description="name of the movie's layer")
    begun: datetime
    pixel_size_nm: float = Field(gt=0, description="of the camera in the sample")
    shape: tuple[int, int] = Field(description="height, width of the movie, px")
    n_frames: int = Field(ge=0, description="of the movie")
    model: str
    threshold: float
    z_range_nm: tuple[float, float]
    frames: tuple[int, int] = Field(description="done, half-open, in numbers of the movie")
    localizations: int = Field(ge=0)
    ended: bool = Field(description="whether every frame asked for is done")

    @property
    def info(self) -> TableInfo:
        """What goes with the table."""
        return TableInfo(self.pixel_size_nm, self.shape, self.n_frames)

    @property
    def said(self) -> str:
        """One line for a menu."""
        cut = "" if self.ended else ", cut short"
        first, stop = self.frames
        return (
            f"{self.movie}, {self.begun:%d %b %H:%M}: frames {first}-{stop - 1}{cut}, "
            f"{self.localizations:,} localizations"
        )


@dataclass(frozen=True)
class KeptRun:
    """A run's folder."""

    path: Path
    about: About

    def write_part(self, start: int, stop: int, localizations: Localizations) -> Path:
        """Keep the localizations of frames start to stop, half-open; then say so."""
        path = self.path / "parts" / f"{start:08d}-{stop:08d}.parquet"
        path.parent.mkdir(exist_ok=True)  # a run that was removed meanwhile is not begun anew
        write_table(path, localizations, self.about.info)
        return path

    def note(self, about: About) -> KeptRun:
        """The same with another record, on disk too."""
        with replacing(self.path / "about.json") as temporary:
            temporary.write_text(about.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return KeptRun(self.path, about)

    def parts(self) -> Iterator[Localizations]:
        """Localizations, in order of frame."""
        for path in sorted((self.path / "parts").glob("*.parquet")):
            if re.fullmatch(r"\d{8,}-\d{8,}", path.stem):  # others were never finished
                yield read_table(path)[0]


@dataclass(frozen=True)
class KeptRuns:
    """All of them, in one folder."""

    folder: Path = field(default_factory=lambda: preferences().runs_folder)

    def recent(self) -> list[KeptRun]:
        """Kept runs with a localization, newest first; what cannot be read is passed over."""
        found = []
        for path in self._folders():
            about = _about_of(path)
            if about is not None and about.localizations:
                found.append(KeptRun(path, about))
        return found

    def create(self, about: About) -> KeptRun:
        """Begin a run; the oldest ones give way, but for those that may still be at work."""
        self._make_room()
        name = re.sub(r"[^\w-]+", "_", about.movie)[:40]
        path = self.folder / f"{about.begun:%Y%m%d-%H%M%S-%f}-{name}"
        path.mkdir(parents=True)
        return KeptRun(path, about).note(about)

    def _folders(self) -> list[Path]:
        """Folders of runs, newest first; whatever else lies there is not ours."""
        named = (path for path in self.folder.glob("*") if _NAME.fullmatch(path.name))
        return sorted(named, key=lambda path: path.name, reverse=True)

    def _make_room(self) -> None:
        total = 0
        for place, folder in enumerate(self._folders()):
            total += _size_of(folder)
            if (place >= KEPT - 1 or total > MOST_BYTES) and not _may_go_on(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _about_of(folder: Path) -> About | None:
    """Record of a run; None if it cannot be read."""
    try:
        return About.model_validate_json((folder / "about.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def _may_go_on(folder: Path) -> bool:
    about = _about_of(folder)
    with suppress(OSError):
        noted = (folder / "about.json").stat().st_mtime
        return about is not None and not about.ended and time.time() - noted < AT_WORK_S
    return False


def _size_of(folder: Path) -> int:
    """Bytes of all files; those that another napari exchanges meanwhile do not count."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            total += file.stat().st_size
    return total


@dataclass(frozen=True)
class NotKept:
    """The run goes on, but not on disk: why, one sentence."""

    sentence: str


class _Keeper:
    """Follows what a run yields."""

    def __init__(
        self, runs: KeptRuns, movie: str, shape: tuple[int, int, int], size: float
    ) -> None:
        self._runs, self._movie = runs, movie
        self._shape, self._pixel_size = shape, size
        self._begun = datetime.now().astimezone()
        self._started: RunStarted | None = None
        self._run: KeptRun | None = None
        self._writer: PartWriter | None = None
        self._grows = self._caught_up = False

    def take(self, item: Any) -> None:
        if isinstance(item, RunStarted):
            self._started = item
        elif isinstance(item, MovieGrew):
            frames, height, width = (int(side) for side in item.movie.shape)
            self._shape, self._pixel_size = (frames, height, width), item.pixel_size_nm
            self._grows = True
        elif isinstance(item, LocalizedBlock) and self._started is not None:
            self._add(item, self._started)

    def close(self, *, whole: bool) -> None:
        """Write what waits; `whole` says that the job came to its own end."""
        if self._writer is not None and self._run is not None:
            self._writer.flush()
            about = self._run.about
            self._run.note(about.replace(ended=about.ended or (whole and self._caught_up)))

    def _add(self, block: LocalizedBlock, started: RunStarted) -> None:
        from napari_dilatedloc.inference.store import PartWriter

        first = started.first_frame
        if self._run is None or self._writer is None:
            self._run = self._runs.create(self._about(started))
            self._writer = PartWriter(self._run)
        self._writer.add(first + block.start, first + block.stop, block.localizations)
        self._caught_up = block.stop >= block.total
        about = self._run.about
        self._run = KeptRun(
            self._run.path,
            about.replace(
                frames=(first, first + block.stop),
                n_frames=self._shape[0],
                localizations=about.localizations + len(block.localizations),
                # of a movie that grows nobody knows until the job ends
                ended=self._caught_up and not self._grows,
            ),
        )
        if not self._writer.waiting:
            self._run.note(self._run.about)

    def _about(self, started: RunStarted) -> About:
        return About(
            movie=self._movie,
            begun=self._begun,
            pixel_size_nm=self._pixel_size,
            shape=self._shape[1:],
            n_frames=self._shape[0],
            model=started.model,
            threshold=started.threshold,
            z_range_nm=started.z_range_nm,
            frames=(started.first_frame, started.first_frame),
            localizations=0,
            ended=False,
        )


def keeping(
    job: Job, runs: KeptRuns, movie: str, shape: tuple[int, int, int], size: float, stop: Event
) -> Iterator[Any]:
    """What a job yields, its localizations written to disk on the way; for a worker thread.

    Parameters
    ----------
    job : Job
        `localize_job` or `watch_job` with all but its last argument.
    runs : KeptRuns
        Where.
    movie, shape, size
        Name, (frames, height, width) and pixel size in nm of the movie, as far as is known.
    stop : threading.Event
        Handed on.
    """
    keeper: _Keeper | None = _Keeper(runs, movie, shape, size)
    with closing(job(stop)) as items:
        try:
            for item in items:
                trouble = _tried(keeper, item)
                if trouble is not None:
                    keeper = None
                    yield trouble
                yield item
            trouble, keeper = _closed(keeper, whole=not stop.is_set()), None
            if trouble is not None:
                yield trouble
        finally:
            _closed(keeper, whole=False)


def _tried(keeper: _Keeper | None, item: Any) -> NotKept | None:
    try:
        if keeper is not None:
            keeper.take(item)
    except (OSError, ValueError) as error:
        return NotKept(f"The run goes on but is not kept on disk ({error}).")
    return None


def _closed(keeper: _Keeper | None, *, whole: bool) -> NotKept | None:
    try:
        if keeper is not None:
            keeper.close(whole=whole)
    except (OSError, ValueError) as error:
        return NotKept(f"The end of the run is not kept on disk ({error}).")
    return None
