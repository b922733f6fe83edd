"""The job behind the button: load the model, run the pipeline. torch is loaded in here only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import Any

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.report import LocalizedBlock


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
    movie: Any, pixel_size_nm: float, model: str, config: LocalizeConfig, stop: Event
) -> Iterator[RunStarted | LocalizedBlock | RunJudged]:
    """Localize a movie (T, Y, X) with a model given by name or path; meant for a worker thread."""
    from napari_dilatedloc.inference.afterwards import RunCheck, TableSample
    from napari_dilatedloc.inference.checks import check_model_fits, check_run
    from napari_dilatedloc.inference.device import choose_device
    from napari_dilatedloc.inference.pipeline import localize
    from napari_dilatedloc.matching.misfit import check_spots
    from napari_dilatedloc.network.checkpoint import load_model

    leave_a_core_to_the_viewer()
    device = choose_device(config.device)
    loaded = load_model(model)
    info = loaded.info
    blocks = localize(movie, loaded, config, stop=stop)  # checks the movie and the settings
    yield RunStarted(
        model=loaded.name,
        sha256=loaded.sha256,
        network=info.network,
        device=str(device),
        pixel_size_nm=info.pixel_size_nm,
        z_range_nm=info.z_range_nm,
        threshold=info.threshold if config.threshold is None else config.threshold,
        first_frame=config.frames[0] if config.frames else 0,
        doubts=tuple(check_model_fits(movie, pixel_size_nm, info)),
    )
    frames, region = check_run(movie, config)
    check, sample = RunCheck(info, region), TableSample(*frames)
    with closing(blocks):
        for block in blocks:
            check.add(block.start, block.stop, block.localizations)
            sample.add(block.localizations)
            yield block
    # the look at the spots takes seconds, which is too long for who has pressed Cancel
    spots = [] if stop.is_set() else check_spots(movie, sample.table, loaded)
    yield RunJudged(doubts=(*check.doubts, *spots))


def leave_a_core_to_the_viewer() -> None:
    """All cores but one for torch; with two, both: one alone would halve the speed."""
    import torch

    cores = os.cpu_count() or 1
    torch.set_num_threads(cores if cores <= 2 else cores - 1)
