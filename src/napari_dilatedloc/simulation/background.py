"""Smooth random maps: the background's level per movie and its structure over the field."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_dilatedloc.config import SimulationConfig
from napari_dilatedloc.simulation.distributions import uniform


def sample_background(
    config: SimulationConfig, movies: int, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Background photons per pixel, (movies, H, W), constant over a movie's frames.

    Each movie draws its level from ``config.bg`` and the strength of its structure between 0 and
    ``config.bg_structure``.
    """
    level = uniform(movies, config.bg, generator)[:, None, None]
    if config.bg_structure == 0:
        return level.expand(movies, *size).clone()
    strength = uniform(movies, (0.0, config.bg_structure), generator)[:, None, None]
    noise = smooth_noise(movies, size, config.bg_feature_px, config.bg_octaves, generator)
    return level * (1 + strength * noise)


def smooth_noise(
    movies: int,
    size: tuple[int, int],
    feature_px: float,
    octaves: int,
    generator: torch.Generator,
) -> Tensor:
    """Maps of smooth noise with features of a given size, whatever the size of the map.

    Value noise: random numbers on a lattice of random phase, between them interpolated with
    Perlin's fade curve (Perlin, Improving noise, 2002, doi:10.1145/566654.566636). Each octave
    halves lattice and weight.

    Parameters
    ----------
    movies, size
        How many maps of (height, width) px.
    feature_px : float
        Distance of lattice points in the first octave, px.
    octaves : int
        How many scales are added.
    generator : torch.Generator
        Source of randomness; its device is that of the result.

    Returns
    -------
    Tensor (movies, H, W)
        Between -1 and 1, 0 on average.
    """
    device = generator.device
    total = torch.zeros(movies, *size, device=device)
    for octave in range(octaves):
        spacing = feature_px / 2**octave
        rows, columns = (_weights(movies, length, spacing, generator) for length in size)
        lattice = (movies, rows.shape[2], columns.shape[2])
        values = torch.rand(lattice, generator=generator, device=device) * 2 - 1
        total += 0.5**octave * (rows @ values @ columns.transpose(1, 2))
    return total / sum(0.5**octave for octave in range(octaves))


def _weights(movies: int, length: int, spacing: float, generator: torch.Generator) -> Tensor:
    """Shares of the lattice points along one axis in each pixel, (movies, length, points)."""
    device = generator.device
    phase = torch.rand(movies, 1, 1, generator=generator, device=device)
    at = phase + torch.arange(length, device=device)[:, None] / spacing
    points = torch.arange(math.ceil((length - 1) / spacing) + 2, device=device)
    t = (at - points).abs().clamp(max=1)
    return 1 - t**3 * (t * (6 * t - 15) + 10)
