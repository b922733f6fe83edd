"""A run on disk: parts of its table in a folder, so that a run outlives its process.

::

    locs.run/
        run.json                            what is localized, how, and how far it is
        parts/00000000-00000640.parquet     localizations of frames 0 to 639

A part appears whole or not at all and is named by its frames (half-open, in numbers of the
movie), so several processes may write into one folder, and nothing but the names says what is
missing. When the table is written the parts go and ``run.json`` stays.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from napari_dilatedloc.files import replacing
from napari_dilatedloc.inference.record import RunRecord, differences
from napari_dilatedloc.io import parquet
from napari_dilatedloc.io.columns import TableError
from napari_dilatedloc.io.tables import open_table, read_table, write_table
from napari_dilatedloc.table import Localizations

log = logging.getLogger(__name__)

Span = tuple[int, int]
"""Frames start to stop, half-open."""

PART_SECONDS = 10.0
"""Work that a part holds: what a kill costs, and 3,600 files in ten hours."""
PART_ROWS = 2**19
"""Localizations at which a part is written earlier: 23 MB, which is what an export needs."""

# as `files.replacing` names them; a killed process leaves one behind
_UNFINISHED = re.compile(r"\.[0-9a-f]{12}\.part\.parquet")
_NAME = re.compile(r"(\d{8,})-(\d{8,})\.parquet")


class RunError(ValueError):
    """A run that cannot go on like this; the message is one sentence."""


@dataclass(frozen=True)
class Part:
    """Localizations of frames start to stop, half-open, in a file."""

    start: int
    stop: int
    path: Path

    def read(self) -> Localizations:
        """Localizations, in order of frame."""
        try:
            return read_table(self.path)[0]
        except TableError as error:
            raise RunError(
                f"part {self.path} cannot be read ({error}); delete it and go on with --resume"
            ) from error


@dataclass(frozen=True)
class RunFolder:
    """A run's folder; it holds no open file, so it can be sent to another process.

    Attributes
    ----------
    path : Path
        The folder; absolute, so that it is the same one in every process.
    record : RunRecord
        As it was when this was made; `run.json` may have gone on.
    """

    path: Path
    record: RunRecord

    @classmethod
    def create(cls, path: str | Path, record: RunRecord) -> RunFolder:
        """Begin a run; what another one left in the folder is removed."""
        path = Path(path).absolute()
        discard(path)
        try:
            (path / "parts").mkdir(parents=True)
            return cls(path, record)._written()
        except OSError as error:
            raise RunError(
                f"cannot make the folder {path} of the run ({_reason(error)}); choose another "
                "place for the table"
            ) from error

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open the folder of a run that was begun.

        Raises
        ------
        RunError
            If there is no run, or its ``run.json`` cannot be read.
        """
        path = Path(path).absolute()
        try:
            text = (path / "run.json").read_text(encoding="utf-8")
            return cls(path, RunRecord.model_validate_json(text))
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{path} holds no run ({_reason(error)}); choose another") from error
        except ValidationError as error:
            raise RunError(
                f"{path / 'run.json'} is damaged or of another version; --overwrite begins again"
            ) from error

    def parts(self) -> list[Part]:
        """Whole parts in order, each frame in one of them only."""
        found = []
        for path in (self.path / "parts").glob("*.parquet"):
            name = _NAME.fullmatch(path.name)
            if name is not None and parquet.rows_of(path) is not None:
                found.append(Part(int(name[1]), int(name[2]), path))
        return in_order(found)

    def missing(self, frames: Span | None = None, block: int | None = None) -> list[Span]:
        """Frames that no part holds, in order.

        Parameters
        ----------
        frames : tuple of int, optional
            Where to look, half-open; default: all frames of the run.
        block : int, optional
            Cut the gaps into pieces of so many frames, counted from the first of `frames`.
        """
        frames = frames or self.record.frames
        open_ = gaps([(part.start, part.stop) for part in self.parts()], frames)
        return open_ if block is None else cut(open_, block, frames[0])

    def write_part(self, start: int, stop: int, localizations: Localizations) -> Path:
        """Keep the localizations of frames start to stop, half-open, in numbers of the movie."""
        path = self.path / "parts" / f"{start:08d}-{stop:08d}.parquet"
        try:
            write_table(path, localizations, self.record.info)
        except OSError as error:
            raise RunError(
                f"frames {start} to {stop - 1} cannot be kept in {path.parent} "
                f"({_reason(error)}); the parts there stay: make room, then go on with --resume"
            ) from error
        return path

    def export(
        self, table: str | Path, each: Callable[[Part, Localizations], None] | None = None
    ) -> list[Path]:
        """Write the table of all parts, one part in memory at a time; gives its files.

        `each` is told of every part.
        """
        try:
            with open_table(table, self.record.info) as writer:
                for part in self.parts():
                    localizations = part.read()
                    writer.write(localizations)
                    if each is not None:
                        each(part, localizations)
        except OSError as error:
            raise RunError(
                f"{table} cannot be written ({_reason(error)}); the parts in {self.path} stay: "
                "make room, then go on with --resume"
            ) from error
        return writer.files

    def note(self, **changes: Any) -> RunFolder:
        """Change fields of the record, on disk too."""
        return replace(self, record=RunFolder.open(self.path).record.replace(**changes))._written()

    def stop(self, **changes: Any) -> RunFolder:
        """Leave the run unfinished; `changes` are fields of the record."""
        return self.note(status="stopped", **changes)

    def finish(self, **changes: Any) -> RunFolder:
        """End the run, whose table is written by now: the parts go."""
        finished = self.note(status="finished", **changes)
        _remove_parts(self.path)
        return finished

    def _written(self) -> RunFolder:
        with replacing(self.path / "run.json") as temporary:
            text = self.record.model_dump_json(indent=2)
            temporary.write_text(text + "\n", encoding="utf-8")
        return self


class PartFolder(Protocol):
    """Where parts are kept."""

    def write_part(self, start: int, stop: int, localizations: Localizations) -> Path:
        """Keep the localizations of frames start to stop, half-open, in numbers of the movie."""
        ...


class PartWriter:
    """Gathers blocks into parts that are worth a file.

    The first block is a part by itself, so that a folder that cannot be written is noticed then.
    """

    def __init__(self, folder: PartFolder) -> None:
        self._folder = folder
        # one list, so that Ctrl-C never finds frames without their localizations
        self._waiting: list[tuple[int, int, Localizations]] = []
        self._written_at: float | None = None

    def add(self, start: int, stop: int, localizations: Localizations) -> None:
        """Take the localizations of frames start to stop, half-open, in numbers of the movie."""
        if self._waiting and self._waiting[-1][1] != start:
            self.flush()
        self._waiting.append((start, stop, localizations))
        due = self._written_at is None or time.monotonic() - self._written_at >= PART_SECONDS
        if due or sum(len(table) for _, _, table in self._waiting) >= PART_ROWS:
            self.flush()

    @property
    def waiting(self) -> bool:
        """Whether there are localizations that no file holds yet."""
        return bool(self._waiting)

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        tables = [table for _, _, table in self._waiting]
        start, stop = self._waiting[0][0], self._waiting[-1][1]
        self._folder.write_part(start, stop, Localizations.concatenate(tables))
        self._waiting = []
        self._written_at = time.monotonic()


@contextmanager
def working(folder: RunFolder) -> Iterator[PartWriter]:
    """Write parts; after an error they stay and the run is stopped.

    If there are none, the folder goes too.
    """
    writer = PartWriter(folder)
    try:
        yield writer
        writer.flush()
    except Exception:
        with suppress(OSError, RunError):  # the error that is told is the first one
            writer.flush()
        with suppress(OSError, RunError):
            if folder.parts():
                folder.stop()
            else:
                discard(folder.path)
        raise


def folder_of(table: Path) -> Path:
    """Folder of the run that writes a table: ``locs.run`` beside ``locs.csv``.

    If that is the run of another table (``locs.hdf5``), it is ``locs.csv.run``.
    """
    usual = table.with_suffix(".run")
    try:
        other = RunFolder.open(usual).record.table
    except RunError:
        other = table.name
    return usual if other == table.name else table.with_name(f"{table.name}.run")


def begin(
    path: Path, record: RunRecord, *, resume: bool = False, overwrite: bool = False
) -> RunFolder:
    """Folder of a run, new or to go on with; its status is finished if there is nothing to do.

    A finished run of something else, or whose table is gone, gives way to the new one.

    Raises
    ------
    RunError
        If there is an unfinished run and neither `resume` nor `overwrite`, or if it is not the
        same run and cannot be resumed.
    """
    if overwrite or not (path / "run.json").exists():
        return RunFolder.create(path, record)
    there = RunFolder.open(path)
    differ = differences(there.record, record)
    if there.record.status == "finished":
        written = [path.parent / name for name in there.record.tables]
        same = not differ and all(file.is_file() for file in written)
        return there if same else RunFolder.create(path, record)
    if not resume:
        done = sum(part.stop - part.start for part in there.parts())
        total = there.record.frames[1] - there.record.frames[0]
        raise RunError(
            f"{path} holds an unfinished run ({done} of {total} frames): --resume goes on with it, "
            "--overwrite begins again"
        )
    if differ:
        raise RunError(
            f"the run in {path} cannot go on, since it differs in {', '.join(differ)}; localize as "
            "before, or begin again with --overwrite"
        )
    if there.record.versions != record.versions:
        log.warning(
            "%s was begun with %s and goes on with %s; the last digits may differ",
            path,
            _listed(there.record.versions),
            _listed(record.versions),
        )
    return there.note(status="running", versions=record.versions)


def discard(path: Path) -> None:
    """Remove a run, and its folder if nothing else is in it."""
    _remove_parts(path)
    with suppress(NotADirectoryError):
        (path / "run.json").unlink(missing_ok=True)
    with suppress(OSError):  # not there, or with something in it that is not ours
        path.rmdir()


def in_order(parts: Iterable[Part]) -> list[Part]:
    """Parts by their frames; of those that overlap, the earlier and longer one counts."""
    kept: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.start, -part.stop)):
        if part.start < part.stop and (not kept or part.start >= kept[-1].stop):
            kept.append(part)
    return kept


def gaps(done: Sequence[Span], frames: Span) -> list[Span]:
    """What of `frames` is in none of the spans, which are in order and do not overlap.

    Examples
    --------
    >>> gaps([(0, 10), (20, 25)], (5, 30))
    [(10, 20), (25, 30)]
    >>> gaps([], (5, 30))
    [(5, 30)]
    """
    left, reached = [], frames[0]
    for start, stop in [*done, (frames[1], frames[1])]:
        if reached < min(start, frames[1]):
            left.append((reached, min(start, frames[1])))
        reached = max(reached, stop)
    return left


def cut(spans: Sequence[Span], block: int, first: int = 0) -> list[Span]:
    """Spans in pieces that end where blocks counted from `first` end.

    Examples
    --------
    >>> cut([(2, 9)], 4)
    [(2, 4), (4, 8), (8, 9)]
    """
    pieces = []
    for start, stop in spans:
        while start < stop:
            end = min(stop, start - (start - first) % block + block)
            pieces.append((start, end))
            start = end
    return pieces


def _remove_parts(path: Path) -> None:
    parts = path / "parts"
    for file in parts.glob("*.parquet"):
        if _NAME.fullmatch(file.name) or _UNFINISHED.fullmatch(file.name):
            file.unlink(missing_ok=True)
    with suppress(OSError):
        parts.rmdir()


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _reason(error: Exception) -> str:
    """What the system says, in a few words."""
    return getattr(error, "strerror", None) or str(error).splitlines()[0]
