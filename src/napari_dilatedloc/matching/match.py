"""The whole way from a movie to settings, verdicts and frames to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import CameraConfig, TrainingConfig
from napari_dilatedloc.matching.compare import Comparison, compare
from napari_dilatedloc.matching.estimate import Matched, MovieEstimate, estimate_movie
from napari_dilatedloc.matching.orientation import find_orientation
from napari_dilatedloc.matching.sample import WINDOW_PX, MovieSample, take_sample
from napari_dilatedloc.matching.settings import training_config
from napari_dilatedloc.matching.templates import template_bank
from napari_dilatedloc.matching.verdicts import (
    camera_verdicts,
    frame_verdicts,
    gain_factor,
    photons_per_adu,
    psf_verdicts,
)
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.compile import compile_psf
from napari_dilatedloc.psf.verdict import Verdict

WORST_FIRST = MappingProxyType({"problem": 0, "warning": 1, "ok": 2})

Progress = Callable[[str, float], None]
"""Told what is being done and which share of all is done, 0-1."""


@dataclass(frozen=True)
class MovieMatch:
    """All that `match_movie` finds.

    Attributes
    ----------
    estimate : MovieEstimate
        What the movie holds.
    config : TrainingConfig
        Settings that cover it.
    verdicts : tuple of Verdict
        What is odd, and what was checked; worst first.
    comparison : Comparison
        Histograms and spectra of real and simulated frames.
    real : MovieSample
        Frames looked at.
    matched : Matched
        The estimate's evidence; ``matched.frames`` are the simulated frames.
    """

    estimate: MovieEstimate
    config: TrainingConfig
    verdicts: tuple[Verdict, ...]
    comparison: Comparison
    real: MovieSample
    matched: Matched


def match_movie(
    movie: Any,
    psf: PSF,
    camera: CameraConfig,
    *,
    pixel_size_nm: float | None = None,
    frames: tuple[int, int] | None = None,
    base: TrainingConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> MovieMatch:
    """Estimate what training must cover for a movie, and compare simulated frames with it.

    Parameters
    ----------
    movie : array or lazy array (T, Y, X)
        Camera counts; about 1.5 million pixels of it are read.
    psf : PSF
        Any PSF; it is compiled.
    camera : CameraConfig
        That recorded the movie.
    pixel_size_nm : float, optional
        Camera pixel of the movie, to be compared with the PSF's.
    frames : tuple of int, optional
        Half-open range of frames to look at.
    base : TrainingConfig, optional
        Settings to start from; a verdict says where they do not cover the movie.
    seed : int
        Same seed, same result.
    progress : callable, optional
        Told ``(what, share done)`` every few seconds; one that raises ends it.

    Raises
    ------
    ValueError
        If this is no movie, or holds no spots to learn from.
    """
    tell = progress or _silent
    tell("reading frames", 0.0)
    window = max(WINDOW_PX, round(2.5 * psf.config.roi_size))
    sample = take_sample(movie, build_camera(camera), frames=frames, window_px=window)
    tell("compiling the PSF", 0.02)
    psf = compile_psf(psf)
    bank = template_bank(psf)
    tell("finding spots", 0.1)
    matched = estimate_movie(
        sample,
        psf,
        bank,
        seed=seed,
        progress=lambda share: tell("simulating frames like them", 0.1 + 0.7 * share),
    )
    comparison = compare(sample.photons, matched.frames.photons, photons_per_adu(sample.chip))
    tell("turning the PSF", 0.8)
    orientation = find_orientation(sample, matched.real.fit, psf, bank)
    gain = gain_factor(sample, matched)
    verdicts = [
        *camera_verdicts(sample, matched),
        *psf_verdicts(matched, psf, orientation, gain or 1.0, pixel_size_nm),
        *frame_verdicts(matched, comparison, base.simulation if base is not None else None),
    ]
    tell("done", 1.0)
    return MovieMatch(
        estimate=matched.estimate,
        config=training_config(matched.estimate, camera, psf.config.z_range_nm, base),
        verdicts=tuple(sorted(verdicts, key=lambda verdict: WORST_FIRST[verdict.level])),
        comparison=comparison,
        real=sample,
        matched=matched,
    )


def _silent(what: str, share: float) -> None:
    """Progress nobody looks at."""
