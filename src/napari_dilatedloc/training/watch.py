"""The fixed sets a run is watched with."""

from __future__ import annotations

from torch import nn

from napari_dilatedloc.config import ModelInfo, ScalingConfig, TrainingConfig
from napari_dilatedloc.evaluation import Evaluation
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.training.isolated import (
    IsolatedAccuracy,
    make_isolated_set,
    measure_isolated,
)
from napari_dilatedloc.training.validation import make_validation_set, validate

SIZE = 64  # px
SEED = 20241004


class Watch:
    """A validation set over the training ranges, and isolated molecules in the middle of them.

    Parameters
    ----------
    simulator : Simulator
        That of the training.
    config : TrainingConfig
        Sizes of the sets.
    window : int
        Frames the network sees at once.
    """

    def __init__(self, simulator: Simulator, config: TrainingConfig, window: int) -> None:
        self._camera, self._simulation = simulator.camera, config.simulation
        self._pixel_size_nm = simulator.psf.config.pixel_size_nm
        self._validation = make_validation_set(
            simulator, frames=config.validation_frames, size=SIZE, window=window, seed=SEED
        )
        self._isolated = make_isolated_set(
            simulator.psf,
            self._camera,
            photons=sum(config.simulation.photons) / 2,
            bg=sum(config.simulation.bg) / 2,
            z_range_nm=simulator.z_range_nm,
            per_plane=config.validation_per_plane,
            window=window,
            seed=SEED,
        )

    def measure(
        self, network: nn.Module, scaling: ScalingConfig
    ) -> tuple[Evaluation, IsolatedAccuracy]:
        """Accuracy of a network on both."""
        threshold = ModelInfo.model_fields["threshold"].default
        evaluation = validate(
            network,
            self._validation,
            camera=self._camera,
            scaling=scaling,
            pixel_size_nm=self._pixel_size_nm,
            threshold=threshold,
            min_photons=max(self._simulation.min_photons, self._simulation.photons[1] / 10),
        )
        isolated = measure_isolated(
            network, self._isolated, camera=self._camera, scaling=scaling, threshold=threshold
        )
        return evaluation, isolated
