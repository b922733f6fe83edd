"""Blinking molecules over consecutive frames."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from napari_dilatedloc.config import Range, SimulationConfig
from napari_dilatedloc.simulation.background import smooth_noise
from napari_dilatedloc.simulation.distributions import draw_between, draw_on_times, uniform

CLUSTER_PX = 32.0
"""Distance of dense and empty regions where the density is uneven, px."""


@dataclass(frozen=True)
class EmitterBatch:
    """Emitters of a batch of movies: one entry per molecule per frame it shines in.

    Attributes
    ----------
    movie, frame, id : Tensor int64 (N,)
        Movie of the batch, frame of the movie, molecule (unique over the batch).
    y, x : Tensor (N,)
        Position in px; may lie outside the patch by the margin.
    z_nm, photons : Tensor (N,)
        Distance from focus, photons in this frame.
    """

    movie: Tensor
    frame: Tensor
    id: Tensor
    y: Tensor
    x: Tensor
    z_nm: Tensor
    photons: Tensor

    def select(self, mask: Tensor) -> EmitterBatch:
        """Entries picked by a mask or indices."""
        return EmitterBatch(**{f.name: getattr(self, f.name)[mask] for f in fields(self)})


def sample_emitters(
    config: SimulationConfig,
    *,
    movies: int,
    frames: int,
    size: tuple[int, int],
    margin: int,
    z_range_nm: Range,
    pixel_size_nm: float,
    generator: torch.Generator,
) -> EmitterBatch:
    """Molecules that switch on at random, shine for a random time and keep their place.

    `density_per_um2` counts molecules that shine during any part of a frame: molecules switching
    on at rate r per frame with mean on-time L give r (L + 1) of them, however on-times spread. A
    molecule that is on for part of a frame gives that part of its photons. The movie begins in
    the steady state: r L molecules are on already.

    Parameters
    ----------
    config : SimulationConfig
        Density, photons, lifetime and their distributions.
    movies, frames : int
        How many movies of how many frames.
    size : tuple of int
        (height, width) of the patch, px.
    margin : int
        Molecules also lie this far outside the patch, px.
    z_range_nm, pixel_size_nm
        Range of z, nm; camera pixel, nm.
    generator : torch.Generator
        Source of randomness; its device is that of the result.
    """
    whole = (size[0] + 2 * margin, size[1] + 2 * margin)
    area_um2 = whole[0] * whole[1] * (pixel_size_nm / 1000) ** 2
    density = draw_between(movies, config.density_per_um2, config.density_distribution, generator)
    weights = _density_map(config, movies, whole, generator)
    molecules = density * area_um2
    if weights is not None:
        molecules = molecules * weights.amax((1, 2))
    movie, start, end = _switch(config, molecules, frames, generator)
    n = len(movie)
    found = EmitterBatch(
        movie=movie,
        frame=torch.zeros_like(movie),
        id=torch.arange(n, device=generator.device),
        y=uniform(n, (-margin - 0.5, size[0] + margin - 0.5), generator),
        x=uniform(n, (-margin - 0.5, size[1] + margin - 0.5), generator),
        z_nm=uniform(n, z_range_nm, generator),
        photons=draw_between(n, config.photons, config.photon_distribution, generator),
    )
    if weights is not None:
        kept = _thin(found, weights, margin, generator)
        found, start, end = found.select(kept), start[kept], end[kept]
    return spread_over_frames(found, start, end, frames)


def _switch(
    config: SimulationConfig, molecules: Tensor, frames: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Movie of each molecule, and when it switches on and off, in frames.

    `molecules` (movies,) is how many shine in a frame on average. Those that are on when the movie
    begins come first.
    """
    life, kind = config.lifetime_frames, config.lifetime_distribution
    rate = molecules / (life + 1)
    old, new = _movies(rate * life, generator), _movies(rate * frames, generator)
    on_old = draw_on_times(len(old), life, kind, generator, already_on=True)
    on_new = draw_on_times(len(new), life, kind, generator)
    elapsed = on_old * uniform(len(old), (0.0, 1.0), generator)
    start = torch.cat([-elapsed, uniform(len(new), (0.0, frames), generator)])
    return torch.cat([old, new]), start, start + torch.cat([on_old, on_new])


def _movies(expected: Tensor, generator: torch.Generator) -> Tensor:
    """Movie of each of a random number of molecules, with the number expected in each movie."""
    counts = torch.poisson(expected, generator=generator).long()
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def _density_map(
    config: SimulationConfig, movies: int, whole: tuple[int, int], generator: torch.Generator
) -> Tensor | None:
    """Relative density in each pixel, (movies, H, W), 1 on average; None where it is even."""
    if config.density_contrast == 0:
        return None
    noise = smooth_noise(movies, whole, CLUSTER_PX, 1, generator)
    weights = 1 + config.density_contrast * noise
    return weights / weights.mean((1, 2), keepdim=True)


def _thin(
    molecules: EmitterBatch, weights: Tensor, margin: int, generator: torch.Generator
) -> Tensor:
    """Mask that keeps each molecule with the relative density where it is."""
    row = torch.round(molecules.y + margin).long().clamp(0, weights.shape[1] - 1)
    col = torch.round(molecules.x + margin).long().clamp(0, weights.shape[2] - 1)
    most = weights.amax((1, 2))[molecules.movie]
    chance = uniform(len(molecules.movie), (0.0, 1.0), generator)
    return chance * most < weights[molecules.movie, row, col]


def spread_over_frames(
    molecules: EmitterBatch, start: Tensor, end: Tensor, frames: int
) -> EmitterBatch:
    """One entry for each frame a molecule shines in, with its share of the photons.

    `start` and `end` (N,) say when it shines, in frames; its `photons` are those of a whole frame.
    """
    first = start.clamp(min=0).floor().long()
    last = end.clamp(max=frames).ceil().long()
    counts = (last - first).clamp(min=0)
    index = torch.arange(len(start), device=start.device)
    molecule = torch.repeat_interleave(index, counts)
    before = (counts.cumsum(0) - counts)[molecule]
    frame = first[molecule] + torch.arange(len(molecule), device=start.device) - before
    went_on = torch.maximum(start[molecule], frame.to(start.dtype))
    went_off = torch.minimum(end[molecule], frame + 1.0)
    emitters = molecules.select(molecule)
    return EmitterBatch(
        movie=emitters.movie,
        frame=frame,
        id=emitters.id,
        y=emitters.y,
        x=emitters.x,
        z_nm=emitters.z_nm,
        photons=emitters.photons * (went_off - went_on).clamp(0, 1),
    )
