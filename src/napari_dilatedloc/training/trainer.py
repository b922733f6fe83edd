"""Training as a generator of steps."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from napari_dilatedloc import __version__
from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import ModelInfo, TrainingConfig
from napari_dilatedloc.evaluation import Evaluation
from napari_dilatedloc.inference.device import autocast_for, choose_device, fast_bfloat16
from napari_dilatedloc.network.checkpoint import Model, save_model
from napari_dilatedloc.network.output import activate, normalize, scaling_for
from napari_dilatedloc.network.registry import as_network, build_network
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.training.loss import loss_terms
from napari_dilatedloc.training.state import (
    TrainingState,
    load_state,
    new_state,
    save_state,
    update_average,
)
from napari_dilatedloc.training.targets import make_targets
from napari_dilatedloc.training.validation import ValidationSet, make_validation_set, validate

logger = logging.getLogger(__name__)

VALIDATION_SIZE = 64  # px
VALIDATION_SEED = 20241004
MAX_BAD_STEPS = 20


class TrainingError(RuntimeError):
    """A run that cannot go on; the message is one sentence."""


@dataclass(frozen=True)
class TrainingStep:
    """What one step reports.

    Attributes
    ----------
    step : int
        Steps done.
    progress : float
        Share of the schedule done, 0-1.
    seconds, eta_s : float
        Time spent and time left.
    learning_rate : float
        Of this step.
    losses : dict of float
        Loss terms of this step.
    evaluation : Evaluation, optional
        Accuracy on the fixed validation set, at the steps that validate.
    is_best : bool
        Whether this evaluation is the best so far (the model file was written).
    """

    step: int
    progress: float
    seconds: float
    eta_s: float
    learning_rate: float
    losses: dict[str, float]
    evaluation: Evaluation | None = None
    is_best: bool = False


def checkpoint_path(out: Path) -> Path:
    """Where a run that writes the model file `out` keeps its state."""
    return out.with_suffix(".checkpoint.safetensors")


def train(
    config: TrainingConfig,
    psf: PSF,
    out: Path,
    *,
    resume: bool = False,
    init: Model | None = None,
    stop: threading.Event | None = None,
) -> Iterator[TrainingStep]:
    """Train a network on simulated movies.

    Writes the model file `out` at every best validation and the state beside it, so that a run
    that was killed goes on from the last validation with `resume`.

    Parameters
    ----------
    config : TrainingConfig
        All settings.
    psf : PSF
        Spots to simulate.
    out : Path
        Model file to write.
    resume : bool
        Go on from the state beside `out`.
    init : Model, optional
        Weights to start from (fine-tuning); network and scaling are taken from it.
    stop : threading.Event, optional
        Set it to end after the current step; the best model so far is kept.

    Yields
    ------
    TrainingStep

    Raises
    ------
    FileExistsError
        If `out` exists and `resume` is not asked for: hours of training are not overwritten.
    CheckpointError
        If there is nothing to resume, or it was begun with other settings.
    """
    if out.exists() and not resume:
        raise FileExistsError(f"{out} is there already; resume, or give another name or remove it")
    run = _Run(config, psf, out, init)
    if resume:
        load_state(checkpoint_path(out), run.state, run.config)
    while run.progress() < 1 and not (stop is not None and stop.is_set()):
        yield run.advance()


class _Run:
    """The parts of a run and how they move together."""

    def __init__(self, config: TrainingConfig, psf: PSF, out: Path, init: Model | None) -> None:
        if init:
            config = config.replace(network=init.info.network)
        self.config, self.psf, self.out = config, psf, out
        self.device = choose_device(config.device)
        network = _start_network(config.network, config.seed)
        self.window = as_network(network).window
        if config.frames < self.window:
            raise ValueError(
                f"frames must be at least the {self.window} that {config.network} sees at once, "
                f"got {config.frames}; use {self.window + 2}"
            )
        if init:
            network.load_state_dict(init.network.state_dict())
        network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.camera = build_camera(config.camera)
        self.simulator = Simulator(psf, self.camera, config.simulation)
        scaling = (
            init.info.scaling if init else scaling_for(config.simulation, self.simulator.z_range_nm)
        )
        self.state: TrainingState = new_state(network.train(), config, scaling)
        self.bad_steps = 0
        self.validation: ValidationSet = make_validation_set(
            self.simulator,
            frames=config.validation_frames,
            size=VALIDATION_SIZE,
            window=self.window,
            seed=VALIDATION_SEED,
        )

    def progress(self) -> float:
        """Share of the schedule that is done."""
        if self.config.minutes is not None:
            return self.state.seconds / (60 * self.config.minutes)
        return self.state.step / self.config.steps

    def advance(self) -> TrainingStep:
        """One optimizer step, with validation and checkpoint when due."""
        wall, cpu = time.perf_counter(), time.process_time()
        rate = learning_rate(self.progress(), self.state.step, self.config)
        losses = self._optimize(rate)
        update_average(self.state, self.config.average)
        self.state.step += 1
        self._clock(wall, cpu)
        done = self.progress() >= 1
        evaluation, is_best = None, False
        if done or self.state.step % self.config.validate_every == 0:
            wall, cpu = time.perf_counter(), time.process_time()
            evaluation, is_best = self._validate()
            self._clock(wall, cpu)
            save_state(checkpoint_path(self.out), self.state, self.config)
        progress = min(self.progress(), 1.0)
        return TrainingStep(
            step=self.state.step,
            progress=progress,
            seconds=self.state.seconds,
            eta_s=self.state.seconds * (1 - progress) / max(progress, 1e-9),
            learning_rate=rate,
            losses=losses,
            evaluation=evaluation,
            is_best=is_best,
        )

    def _clock(self, wall: float, cpu: float) -> None:
        self.state.seconds += time.perf_counter() - wall
        self.state.cpu_seconds += time.process_time() - cpu

    def _optimize(self, rate: float) -> dict[str, float]:
        terms = self._losses()
        loss = torch.stack(list(terms.values())).sum()
        optimizer, network = self.state.optimizer, self.state.network
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), self.config.clip)
        if bool(torch.isfinite(norm)):
            self.bad_steps = 0
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        else:
            self._count_bad_step()
        return {name: float(value.detach()) for name, value in terms.items()}

    def _losses(self) -> dict[str, Tensor]:
        config, multiple = self.config, as_network(self.state.network).multiple
        side = math.ceil(config.patch / multiple) * multiple
        with torch.no_grad():
            batch = self.simulator.draw(
                config.batch, config.frames, (side, side), self.state.generator
            )
            targets = make_targets(batch, self.window, config.simulation.min_photons)
            frames = normalize(self.camera.to_photons(batch.adu), self.state.scaling).to(
                self.device
            )
        wants = config.precision == "bfloat16" or (
            config.precision == "auto" and fast_bfloat16(self.device)
        )
        with autocast_for(self.device, "bfloat16" if wants else "float32"):
            raw = self.state.network(frames).flatten(0, 1)
        channels = as_network(self.state.network).channels
        prediction = activate(raw, channels, self.state.scaling)
        return loss_terms(prediction, targets.to(self.device), self.state.scaling.bg_scale)

    def _count_bad_step(self) -> None:
        self.bad_steps += 1
        logger.warning("step %d skipped: the gradient is not finite", self.state.step)
        if self.bad_steps >= MAX_BAD_STEPS:
            raise TrainingError(
                f"the gradient was not finite in {MAX_BAD_STEPS} steps in a row; lower the "
                "learning rate and resume"
            )

    def _validate(self) -> tuple[Evaluation, bool]:
        config = self.config
        evaluation = validate(
            self.state.average,
            self.validation,
            camera=self.camera,
            scaling=self.state.scaling,
            pixel_size_nm=self.psf.config.pixel_size_nm,
            threshold=ModelInfo.model_fields["threshold"].default,
            min_photons=max(config.simulation.min_photons, config.simulation.photons[1] / 10),
        )
        score = evaluation.efficiency_3d
        is_best = math.isfinite(score) and score > self.state.best
        if is_best:
            self.state.best = score
        if is_best or not self.out.exists():
            save_model(self.out, self.state.average, self._info(evaluation), self.psf.tensors())
        return evaluation, is_best

    def _info(self, evaluation: Evaluation) -> ModelInfo:
        return ModelInfo(
            network=self.config.network,
            scaling=self.state.scaling,
            camera=self.config.camera,
            psf=self.psf.config,
            simulation=self.config.simulation,
            seed=self.config.seed,
            steps=self.state.step,
            cpu_hours=self.state.cpu_seconds / 3600,
            versions={
                "napari-dilatedloc": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            metrics={
                name: float(getattr(evaluation, name))
                for name in ("jaccard", "rmse_lateral_nm", "rmse_axial_nm", "efficiency_3d")
                if math.isfinite(getattr(evaluation, name))
            },
        )


def _start_network(name: str, seed: int) -> nn.Module:
    """Untrained network with the weights of a seed; the global generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # layers draw their weights from the global generator
        return build_network(name)


def learning_rate(progress: float, step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine to zero at the end of the schedule."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
