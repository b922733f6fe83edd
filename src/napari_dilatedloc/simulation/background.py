"""Background maps: a level per movie with a smooth, gentle variation over the field."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_dilatedloc.config import Range

ROUGHNESS = 0.2  # the field varies by up to this fraction of its level
KNOTS = 4  # over the side of a patch


def sample_background(
    bounds: Range, movies: int, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Background photons per pixel, (movies, H, W), constant over a movie's frames."""
    low, high = bounds
    device = generator.device
    level = low + (high - low) * torch.rand(movies, 1, 1, 1, generator=generator, device=device)
    knots = torch.rand(movies, 1, KNOTS, KNOTS, generator=generator, device=device) * 2 - 1
    strength = torch.rand(movies, 1, 1, 1, generator=generator, device=device) * ROUGHNESS
    field = F.interpolate(knots, size=size, mode="bicubic", align_corners=True)
    varied: Tensor = (level * (1 + strength * field)).clamp(min=0)
    return varied[:, 0]
