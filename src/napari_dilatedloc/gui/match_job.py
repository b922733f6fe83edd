"""The job behind 'Match to movie'. torch and matplotlib are loaded in here only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from threading import Event
from typing import TYPE_CHECKING, Any

from napari_dilatedloc.config import TrainingConfig
from napari_dilatedloc.gui.localize_job import leave_a_core_to_the_viewer

if TYPE_CHECKING:
    from napari_dilatedloc.psf.base import PSF
    from napari_dilatedloc.psf.verdict import Verdict


@dataclass(frozen=True)
class Matched:
    """What matching found.

    Attributes
    ----------
    config : TrainingConfig
        Settings that cover the movie.
    verdicts : tuple of Verdict
        Findings, problems first.
    picture : bytes
        PNG of real frames beside simulated ones.
    summary : str
        What the movie holds, in a line.
    """

    config: TrainingConfig
    verdicts: tuple[Verdict, ...]
    picture: bytes
    summary: str


class _Stopped(Exception):
    """Ends matching from inside."""


def match_job(
    movie: Any, pixel_size_nm: float | None, psf: PSF, config: TrainingConfig, stop: Event
) -> Iterator[str | Matched]:
    """Match the settings to a movie (T, Y, X); yields what it is at, then what it found.

    Of `config` the camera is taken for the movie's; all that matching does not know is kept.
    """
    from napari_dilatedloc.matching.figure import match_figure
    from napari_dilatedloc.matching.match import match_movie
    from napari_dilatedloc.matching.settings import training_config

    leave_a_core_to_the_viewer()
    yield "Finding spots, and simulating frames like them…"

    def look(_what: str, _share: float) -> None:
        if stop.is_set():
            raise _Stopped

    try:
        found = match_movie(movie, psf, config.camera, pixel_size_nm=pixel_size_nm, progress=look)
    except _Stopped:
        return
    yield "Drawing real and simulated frames…"
    picture = BytesIO()
    match_figure(found).savefig(picture, format="png", dpi=100)
    whole_z = psf.config.z_range_nm
    new = training_config(found.estimate, config.camera, whole_z, config).simulation
    seen = found.estimate
    yield Matched(
        # keeps what was stated and what was not, which fine-tuning looks at
        config=config.model_copy(update={"simulation": new}),
        verdicts=found.verdicts,
        picture=picture.getvalue(),
        summary=(
            f"Seen: {seen.photons.median:,.0f} photons, background {seen.bg.median:.3g}, "
            f"{seen.density_per_um2.median:.2g} molecules per um² (medians of {seen.spots:,} "
            f"spots in {seen.frames:,} frames)."
        ),
    )
