"""What travels with weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_dilatedloc.config.base import Config, Range
from napari_dilatedloc.config.camera import CameraConfig
from napari_dilatedloc.config.psf import PSFConfig
from napari_dilatedloc.config.simulation import SimulationConfig


class ScalingConfig(Config):
    """How photons and nm become numbers of order one, and back."""

    input_offset: float = Field(description="photons taken off each pixel")
    input_scale: float = Field(gt=0, description="photons that become 1 in the network's input")
    z_scale_nm: float = Field(gt=0, description="z that is 1 in the network's output, nm")
    z_centre_nm: float = Field(description="z that is 0 in the network's output, nm")
    photon_scale: float = Field(gt=0, description="photons that are 1 in the network's output")
    bg_scale: float = Field(gt=0, description="background that is 1 in the network's output")


class CalibrationConfig(Config):
    """What makes a network's positions, photons and error bars true on average.

    Each applies to what the network says: ``sigma_x`` is multiplied by the factor of that name
    and stretched by ``power_x``, photons are multiplied by ``photons``. They are fitted after
    training (`training.calibration`).
    """

    sigma_x: float = Field(1.0, gt=0, description="factor on the predicted error of x")
    sigma_y: float = Field(1.0, gt=0, description="factor on the predicted error of y")
    sigma_z: float = Field(1.0, gt=0, description="factor on the predicted error of z")
    sigma_photons: float = Field(1.0, gt=0, description="factor on the predicted photon error")
    power_x: float = Field(1.0, gt=0, description="power of the predicted error of x")
    power_y: float = Field(1.0, gt=0, description="power of the predicted error of y")
    power_z: float = Field(1.0, gt=0, description="power of the predicted error of z")
    photons: float = Field(1.0, gt=0, description="factor on the photons")
    pull_per_px2: float = Field(
        0.0,
        description="how strongly uncertain x and y are pulled to the middle of their pixel, per "
        "px^2 of squared predicted error; taken off",
    )
    ripple: float = Field(
        0.0, description="preference that recurs every half pixel, as a share of even; taken off"
    )


class ModelInfo(Config):
    """What travels with weights in a model file."""

    format_version: Literal[1] = 1
    network: str
    scaling: ScalingConfig
    camera: CameraConfig
    psf: PSFConfig
    simulation: SimulationConfig
    calibration: CalibrationConfig = Field(default_factory=lambda: CalibrationConfig())
    threshold: float = Field(0.5, gt=0, lt=1, description="detection probability by default")
    seed: int = 0
    steps: int = 0
    cpu_hours: float = Field(0.0, description="CPU time of training, start weights included")
    gpu_hours: float = Field(0.0, description="wall time of training on a GPU, likewise")
    versions: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    test_set: str = Field("", description="what the metrics were measured on")

    @property
    def pixel_size_nm(self) -> float:
        """Camera pixel the weights were trained for, nm."""
        return self.psf.pixel_size_nm

    @property
    def z_range_nm(self) -> Range:
        """Range of z the weights were trained for, nm."""
        return self.simulation.z_range_nm or self.psf.z_range_nm
