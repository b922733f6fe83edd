"""What a localization run gives while it runs, and what it took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from napari_dilatedloc.table import Localizations

STAGES = {
    "read": "the reader's thread: frames from disk into a buffer",
    "upload": "counts to the device, there to photons and network input",
    "network": "the network, all tiles",
    "decode": "network output to columns, and these to the host",
    "collect": "columns of all batches of a block to one table",
}
"""Stages of a run and what their seconds are spent on. `read` and `collect` pass in threads of
their own, and on CUDA `upload` and `decode` pass beside `network`, so the sum may exceed the time
of the run."""

HOW = ("device", "engine", "precision", "batch_frames", "tile_size")
"""What a report takes over from the last block."""


@dataclass(frozen=True)
class LocalizedBlock:
    """Result of some consecutive frames.

    Attributes
    ----------
    start, stop, total : int
        Frames of the run done before this block, after it, and all of the run; counted from the
        run's first frame, so that ``stop / total`` is the progress.
    localizations : Localizations
        In order of frame; px and frame numbers are those of the whole movie, also when only a
        region or a range of frames is localized.
    seconds : float
        Time the pipeline took for it (not what the caller did between two blocks), s.
    waited_s : float
        Part of it in which the device waited for frames, s.
    megabytes : float
        Size of the frames that were localized, as the movie stores them, 10^6 bytes.
    device : str
        Where the network ran.
    stages : dict of float
        Seconds in each of `STAGES`.
    engine, precision : str
        How the network ran: name of the engine, type of its numbers.
    batch_frames : int
        Frames the network saw at a time, without neighbours.
    tile_size : int
        Largest side of the tiles they were cut into, without halo, px.
    """

    start: int
    stop: int
    total: int
    localizations: Localizations
    seconds: float
    waited_s: float
    megabytes: float
    device: str
    stages: dict[str, float] = field(default_factory=dict)
    engine: str = ""
    precision: str = ""
    batch_frames: int = 0
    tile_size: int = 0


@dataclass(frozen=True)
class LocalizeReport:
    """Figures of a whole run.

    Attributes
    ----------
    frames, localizations : int
        How many were done and found.
    seconds, frames_per_second, mb_per_second : float
        Time in the pipeline and throughput; a megabyte is 10^6 bytes of the movie.
    waited : float
        Share of the time in which the device waited for frames, 0-1.
    device, engine, precision : str
        Where and how the network ran; empty before the first block.
    batch_frames : int
        Frames the network saw at a time at the end of the run.
    tile_size : int
        Largest side of a tile at the end of the run, without halo, px.
    stages : dict of float
        Seconds in each of `STAGES`.
    """

    frames: int = 0
    localizations: int = 0
    seconds: float = 0.0
    frames_per_second: float = 0.0
    mb_per_second: float = 0.0
    waited: float = 0.0
    device: str = ""
    engine: str = ""
    precision: str = ""
    batch_frames: int = 0
    tile_size: int = 0
    stages: dict[str, float] = field(default_factory=dict)


class RunMeter:
    """Adds blocks up to a report while they come."""

    def __init__(self) -> None:
        self._frames = 0
        self._left = 0
        self._localizations = 0
        self._seconds = 0.0
        self._waited = 0.0
        self._megabytes = 0.0
        self._stages: dict[str, float] = {}
        self._how: dict[str, Any] = {}

    def add(self, block: LocalizedBlock) -> None:
        """Take the next block of the run."""
        self._frames += block.stop - block.start
        self._left = block.total - block.stop
        self._localizations += len(block.localizations)
        self._seconds += block.seconds
        self._waited += block.waited_s
        self._megabytes += block.megabytes
        for name, seconds in block.stages.items():
            self._stages[name] = self._stages.get(name, 0.0) + seconds
        self._how = {name: getattr(block, name) for name in HOW}

    @property
    def remaining_s(self) -> float:
        """Time the rest of the run will take at the pace so far, s; 0 before the first block."""
        return self._left * self._seconds / max(self._frames, 1)

    @property
    def report(self) -> LocalizeReport:
        """Figures so far."""
        seconds = max(self._seconds, 1e-9)
        return LocalizeReport(
            frames=self._frames,
            localizations=self._localizations,
            seconds=self._seconds,
            frames_per_second=self._frames / seconds,
            mb_per_second=self._megabytes / seconds,
            waited=self._waited / seconds,
            stages=dict(self._stages),
            **self._how,
        )


def summarize(blocks: Iterable[LocalizedBlock]) -> LocalizeReport:
    """Report of a run whose blocks are at hand, or come one by one."""
    meter = RunMeter()
    for block in blocks:
        meter.add(block)
    return meter.report
