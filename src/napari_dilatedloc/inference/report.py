"""What a localization run gives while it runs, and what it took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from napari_dilatedloc.table import Localizations


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
    """

    start: int
    stop: int
    total: int
    localizations: Localizations
    seconds: float
    waited_s: float
    megabytes: float
    device: str


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
    device : str
        Where the network ran; empty before the first block.
    """

    frames: int = 0
    localizations: int = 0
    seconds: float = 0.0
    frames_per_second: float = 0.0
    mb_per_second: float = 0.0
    waited: float = 0.0
    device: str = ""


class RunMeter:
    """Adds blocks up to a report while they come."""

    def __init__(self) -> None:
        self._frames = 0
        self._left = 0
        self._localizations = 0
        self._seconds = 0.0
        self._waited = 0.0
        self._megabytes = 0.0
        self._device = ""

    def add(self, block: LocalizedBlock) -> None:
        """Take the next block of the run."""
        self._frames += block.stop - block.start
        self._left = block.total - block.stop
        self._localizations += len(block.localizations)
        self._seconds += block.seconds
        self._waited += block.waited_s
        self._megabytes += block.megabytes
        self._device = block.device

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
            device=self._device,
        )


def summarize(blocks: Iterable[LocalizedBlock]) -> LocalizeReport:
    """Report of a run whose blocks are at hand."""
    meter = RunMeter()
    for block in blocks:
        meter.add(block)
    return meter.report
