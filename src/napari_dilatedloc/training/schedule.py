"""How long, how fast and on how much: learning rate, patch and batch."""

from __future__ import annotations

import math

from napari_dilatedloc.config import TrainingConfig
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.extent import spot_diameter_px

SMALLEST_PATCH = 40  # px
LARGEST_PATCH = 128  # px
STEP_PIXELS = 8 * 40 * 40  # of one frame of all patches; larger steps do not learn more an hour
CUDA_STEPS = 16  # times as many on a CUDA card, where smaller steps take as long


def learning_rate(progress: float, step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine to zero at the end of the schedule."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def patch_px(config: TrainingConfig, psf: PSF, multiple: int) -> int:
    """Side of a patch, a multiple of what the network asks for.

    Where none is stated it is twice the widest spot, so that most molecules are seen whole.
    """
    wanted = config.patch
    if wanted is None:
        wanted = math.ceil(min(max(2 * spot_diameter_px(psf), SMALLEST_PATCH), LARGEST_PATCH))
    return math.ceil(wanted / multiple) * multiple


def batch_size(config: TrainingConfig, patch: int, device: str = "cpu") -> int:
    """Patches a step: as stated, or as many as hold the same number of pixels for any PSF."""
    pixels = STEP_PIXELS * (CUDA_STEPS if device == "cuda" else 1)
    return config.batch or max(2, round(pixels / patch**2))
