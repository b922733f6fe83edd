"""Movies to measure with: simulated frames of a model's own test, repeated to any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.training.accuracy import model_psf, standard_test

DISTINCT_FRAMES = 100
"""Frames that are simulated; longer movies repeat them."""


def simulated_frames(model: Model, size: int, seed: int = 0) -> NDArray[np.uint16]:
    """Blinking molecules as in the model's standard test, (100, size, size) ADU."""
    camera = build_camera(model.info.camera).typical
    simulator = Simulator(model_psf(model), camera, standard_test(model.info).simulation)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        adu = simulator.draw(1, DISTINCT_FRAMES, (size, size), generator).adu[0]
    return adu.round().clamp(0, 2**16 - 1).numpy().astype(np.uint16)


def write_movie(path: Path, frames: NDArray[np.uint16], count: int) -> None:
    """Uncompressed TIFF of `count` frames, piece by piece."""
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for start in range(0, count, len(frames)):
            file.write(frames[: count - start], contiguous=True, photometric="minisblack")
