"""The job behind the button: load the model, run the pipeline. torch is loaded in here only."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, Self

from napari_dilatedloc.config import CameraConfig, LocalizeConfig
from napari_dilatedloc.cores import cores_beside_napari
from napari_dilatedloc.gui.preferences import preferences
from napari_dilatedloc.inference.report import LocalizedBlock

if TYPE_CHECKING:
    from napari_dilatedloc.network.checkpoint import Model

NICENESS = 5


@dataclass(frozen=True)
class RunStarted:
    """First thing a run yields: the model it uses and where.

    Attributes
    ----------
    model, sha256, network : str
        Name or path as chosen, hash of the file, registry name.
    device : str
        Device of the network.
    pixel_size_nm : float
        Pixel the model was trained for, nm.
    z_range_nm : tuple of float
        Range of z it was trained for, nm.
    threshold : float
        Detection probability used.
    first_frame : int
        Frame of the movie the run begins with.
    doubts : tuple of str
        Reasons to doubt that the model fits the movie, one sentence each.
    """

    model: str
    sha256: str
    network: str
    device: str
    pixel_size_nm: float
    z_range_nm: tuple[float, float]
    threshold: float
    first_frame: int
    doubts: tuple[str, ...]

    @classmethod
    def of(
        cls, model: Model, device: str, config: LocalizeConfig, movie: Any, pixel_size_nm: float
    ) -> Self:
        """What there is to say of a model on a movie (T, Y, X); reads its first frame."""
        from napari_dilatedloc.inference.checks import check_model_fits

        info = model.info
        return cls(
            model=model.name,
            sha256=model.sha256,
            network=info.network,
            device=device,
            pixel_size_nm=info.pixel_size_nm,
            z_range_nm=info.z_range_nm,
            threshold=info.threshold if config.threshold is None else config.threshold,
            first_frame=config.frames[0] if config.frames else 0,
            doubts=tuple(check_model_fits(movie, pixel_size_nm, info)),
        )


@dataclass(frozen=True)
class RunJudging:
    """All frames are done; the look at what came out takes seconds."""


@dataclass(frozen=True)
class RunJudged:
    """Last thing a run yields: what its table and spots say against the model.

    Attributes
    ----------
    doubts : tuple of str
        Reasons to doubt that the model fits the movie, one sentence each.
    """

    doubts: tuple[str, ...]


def localize_job(
    movie: Any,
    pixel_size_nm: float,
    model: str,
    config: LocalizeConfig,
    camera: CameraConfig | None,
    stop: Event,
) -> Iterator[RunStarted | LocalizedBlock | RunJudging | RunJudged]:
    """Localize a movie (T, Y, X) with a model given by name or path; meant for a worker thread.

    The camera is the model's unless another one recorded the movie.
    """
    from napari_dilatedloc.inference.afterwards import RunCheck, TableSample
    from napari_dilatedloc.inference.checks import check_run
    from napari_dilatedloc.inference.device import choose_device
    from napari_dilatedloc.inference.pipeline import localize
    from napari_dilatedloc.matching.misfit import check_spots

    leave_a_core_to_the_viewer()
    device = choose_device(config.device)
    loaded = model_for(model, camera)
    blocks = localize(movie, loaded, config, stop=stop)  # checks the movie and the settings
    yield RunStarted.of(loaded, str(device), config, movie, pixel_size_nm)
    frames, region = check_run(movie, config)
    check, sample = RunCheck(loaded.info, region), TableSample(*frames)
    with closing(blocks):
        for block in blocks:
            check.add(block.start, block.stop, block.localizations)
            sample.add(block.localizations)
            yield block
    # the look at the spots takes seconds, which is too long for who has pressed Cancel
    if not stop.is_set():
        yield RunJudging()
    spots = [] if stop.is_set() else check_spots(movie, sample.table, loaded)
    yield RunJudged(doubts=(*check.doubts, *spots))


def model_for(model: str, camera: CameraConfig | None) -> Model:
    """Model by name or path, for movies of a camera; None: its own."""
    from napari_dilatedloc.network.checkpoint import load_model

    loaded = load_model(model)
    return loaded if camera is None else loaded.with_camera(camera)


def leave_a_core_to_the_viewer() -> None:
    """As many cores for torch as the preferences say, or `cores_beside_napari`.

    On Linux this thread and those it starts give way to the viewer's besides.
    """
    import torch

    if sys.platform == "linux":  # elsewhere a thread has no niceness of its own
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + NICENESS)

    torch.set_num_threads(preferences().threads or cores_beside_napari())
