"""What a movie holds: background, photons, density, lifetime and z.

What a threshold lets one see is not what is there: dim molecules are missed, neighbours are taken
for one, a molecule that switches on halfway looks half as bright. Instead of a formula for each,
frames are simulated with the first guess, looked at in just the same way, and the guess is moved
by what comes out different (indirect inference: Gourieroux, Monfort & Renault, J. Appl.
Econometrics 8, S85 (1993)). Photons are taken to be log-normal: what lies below the threshold is
that curve's continuation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_dilatedloc.config import Range
from napari_dilatedloc.matching.look import Look, look_at
from napari_dilatedloc.matching.resimulate import Blinking, resimulate
from napari_dilatedloc.matching.sample import MovieSample
from napari_dilatedloc.matching.templates import TemplateBank
from napari_dilatedloc.psf.base import PSF

ROUNDS = 5
AVERAGED = 3
"""Last rounds whose guesses are averaged, since each has the chance of its own simulation."""
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
        Range of z that molecules lie in (2nd to 98th percentile of the fits), nm.
    spots, fits, pairs : int
        Spots seen, which photons and density rest on; isolated ones fitted, which z rests on; spots
        looked for again in the next frame, which the lifetime rests on.
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
    blinking : Blinking
        What they were simulated with.
    bg_cells : Tensor (R, h, w)
        Background they were simulated with.
    """

    estimate: MovieEstimate
    real: Look
    simulated: Look
    frames: MovieSample
    blinking: Blinking
    bg_cells: Tensor


def estimate_movie(sample: MovieSample, psf: PSF, bank: TemplateBank, *, seed: int = 0) -> Matched:
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

    Raises
    ------
    ValueError
        If there are fewer than ten spots or none of them stands alone.
    """
    real = look_at(sample, psf, bank)
    guess = _first_guess(real, sample, psf)
    cells = real.background.cells
    repeats = max(1, round(SIMULATED_PIXELS / sample.adu.numel()))
    guesses: list[Blinking] = []
    for turn in range(ROUNDS):
        frames = resimulate(sample, cells, guess, psf, repeats=repeats, seed=seed + turn)
        seen = look_at(frames, psf, bank)
        guess = _moved(guess, real, seen)
        guesses.append(guess)
        bias = seen.background.cells - cells.clamp_min(0).repeat(repeats, 1, 1)
        cells = real.background.cells - bias.median()
    guess = _mean(guesses[-AVERAGED:])
    frames = resimulate(sample, cells, guess, psf, repeats=repeats, seed=seed + ROUNDS)
    seen = look_at(frames, psf, bank)
    estimate = _summary(real, seen, sample, guess, cells, psf.config.pixel_size_nm)
    return Matched(estimate, real, seen, frames, guess, cells)


def _first_guess(real: Look, sample: MovieSample, psf: PSF) -> Blinking:
    """What the movie shows at first sight."""
    if len(real.spots) < FEWEST_SPOTS:
        raise ValueError(
            f"expected spots in the movie, found {len(real.spots)} in {sample.frames} frames; "
            "choose frames with molecules (--frames), and check PSF, baseline and gain"
        )
    light = real.log_photons
    if light is None or real.fit is None:
        raise ValueError(
            f"expected spots that stand alone to fit, found none among {len(real.spots)}; choose "
            "frames with fewer molecules (--frames)"
        )
    area_um2 = (psf.config.pixel_size_nm / 1000) ** 2
    return Blinking(
        density_per_um2=1.3 * real.per_pixel / area_um2,
        median_photons=float(np.exp(light[0])),
        spread=float(np.clip(light[1], 0.05, 1.5)),
        lifetime_frames=_odds(real.again) if real.asked else DEFAULT_LIFETIME_FRAMES,
        z_quantiles_nm=_z_quantiles(real, psf.config.z_range_nm),
    )


def _z_quantiles(look: Look, whole: Range) -> tuple[float, ...]:
    """Where good fits lie, without the outermost 2%; the PSF's range, evenly, if they are few."""
    if look.fit is None or look.fit.good.sum() < FEWEST_SPOTS:
        return whole
    z_nm = look.fit.fit.z_nm[look.fit.good]
    steps = int(np.clip(len(z_nm) // 5, 2, 20)) + 1
    found = np.quantile(z_nm, np.linspace(0.02, 0.98, steps))
    return tuple(float(z) for z in found)


def _odds(share: float) -> float:
    """On-time (frames) of molecules of which this share is on in the next frame too.

    Switching on at rate r for L frames on average, r (L + 1) shine during any part of a frame, and
    r L are on when the next one begins.
    """
    return float(np.clip(share / (1 - share), 0.1, LONGEST_FRAMES))


def _moved(guess: Blinking, real: Look, seen: Look) -> Blinking:
    """Guess moved by the ratio of what the movie shows to what the simulation shows."""
    light, light_seen = real.log_photons, seen.log_photons
    median, spread = guess.median_photons, guess.spread
    if light is not None and light_seen is not None:
        median *= float(np.exp(np.clip(0.8 * (light[0] - light_seen[0]), -1.0, 1.0)))
        spread = float(np.clip(spread + 0.7 * (light[1] - light_seen[1]), 0.05, 1.5))
    life = guess.lifetime_frames
    if real.asked and seen.asked:
        life *= float(np.clip(_odds(real.again) / _odds(seen.again), 1 / 3, 3.0))
    more = real.per_pixel / seen.per_pixel if seen.per_pixel > 0 else 3.0
    return replace(
        guess,
        density_per_um2=guess.density_per_um2 * float(np.clip(more, 1 / 3, 3.0)),
        median_photons=median,
        spread=spread,
        lifetime_frames=float(np.clip(life, 0.1, LONGEST_FRAMES)),
    )


def _mean(guesses: list[Blinking]) -> Blinking:
    """Geometric mean."""

    def mean(name: str) -> float:
        return float(np.exp(np.mean([np.log(getattr(guess, name)) for guess in guesses])))

    return replace(
        guesses[-1],
        density_per_um2=mean("density_per_um2"),
        median_photons=mean("median_photons"),
        spread=mean("spread"),
        lifetime_frames=mean("lifetime_frames"),
    )


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
        z_range_nm=guess.z_range_nm,
        spots=len(real.spots),
        fits=int(real.fit.good.sum()) if real.fit is not None else 0,
        pairs=real.asked,
        frames=sample.frames,
        missed=float(np.clip(missed, 0.0, 1.0)),
    )


def _densities(real: Look, sample: MovieSample, mean: float) -> Spread:
    """Density over regions: counts of quarters of the windows, each over a whole run."""
    height, width = sample.size
    spots = real.spots
    quarter = (spots.y >= height / 2).astype(np.int64) * 2 + (spots.x >= width / 2)
    counts = np.bincount(spots.run * 4 + quarter, minlength=4 * len(sample.adu))
    relative = counts / counts.mean()
    low, high = (float(q) for q in np.quantile(relative, (0.05, 0.95)))
    return Spread(mean * min(low, 1.0), mean, mean * max(high, 1.0))
