"""A training and a localization run."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from napari_dilatedloc.config.base import Config
from napari_dilatedloc.config.camera import CameraConfig, SCMOSConfig
from napari_dilatedloc.config.simulation import SimulationConfig


class TrainingConfig(Config):
    """One training run: what is simulated, which network learns it and for how long."""

    network: str = Field("dilatedloc", description="registry name of the network")
    camera: CameraConfig = Field(default_factory=lambda: SCMOSConfig())
    simulation: SimulationConfig = Field(default_factory=lambda: SimulationConfig())
    batch: int | None = Field(
        None, ge=1, description="patches a step; default: as many as fill it for this patch"
    )
    patch: int | None = Field(
        None, ge=16, description="side of a patch, px; default: twice the widest spot"
    )
    frames: int = Field(5, ge=1, description="consecutive frames a patch")
    steps: int = Field(10000, ge=1, description="length of the schedule, steps")
    minutes: float | None = Field(None, gt=0, description="length in minutes instead of steps")
    optimizer: Literal["adamw", "muon"] = Field("muon", description="muon: AdamW for the rest")
    learning_rate: float = Field(3e-3, gt=0, description="peak learning rate")
    warmup_steps: int = Field(200, ge=0, description="steps until the peak learning rate")
    weight_decay: float = Field(0.01, ge=0, description="AdamW weight decay")
    clip: float = Field(5.0, gt=0, description="largest gradient norm")
    freeze_norms_at: float = Field(
        0.5, ge=0, le=1, description="share of the run after which batch-norm statistics stay"
    )
    average: float = Field(0.998, ge=0, lt=1, description="decay of the weight average")
    validate_every: int = Field(500, ge=1, description="steps between validations")
    validation_frames: int = Field(300, ge=1, description="frames of the fixed validation set")
    validation_per_plane: int = Field(40, ge=1, description="isolated molecules a z plane")
    test_emitters: int = Field(
        6000, ge=10, description="emitters of the test that ends a run, and of its calibration"
    )
    patience: int | None = Field(
        None, ge=1, description="end after so many validations without a better one"
    )
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    seed: int = 1

    def for_fine_tuning(self) -> Self:
        """Short where nothing else was stated: the weights are good already."""
        stated = self.model_fields_set
        length = {"steps", "minutes"} & stated
        short = {
            name: value
            for name, value in FINE_TUNING.items()
            if name not in stated and not (name == "minutes" and length)
        }
        return self.model_copy(update=short)


FINE_TUNING: dict[str, Any] = {"minutes": 7.0, "warmup_steps": 50, "freeze_norms_at": 0.0}
"""Defaults that differ when training starts from weights: a quarter of a CPU hour on two cores."""


class LocalizeConfig(Config):
    """One localization run."""

    threshold: float | None = Field(
        None, gt=0, lt=1, description="smallest detection probability; default: the model's"
    )
    frames: tuple[int, int] | None = Field(None, description="frames A:B, half-open, from 0")
    roi: tuple[int, int, int, int] | None = Field(None, description="y0, x0, y1, x1 in px")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    block_frames: int | None = Field(
        None, ge=1, description="frames read at a time; default: 64, on a GPU 256"
    )
    batch_frames: int | None = Field(
        None, ge=1, description="frames the network sees at a time; default: found by itself"
    )
    engine: Literal["auto", "exact", "torch", "compiled", "openvino"] = Field(
        "auto",
        description="how the network runs; exact: layer by layer in float32, auto: the fastest "
        "that agrees with it",
    )
    tile_size: int | None = Field(
        None,
        ge=64,
        description="largest side of a tile without halo, px; default: as large as memory allows",
    )
    prefetch_blocks: int = Field(3, ge=2, description="buffers between reader and network")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="bfloat16 only takes effect on devices that are fast at it"
    )
