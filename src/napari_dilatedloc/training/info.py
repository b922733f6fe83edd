"""What a training run writes about itself into the model file."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from napari_dilatedloc import __version__
from napari_dilatedloc.config import ModelInfo, PSFConfig, TrainingConfig
from napari_dilatedloc.evaluation import Evaluation
from napari_dilatedloc.training.isolated import IsolatedAccuracy
from napari_dilatedloc.training.state import TrainingState


@dataclass(frozen=True)
class Measured:
    """Accuracy of the averaged weights, and their mean loss on the fixed batches."""

    evaluation: Evaluation
    isolated: IsolatedAccuracy
    loss: float


def trained_info(
    config: TrainingConfig, psf: PSFConfig, state: TrainingState, measured: Measured
) -> ModelInfo:
    """Header of the model file of a run that stands where `state` does."""
    figures = {
        name: float(getattr(measured.evaluation, name))
        for name in ("jaccard", "rmse_lateral_nm", "rmse_axial_nm", "efficiency_3d")
    } | {
        "rmse_over_crlb_lateral": measured.isolated.rmse_over_crlb_lateral,
        "rmse_over_crlb_axial": measured.isolated.rmse_over_crlb_axial,
    }
    return ModelInfo(
        network=config.network,
        scaling=state.scaling,
        camera=config.camera,
        psf=psf,
        simulation=config.simulation,
        seed=config.seed,
        steps=state.step,
        cpu_hours=state.cpu_seconds / 3600,
        gpu_hours=state.gpu_seconds / 3600,
        versions={
            "napari-dilatedloc": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        metrics={name: value for name, value in figures.items() if math.isfinite(value)},
        test_set="validation set of the training",
    )
