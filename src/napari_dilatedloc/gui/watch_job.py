"""The job behind "Watch": localize a movie that is still being written. torch is loaded in here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from napari_dilatedloc.config import CameraConfig, LocalizeConfig
from napari_dilatedloc.gui.localize_job import (
    RunJudged,
    RunJudging,
    RunStarted,
    leave_a_core_to_the_viewer,
    model_for,
)
from napari_dilatedloc.inference.report import LocalizedBlock
from napari_dilatedloc.io.frames import FrameStack, MovieError
from napari_dilatedloc.io.growing import GrowingMovie

if TYPE_CHECKING:
    from napari_dilatedloc.inference.watch import Source

LOOK_S = 0.5
"""Between two looks at the disk, s. Who sits in front of napari ends the recording; the job does
not end by itself, however long a pause is."""

JUDGED_FRAMES = 400
"""The first ones stand for the movie when its spots are looked at: nobody knows how many come."""


@dataclass(frozen=True)
class MovieGrew:
    """Frames that are whole by now.

    Attributes
    ----------
    movie : FrameStack
        (T, Y, X), ADU; a new one each time.
    pixel_size_nm : float
        Of the camera in the sample, nm: as chosen, else the model's.
    """

    movie: FrameStack
    pixel_size_nm: float


class _Seen:
    """A source that remembers what it has shown."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.newest: FrameStack | None = None

    def look(self, *, over: bool = False) -> FrameStack | None:
        self.newest = self._source.look(over=over)
        return self.newest


def watch_job(
    path: Path,
    pixel_size_nm: float | None,
    model: str,
    config: LocalizeConfig,
    camera: CameraConfig | None,
    over: Event,
    stop: Event,
) -> Iterator[MovieGrew | RunStarted | LocalizedBlock | RunJudging | RunJudged]:
    """Localize what comes into a folder until `over` is set; meant for a worker thread.

    A `MovieGrew` comes before the first block and before each that has frames of its own.

    Raises
    ------
    MovieError
        If it is over and no frame came.
    """
    from napari_dilatedloc.inference.afterwards import RunCheck, TableSample
    from napari_dilatedloc.inference.checks import check_run
    from napari_dilatedloc.inference.device import choose_device
    from napari_dilatedloc.inference.watch import Patience, watch
    from napari_dilatedloc.matching.misfit import check_spots

    leave_a_core_to_the_viewer()
    settings = config.replace(frames=None)
    device = str(choose_device(config.device))
    loaded = model_for(model, camera)
    size = pixel_size_nm or loaded.info.pixel_size_nm
    source = _Seen(GrowingMovie(path))
    patience = Patience(look_s=LOOK_S, idle_s=math.inf)
    blocks = watch(source, loaded, settings, patience=patience, stop=stop, over=over)
    shown: FrameStack | None = None
    check: RunCheck | None = None
    sample = TableSample(0, JUDGED_FRAMES)
    with closing(blocks):
        for block in blocks:
            if source.newest is not None and _longer(source.newest, shown):
                first, shown = shown is None, source.newest
                yield MovieGrew(shown, size)
                if first:
                    yield RunStarted.of(loaded, device, settings, shown, size)
                    check = RunCheck(loaded.info, check_run(shown, settings)[1])
            if check is not None:
                check.add(block.start, block.stop, block.localizations)
            sample.add(block.localizations)
            yield block
    if stop.is_set():
        return
    if shown is None or check is None:
        raise MovieError(f"no frame came into {path}; choose where the microscope writes")
    if source.newest is not None and _longer(source.newest, shown):
        yield MovieGrew(source.newest, size)
    yield RunJudging()
    yield RunJudged(doubts=(*check.doubts, *check_spots(shown, sample.table, loaded)))


def _longer(newest: FrameStack, shown: FrameStack | None) -> bool:
    return shown is None or len(newest) > len(shown)
