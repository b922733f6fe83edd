"""A made-up specimen for demonstrations: labelled filaments that wind through the focus."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import CameraConfig, Range
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.simulation.distributions import uniform
from napari_dilatedloc.simulation.emitters import EmitterBatch, spread_over_frames
from napari_dilatedloc.simulation.simulator import film, to_table
from napari_dilatedloc.table import Emitters

FILAMENTS = 6
WOBBLE_NM = 8.0  # distance of labels from their filament, standard deviation
BLINKS_PER_FRAME = 2.5
LIFETIME_FRAMES = 2.0
PHOTONS: Range = (2000.0, 8000.0)
BG = 40.0


def simulate_structure(
    psf: PSF, camera: CameraConfig, *, frames: int, size: tuple[int, int], seed: int
) -> tuple[NDArray[np.uint16], Emitters]:
    """Movie (T, Y, X) of blinking filaments and its truth.

    Each blink takes a random place on a random filament, a mean on-time of 2 frames and
    2000-8000 photons a frame over a background of 40 photons a pixel.
    """
    generator = torch.Generator().manual_seed(seed)
    n = round(BLINKS_PER_FRAME * frames)
    low, high = psf.config.z_range_nm
    y, x, z = _on_filaments(n, size, 0.4 * (high - low), psf.config.pixel_size_nm, generator)
    start = uniform(n, (-1.0, float(frames)), generator)
    on_time = torch.empty(n).exponential_(1 / LIFETIME_FRAMES, generator=generator)
    blinks = EmitterBatch(
        movie=torch.zeros(n, dtype=torch.long),
        frame=torch.zeros(n, dtype=torch.long),
        id=torch.arange(n),
        y=y,
        x=x,
        z_nm=z + (low + high) / 2,
        photons=uniform(n, PHOTONS, generator),
    )
    emitters = spread_over_frames(blinks, start, start + on_time, frames)
    bg = torch.full(size, BG)
    movie = film(psf, build_camera(camera), emitters, bg, frames, generator)
    return movie, to_table(emitters, size)


def _on_filaments(
    n: int, size: tuple[int, int], z_half_nm: float, pixel_size_nm: float, g: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Random places (y, x px, z nm about 0) on gently waving filaments across the field."""
    height, width = size
    which = torch.randint(FILAMENTS, (n,), generator=g)
    along = uniform(n, (0.06, 0.94), g)
    offset = torch.linspace(0.14, 0.86, FILAMENTS)[which]
    phase = uniform(FILAMENTS, (0.0, 2 * math.pi), g)[which]
    slope = uniform(FILAMENTS, (-0.25, 0.25), g)[which]
    wave = 0.05 * torch.sin(2 * math.pi * along + phase)
    wobble = torch.randn(3, n, generator=g) * WOBBLE_NM
    y = (offset + slope * (along - 0.5) + wave) * height + wobble[0] / pixel_size_nm
    x = along * width + wobble[1] / pixel_size_nm
    z = z_half_nm * torch.sin(2 * math.pi * along + 2 * phase) + wobble[2]
    return y, x, z
