"""How long, how fast and on how much: learning rate, patch and batch."""

from __future__ import annotations

import math

import torch

from napari_dilatedloc.config import TrainingConfig
from napari_dilatedloc.psf.base import PSF

SMALLEST_PATCH = 40  # px
LARGEST_PATCH = 128  # px
CONTAINED = 0.8  # of a molecule's light
STEP_PIXELS = 8 * 40 * 40  # of one frame of all patches; larger steps do not learn more an hour


def learning_rate(progress: float, step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine to zero at the end of the schedule."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def spot_diameter_px(psf: PSF) -> float:
    """Diameter of the circle with 80% of a molecule's light, where the spot is widest in z, px."""
    low, high = psf.config.z_range_nm
    z_nm = torch.linspace(low, high, 9)
    middle = torch.zeros_like(z_nm)
    rois = psf.rois(z_nm, middle, middle).double().clamp(min=0)
    side = rois.shape[-1]
    steps = torch.arange(side) - side // 2
    radius = (steps[:, None] ** 2 + steps**2).double().sqrt().flatten()
    order = torch.argsort(radius)
    inside = rois.flatten(1)[:, order].cumsum(1)
    reached = (inside < CONTAINED * inside[:, -1:]).sum(1).clamp(max=side * side - 1)
    return float(2 * radius[order][reached].max())


def patch_px(config: TrainingConfig, psf: PSF, multiple: int) -> int:
    """Side of a patch, a multiple of what the network asks for.

    Where none is stated it is twice the widest spot, so that most molecules are seen whole.
    """
    wanted = config.patch
    if wanted is None:
        wanted = math.ceil(min(max(2 * spot_diameter_px(psf), SMALLEST_PATCH), LARGEST_PATCH))
    return math.ceil(wanted / multiple) * multiple


def batch_size(config: TrainingConfig, patch: int) -> int:
    """Patches a step: as stated, or as many as hold the same number of pixels for any PSF."""
    return config.batch or max(2, round(STEP_PIXELS / patch**2))
