"""Localize a movie while it is being written."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.device import choose_device
from napari_dilatedloc.inference.engine import Engine, build_engine
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.inference.report import LocalizedBlock
from napari_dilatedloc.io.frames import FrameStack
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.network.registry import as_network


class Source(Protocol):
    """A movie that grows, such as `io.growing.GrowingMovie`."""

    def look(self, *, over: bool = False) -> FrameStack | None:
        """Frames that are whole by now; None before the first."""
        ...


@dataclass(frozen=True)
class Patience:
    """How long to wait.

    Attributes
    ----------
    look_s : float
        Between two looks at the disk, s. Shared folders tell nobody of new files, so one has to
        look.
    idle_s : float
        Without a new frame after which the recording is taken to be over, s.
    """

    look_s: float = 0.5
    idle_s: float = 30.0


def watch(
    source: Source,
    model: Model,
    config: LocalizeConfig | None = None,
    *,
    patience: Patience | None = None,
    first: int = 0,
    stop: threading.Event | None = None,
    over: threading.Event | None = None,
) -> Generator[LocalizedBlock, None, None]:
    """Localize frames as they come; the table is that of the finished movie, but for rounding.

    A frame waits for the neighbours that the network looks at, so the newest one or two are done
    when the next come, or when the recording is over.

    Parameters
    ----------
    source : Source
        The growing movie.
    model : Model
        As `load_model` gives it.
    config : LocalizeConfig, optional
        As for `localize`, without frames.
    patience : Patience, optional
        How often to look and when to end.
    first : int
        Frames that are done already, from an earlier run.
    stop : threading.Event, optional
        Ends at once; the frames that wait for neighbours are left out.
    over : threading.Event, optional
        The recording is over: the rest is done without waiting for more.

    Yields
    ------
    LocalizedBlock
        In order; frames count from the movie's first, and `total` is what there is so far.

    Raises
    ------
    MovieError
        If no frame came, or the movie cannot be read.
    """
    config = config if config is not None else LocalizeConfig()
    patience = patience if patience is not None else Patience()
    stop, over = stop or threading.Event(), over or threading.Event()
    reach = as_network(model.network).window // 2
    engine = build_engine(model.network, choose_device(config.device), config)
    done, seen, changed = first, 0, time.monotonic()
    while not stop.is_set():
        ended = over.is_set() or time.monotonic() - changed > patience.idle_s
        movie = source.look(over=ended)
        count = 0 if movie is None else movie.shape[0]
        if count > seen:
            seen, changed = count, time.monotonic()
        ready = count if ended else count - reach
        if movie is not None and ready > done:
            piece = config.replace(frames=(done, ready))
            with closing(_piece(movie, model, piece, engine, stop)) as blocks:
                for block in blocks:
                    # how much memory is free must not decide how the next piece is cut
                    config = config.replace(tile_size=block.tile_size)
                    yield block
            done = ready
        elif ended:
            return
        else:
            _wait(patience.look_s, stop, over)


def _piece(
    movie: FrameStack,
    model: Model,
    config: LocalizeConfig,
    engine: Engine,
    stop: threading.Event,
) -> Generator[LocalizedBlock, None, None]:
    """Some frames of a movie; blocks count from its first frame."""
    start = config.frames[0] if config.frames else 0
    with closing(localize(movie, model, config, engine=engine, stop=stop)) as blocks:
        for block in blocks:
            first, last = start + block.start, start + block.stop
            yield replace(block, start=first, stop=last, total=movie.shape[0])


def _wait(seconds: float, stop: threading.Event, over: threading.Event) -> None:
    """Sleep until the next look, or until `stop` is set; `over` is seen at the next look."""
    if not over.is_set():
        stop.wait(seconds)
