"""The job behind 'Fine-tune': choose the start, train. torch is loaded in here only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from napari_dilatedloc.config import TrainingConfig
from napari_dilatedloc.gui.localize_job import leave_a_core_to_the_viewer

if TYPE_CHECKING:
    from napari_dilatedloc.psf.base import PSF
    from napari_dilatedloc.training.pause import Pause
    from napari_dilatedloc.training.step import TrainingStep


@dataclass(frozen=True)
class TrainingStarted:
    """First thing a training yields.

    Attributes
    ----------
    start : str or None
        Model whose weights it begins with.
    config : TrainingConfig
        Settings as they are used.
    """

    start: str | None
    config: TrainingConfig


def train_job(
    config: TrainingConfig, psf: PSF, out: Path, init: str, pause: Pause, stop: Event
) -> Iterator[TrainingStarted | TrainingStep]:
    """Train, from the weights of `init` ("auto", a model or "none"); meant for a worker thread.

    Raises
    ------
    ValueError
        If it cannot begin or go on, in one sentence.
    OSError
        If the model file cannot be written.
    """
    import matplotlib.figure  # noqa: F401  slow, and the plots will need it in the GUI thread
    import torch

    from napari_dilatedloc.training.start import choose_start
    from napari_dilatedloc.training.trainer import TrainingError, train

    _check_folder(out.parent)
    leave_a_core_to_the_viewer()
    # in this very thread: tiny gradients make CPU convolutions many times slower
    torch.set_flush_denormal(True)
    try:
        start = choose_start(init, psf, config.network)
        if start is not None:
            config = config.for_fine_tuning()
        yield TrainingStarted(None if start is None else start.name, config)
        yield from train(config, psf, out, init=start, stop=stop, pause=pause)
    except TrainingError as error:  # its message is for users, not a fault of ours
        raise ValueError(str(error)) from error
    finally:
        torch.set_flush_denormal(False)


def _check_folder(folder: Path) -> None:
    """Before minutes of training, not after."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"no file can be written in {folder}; choose another under 'Save as'")
