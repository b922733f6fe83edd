"""The job behind 'Match to movie'. torch and matplotlib are loaded in here only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

from napari_dilatedloc.config import TrainingConfig
from napari_dilatedloc.gui.localize_job import leave_a_core_to_the_viewer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_dilatedloc.psf.base import PSF


@dataclass(frozen=True)
class Matched:
    """What matching found.

    Attributes
    ----------
    config : TrainingConfig
        Settings with the ranges of the movie.
    verdicts : tuple
        Findings with ``level`` and ``sentence``, problems first.
    figure : Figure
        Real frames beside simulated ones.
    """

    config: TrainingConfig
    verdicts: tuple[Any, ...]
    figure: Figure


def match_job(movie: Any, psf: PSF, config: TrainingConfig, stop: Event) -> Iterator[str | Matched]:
    """Match the simulation to a movie (T, Y, X); yields what it is at, then what it found."""
    leave_a_core_to_the_viewer()
    raise NotImplementedError
    yield ""
