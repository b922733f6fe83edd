"""Blinking molecules over consecutive frames."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from napari_dilatedloc.config import Range, SimulationConfig

LEAD_LIFETIMES = 5.0  # molecules that switched on earlier have gone out (but exp(-5))


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


def uniform(n: int, bounds: Range, generator: torch.Generator) -> Tensor:
    """`n` numbers drawn evenly between two bounds, on the generator's device."""
    low, high = bounds
    drawn = torch.rand(n, generator=generator, device=generator.device)
    return low + (high - low) * drawn


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
    """Molecules that switch on at random, shine for an exponential time and keep their place.

    `density_per_um2` counts molecules that shine during any part of a frame: molecules switching
    on at rate r per frame with mean on-time L give r (L + 1) of them. A molecule that is on for
    part of a frame gives that part of its photons.

    Parameters
    ----------
    config : SimulationConfig
        Density, photons, lifetime.
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
    height, width = size
    life = config.lifetime_frames
    lead = LEAD_LIFETIMES * life + 1
    area_um2 = (height + 2 * margin) * (width + 2 * margin) * (pixel_size_nm / 1000) ** 2
    density = uniform(movies, config.density_per_um2, generator)
    expected = density * area_um2 / (life + 1) * (frames + lead)
    counts = torch.poisson(expected, generator=generator).long()
    n = int(counts.sum())
    movie = torch.repeat_interleave(torch.arange(movies, device=generator.device), counts)
    start = uniform(n, (-lead, float(frames)), generator)
    on_time = torch.empty(n, device=generator.device).exponential_(1 / life, generator=generator)
    return spread_over_frames(
        EmitterBatch(
            movie=movie,
            frame=torch.zeros_like(movie),
            id=torch.arange(n, device=generator.device),
            y=uniform(n, (-margin - 0.5, height + margin - 0.5), generator),
            x=uniform(n, (-margin - 0.5, width + margin - 0.5), generator),
            z_nm=uniform(n, z_range_nm, generator),
            photons=uniform(n, config.photons, generator),
        ),
        start,
        start + on_time,
        frames,
    )


def spread_over_frames(
    molecules: EmitterBatch, start: Tensor, end: Tensor, frames: int
) -> EmitterBatch:
    """One entry for each frame a molecule shines in, with its share of the photons.

    `start` and `end` (N,) say when it shines, in frames; its `photons` are those of a whole frame.
    """
    frame = torch.arange(frames, device=start.device)
    overlap = torch.minimum(end[:, None], frame + 1.0) - torch.maximum(start[:, None], frame + 0.0)
    share = overlap.clamp(0, 1)  # (molecules, frames)
    molecule, shining = torch.nonzero(share > 0, as_tuple=True)
    emitters = molecules.select(molecule)
    return EmitterBatch(
        movie=emitters.movie,
        frame=shining,
        id=emitters.id,
        y=emitters.y,
        x=emitters.x,
        z_nm=emitters.z_nm,
        photons=emitters.photons * share[molecule, shining],
    )
