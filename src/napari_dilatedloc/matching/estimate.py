"""What a movie holds: background, photons, density, lifetime and z.

What a threshold lets one see is not what is there: dim molecules and those far from focus are
missed, neighbours are taken for one, a molecule that switches on halfway looks half as bright.
Instead of a formula for each, frames are simulated with the first guess, looked at in just the
same way, and the guess is moved to what explains the movie's spots (indirect inference:
Gourieroux, Monfort & Renault, J. Appl. Econometrics 8, S85 (1993); `population`). Photons are
taken to be log-normal: what lies below the threshold is that curve's continuation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_dilatedloc.config import Range
from napari_dilatedloc.matching.look import Look, look_at
from napari_dilatedloc.matching.population import (
    SPREADS,
    Classes,
    Evidence,
    gather,
    most_likely,
)
from napari_dilatedloc.matching.resimulate import OUTERMOST, Blinking, resimulate
from napari_dilatedloc.matching.sample import MovieSample
from napari_dilatedloc.matching.templates import TemplateBank
from napari_dilatedloc.psf.base import PSF

ROUNDS = 5
POOLED = 3
"""Last rounds whose simulated spots count together, since each has the chance of its own."""
FEWEST_SPOTS = 10
SIMULATED_PIXELS = 1_000_000
"""Pixels times frames simulated at least, so that chance rules the movie's numbers alone."""
LONGEST_FRAMES = 50.0
DEFAULT_LIFETIME_FRAMES = 2.0


@dataclass(frozen=True)
class Spread:
    """5th, 50th and 95th percentile of a quantity; of a density the middle is the mean."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        low, middle, high = (
            f"{value:.0f}" if value >= 100 else f"{value:.3g}"
            for value in (self.low, self.median, self.high)
        )
        return f"{middle} ({low} to {high})"


@dataclass(frozen=True)
class MovieEstimate:
    """What a movie holds.

    Attributes
    ----------
    bg : Spread
        Background over field and time, photons per pixel per frame.
    photons : Spread
        Of a molecule that is on during a whole frame, photons per frame.
    dimmest : float
        5th percentile of the photons of spots seen, those shining for part of a frame included.
    density_per_um2 : Spread
        Molecules that shine in a frame, over regions of field and time.
    lifetime_frames : float or None
        Mean on-time; None where the movie cannot tell.
    z_range_nm : tuple of float
        Range of z that molecules lie in, seen or not (2nd to 98th percentile), nm.
    spots, fits, pairs : int
        Spots seen, which photons, density and z rest on; isolated ones fitted, which tell whether
        the PSF fits; spots looked for again in the next frame, which the lifetime rests on.
    frames : int
        Frames looked at.
    missed : float
        Share of the molecules, those shining for part of a frame included, that the threshold
        misses; density is corrected for it.
    """

    bg: Spread
    photons: Spread
    dimmest: float
    density_per_um2: Spread
    lifetime_frames: float | None
    z_range_nm: Range
    spots: int
    fits: int
    pairs: int
    frames: int
    missed: float

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Matched:
    """The estimate with the frames it rests on.

    Attributes
    ----------
    estimate : MovieEstimate
        The numbers.
    real, simulated : Look
        What was measured of the movie, and of frames simulated with the estimate.
    frames : MovieSample
        The simulated frames; the first runs stand for the sample's.
    """

    estimate: MovieEstimate
    real: Look
    simulated: Look
    frames: MovieSample


def estimate_movie(
    sample: MovieSample,
    psf: PSF,
    bank: TemplateBank,
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Matched:
    """Estimate what a sample holds, in a first guess and five rounds of simulation.

    Parameters
    ----------
    sample : MovieSample
        Frames (`sample.take_sample`).
    psf : PSF
        A fast one (`psf.compile.compile_psf`).
    bank : TemplateBank
        Of the same PSF.
    seed : int
        Same seed, same result.
    progress : callable, optional
        Told the share done, 0-1.

    Raises
    ------
    ValueError
        If there are fewer than ten spots.
    """
    tell = progress or _silent
    real = look_at(sample, psf, bank)
    guess = _first_guess(real, sample, psf, len(bank.z_nm))
    classes = Classes.of(real.spots, len(bank.z_nm))
    counts = classes.count(real.spots)
    cells = real.background.cells
    repeats = max(1, round(SIMULATED_PIXELS / sample.adu.numel()))
    evidence: list[Evidence] = []
    for turn in range(ROUNDS):
        tell((turn + 1) / (ROUNDS + 2))
        frames = resimulate(sample, cells, guess, psf, repeats=repeats, seed=seed + turn)
        seen = look_at(frames.sample, psf, bank, fitted=False)
        evidence.append(gather(seen.spots, frames, guess, classes, real.pixels / seen.pixels))
        guess = replace(
            most_likely(counts, evidence[-POOLED:], guess),
            lifetime_frames=_lifetime(guess.lifetime_frames, real, seen),
        )
        bias = seen.background.cells - cells.clamp_min(0).repeat(repeats, 1, 1)
        cells = real.background.cells - bias.median()
    tell((ROUNDS + 1) / (ROUNDS + 2))
    frames = resimulate(sample, cells, guess, psf, repeats=repeats, seed=seed + ROUNDS)
    seen = look_at(frames.sample, psf, bank)
    tell(1.0)
    estimate = _summary(real, seen, sample, guess, cells, psf.config.pixel_size_nm)
    return Matched(estimate, real, seen, frames.sample)


def _first_guess(real: Look, sample: MovieSample, psf: PSF, slices: int) -> Blinking:
    """What the movie shows at first sight, at all heights alike."""
    if len(real.spots) < FEWEST_SPOTS:
        raise ValueError(
            f"expected spots in the movie, found {len(real.spots)} in {sample.frames} frames; "
            "choose frames with molecules (--frames), and check PSF, baseline and gain"
        )
    area_um2 = (psf.config.pixel_size_nm / 1000) ** 2
    # on the lower side are those that shine for part of a frame
    middle, high = np.quantile(np.log(real.spots.photons), (0.5, 0.9))
    edges = np.linspace(*psf.config.z_range_nm, slices + 1)
    return Blinking(
        density_per_um2=1.3 * real.per_pixel / area_um2,
        median_photons=float(np.exp(middle)),
        spread=float(np.clip((high - middle) / 1.2816, *SPREADS)),
        lifetime_frames=_odds(real.again) if real.asked else DEFAULT_LIFETIME_FRAMES,
        z_edges_nm=tuple(float(z) for z in edges),
        z_shares=(1 / slices,) * slices,
    )


def _odds(share: float) -> float:
    """On-time (frames) of molecules of which this share is on in the next frame too.

    Switching on at rate r for L frames on average, r (L + 1) shine during any part of a frame, and
    r L are on when the next one begins.
    """
    return float(np.clip(share / (1 - share), 0.1, LONGEST_FRAMES))


def _lifetime(guess: float, real: Look, seen: Look) -> float:
    """On-time (frames) moved by the ratio of what the movie shows to what the simulation shows."""
    if not (real.asked and seen.asked):
        return guess
    moved = guess * float(np.clip(_odds(real.again) / _odds(seen.again), 1 / 3, 3.0))
    return float(np.clip(moved, 0.1, LONGEST_FRAMES))


def _silent(share: float) -> None:
    """Progress nobody looks at."""


def _summary(
    real: Look,
    seen: Look,
    sample: MovieSample,
    guess: Blinking,
    cells: Tensor,
    pixel_size_nm: float,
) -> MovieEstimate:
    area_um2 = (pixel_size_nm / 1000) ** 2
    missed = 1 - seen.per_pixel / area_um2 / guess.density_per_um2
    low, high = guess.photons
    return MovieEstimate(
        bg=Spread(*cells.clamp_min(0).quantile(torch.tensor([0.05, 0.5, 0.95])).tolist()),
        photons=Spread(low, guess.median_photons, high),
        dimmest=float(np.quantile(real.spots.photons, 0.05)),
        density_per_um2=_densities(real, sample, guess.density_per_um2),
        lifetime_frames=guess.lifetime_frames if real.asked >= FEWEST_SPOTS else None,
        z_range_nm=_z_range(real, guess),
        spots=len(real.spots),
        fits=int(real.fit.good.sum()) if real.fit is not None else 0,
        pairs=real.asked,
        frames=sample.frames,
        missed=float(np.clip(missed, 0.0, 1.0)),
    )


def _z_range(real: Look, guess: Blinking) -> Range:
    """2nd and 98th percentile of z, nm: of good fits, each for its share of its slice's molecules.

    Fits are finer than slices, but mostly of molecules near focus, which are easier to see.
    """
    if real.fit is None or real.fit.good.sum() < FEWEST_SPOTS:
        return guess.z_range_nm
    z_nm = np.sort(real.fit.fit.z_nm[real.fit.good])
    where = np.searchsorted(guess.z_edges_nm[1:-1], z_nm)
    weight = np.asarray(guess.z_shares)[where] / np.bincount(where)[where]
    reached = (np.cumsum(weight) - 0.5 * weight) / weight.sum()
    low, high = np.interp([OUTERMOST, 1 - OUTERMOST], reached, z_nm)
    return float(low), float(high)


def _densities(real: Look, sample: MovieSample, mean: float) -> Spread:
    """Density over regions: counts of quarters of the windows, each over a whole run."""
    height, width = sample.size
    spots = real.spots
    quarter = (spots.y >= height / 2).astype(np.int64) * 2 + (spots.x >= width / 2)
    counts = np.bincount(spots.run * 4 + quarter, minlength=4 * len(sample.adu))
    relative = counts / counts.mean()
    low, high = (float(q) for q in np.quantile(relative, (0.05, 0.95)))
    return Spread(mean * min(low, 1.0), mean, mean * max(high, 1.0))
