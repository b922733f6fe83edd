"""Training as a generator of steps."""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import TrainingConfig
from napari_dilatedloc.inference.device import (
    Precision,
    autocast_for,
    choose_device,
    fast_bfloat16,
)
from napari_dilatedloc.network.checkpoint import Model, save_model
from napari_dilatedloc.network.output import activate, scaling_for
from napari_dilatedloc.network.registry import as_network
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.training.batches import BatchMaker, TrainingBatch, batches
from napari_dilatedloc.training.finish import finish_model
from napari_dilatedloc.training.guard import Guard
from napari_dilatedloc.training.info import Measured, trained_info
from napari_dilatedloc.training.loss import loss_terms
from napari_dilatedloc.training.norms import hold_statistics, measure_statistics
from napari_dilatedloc.training.pause import Pause
from napari_dilatedloc.training.places import check_model_path, checkpoint_path
from napari_dilatedloc.training.schedule import batch_size, learning_rate, patch_px
from napari_dilatedloc.training.start import adapted, fresh_network
from napari_dilatedloc.training.state import (
    TrainingState,
    from_tensors,
    load_state,
    new_state,
    save_state,
    to_tensors,
    update_average,
)
from napari_dilatedloc.training.step import TrainingStep
from napari_dilatedloc.training.watch import Watch

logger = logging.getLogger(__name__)

MAX_ROLLBACKS = 5
SIMULATING = ("cpu", "cuda")
"""Devices that draw all random numbers a simulation needs; for others a thread on the CPU does."""
FIXED_SEED, FIXED_BATCHES = 20241005, 24
"""Of the batches whose loss says which weights are kept."""


class _Stopped(Exception):
    """The caller asked for an end while the model was tested."""


class TrainingError(RuntimeError):
    """A run that cannot go on; the message is one sentence."""


def train(
    config: TrainingConfig,
    psf: PSF,
    out: Path,
    *,
    resume: bool = False,
    init: Model | None = None,
    stop: threading.Event | None = None,
    pause: Pause | None = None,
) -> Generator[TrainingStep, None, None]:
    """Train a network on simulated movies.

    Writes the model file `out` whenever the loss on fixed batches is the lowest so far, and the
    state beside it at every validation, so that a run that was killed goes on from the last one
    with `resume`, and one that was stopped or closed from its last step. A run that diverges goes
    back to its last validation and on with half the learning rate. A run that comes to its end
    calibrates the best model and tests it (`finish.finish_model`); one that is stopped does not.

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
        Weights to start from (fine-tuning); network and scaling are taken from it. The first
        step reported is then number 0, with the accuracy of these weights on the new data.
    stop : threading.Event, optional
        Set it to end after the current step; the best model so far is kept.
    pause : Pause, optional
        While it is set the run waits; that time does not count. `stop` ends a pause too.

    Yields
    ------
    TrainingStep

    Raises
    ------
    FileExistsError
        If `out` exists and `resume` is not asked for: hours of training are not overwritten.
    ModelFileError
        If no model can be written there.
    CheckpointError
        If there is nothing to resume, or it was begun with other settings or another PSF.
    TrainingError
        If it diverges again and again.
    """
    if out.exists() and not resume:
        raise FileExistsError(f"{out} is there already; resume, or give another name or remove it")
    check_model_path(out)
    run = _Run(config, psf, out, init)
    if resume:
        run.resume()
    elif init is not None:
        yield run.look()
    stop = stop or threading.Event()
    with batches(run.maker, run.state.generator, ahead=run.simulates_apart) as feed:
        while run.progress() < 1 and not run.exhausted() and _go_on(stop, pause):
            step = run.advance(feed)
            try:
                yield step
            except GeneratorExit:  # the caller goes away between two steps
                run.save()
                raise
    if stop.is_set():
        run.save()
    elif out.exists():
        yield run.finish(stop)


def _go_on(stop: threading.Event, pause: Pause | None) -> bool:
    """Whether the run goes on, told when a pause is over."""
    if pause is not None and pause.is_set():
        pause.wait_until_resumed(stop)
    return not stop.is_set()


class _Run:
    """The parts of a run and how they move together."""

    def __init__(self, config: TrainingConfig, psf: PSF, out: Path, init: Model | None) -> None:
        if init:
            config = config.replace(network=init.info.network)
        self.config, self.psf, self.out = config, psf, out
        self.device = choose_device(config.device)
        self.simulates_apart = self.device.type not in SIMULATING
        where = "cpu" if self.simulates_apart else self.device
        self.camera = build_camera(config.camera, device=where)
        self.simulator = Simulator(psf, self.camera, config.simulation)
        self.state = self._start(init)
        if init:  # the time of the weights it begins with belongs to the result
            self.state.cpu_seconds = 3600 * init.info.cpu_hours
            self.state.gpu_seconds = 3600 * init.info.gpu_hours
        network = as_network(self.state.network)
        if config.frames < network.window:
            raise ValueError(
                f"frames must be at least the {network.window} that {config.network} sees at "
                f"once, got {config.frames}; use {network.window + 2}"
            )
        self.guard, self.snapshot, self.rollbacks = Guard(), to_tensors(self.state), 0
        self.precision: Precision = "float32"
        if config.precision != "float32" and (
            config.precision == "bfloat16" or fast_bfloat16(self.device)
        ):
            self.precision = "bfloat16"
        side = patch_px(config, psf, network.multiple)
        self.maker = BatchMaker(
            self.simulator,
            self.state.scaling,
            movies=batch_size(config, side, self.device.type),
            frames=config.frames,
            side=side,
            window=network.window,
        )
        self.watch = Watch(self.simulator, config, network.window)

    def _start(self, init: Model | None) -> TrainingState:
        config, z_range_nm = self.config, self.simulator.z_range_nm
        if init:
            network, scaling = adapted(init.network, init.info.scaling, z_range_nm)
            network.requires_grad_(True)
        else:
            network = fresh_network(config.network, config.seed)
            scaling = scaling_for(config.simulation, z_range_nm)
        network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return new_state(network.train(), config, scaling)

    def resume(self) -> None:
        """Go on from the checkpoint beside the model file."""
        load_state(checkpoint_path(self.out), self.state, self.config, self.psf)
        self.maker = replace(self.maker, scaling=self.state.scaling)
        self.snapshot = to_tensors(self.state)
        if self.state.norms_frozen:
            hold_statistics(self.state.network)

    def save(self) -> None:
        """Write the state, unless it is that of the beginning."""
        if self.state.step > 0:
            save_state(checkpoint_path(self.out), self.state, self.config, self.psf)

    def progress(self) -> float:
        """Share of the schedule that is done."""
        if self.config.minutes is not None:
            return self.state.seconds / (60 * self.config.minutes)
        return self.state.step / self.config.steps

    def exhausted(self) -> bool:
        """Whether the run has waited long enough for a better validation."""
        patience = self.config.patience
        return patience is not None and self.state.stale >= patience

    def look(self) -> TrainingStep:
        """Accuracy of the weights a fine-tuning starts from."""
        return self._report({}, self._measure())

    def advance(self, feed: Iterator[TrainingBatch]) -> TrainingStep:
        """One optimizer step, with validation and checkpoint when due."""
        wall, cpu = time.perf_counter(), time.process_time()
        batch = next(feed)
        if not self.state.norms_frozen and self.progress() >= self.config.freeze_norms_at:
            self._freeze_norms()
        losses, diverged = self._optimize(batch)
        self.state.generator.set_state(batch.generator_state)
        self.state.step += 1
        note = self._roll_back() if diverged else ""
        self._clock(wall, cpu)
        due = self.state.step % self.config.validate_every == 0
        if diverged or not (due or self.progress() >= 1):
            return self._report(losses, note=note)
        measured = self._measure()
        is_best = self._keep(measured)
        if self.exhausted():
            note = f"no better validation in {self.state.stale} of them: the run ends early"
        return self._report(losses, measured, is_best=is_best, note=note)

    def finish(self, stop: threading.Event) -> TrainingStep:
        """Calibrate and test the kept model; leaves it as it is if asked to stop meanwhile."""

        def look(what: str, share: float) -> None:
            if stop.is_set():
                raise _Stopped

        try:
            judged = finish_model(
                self.out,
                emitters=self.config.test_emitters,
                per_plane=self.config.validation_per_plane,
                device=str(self.device),
                progress=look,
            )
        except _Stopped:
            return self._report({}, note="stopped before the model was calibrated")
        return replace(self._report({}), final=judged.accuracy)

    def _report(
        self,
        losses: dict[str, float],
        measured: Measured | None = None,
        *,
        is_best: bool = False,
        note: str = "",
    ) -> TrainingStep:
        progress, state = min(self.progress(), 1.0), self.state
        return TrainingStep(
            step=state.step,
            progress=progress,
            seconds=state.seconds,
            eta_s=state.seconds * (1 - progress) / max(progress, 1e-9),
            learning_rate=self._rate(),
            losses=losses,
            evaluation=measured.evaluation if measured else None,
            isolated=measured.isolated if measured else None,
            validation_loss=measured.loss if measured else math.nan,
            is_best=is_best,
            note=note,
        )

    def _clock(self, wall: float, cpu: float) -> None:
        seconds = time.perf_counter() - wall
        self.state.seconds += seconds
        self.state.gpu_seconds += seconds if self.device.type != "cpu" else 0.0
        self.state.cpu_seconds += time.process_time() - cpu

    def _rate(self) -> float:
        rate = learning_rate(self.progress(), self.state.step, self.config)
        return rate * self.state.rate_factor

    def _optimize(self, batch: TrainingBatch) -> tuple[dict[str, float], bool]:
        network = self.state.network
        terms = self._losses(network, batch)
        each = torch.stack(list(terms.values()))
        network.zero_grad(set_to_none=True)
        each.sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), self.config.clip)
        finite = bool(torch.isfinite(norm))
        if finite:  # else this step is left out
            rate = self._rate()
            for optimizer in self.state.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
            update_average(self.state, self.config.average)
        losses = dict(zip(terms, each.tolist(), strict=True))
        return losses, self.guard.diverged(sum(losses.values()), finite)

    def _losses(self, network: nn.Module, batch: TrainingBatch) -> dict[str, Tensor]:
        scaling = self.state.scaling
        with autocast_for(self.device, self.precision):
            raw = network(batch.frames.to(self.device)).flatten(0, 1)
        prediction = activate(raw, as_network(network).channels, scaling)
        return loss_terms(prediction, batch.targets.to(self.device), scaling.bg_scale)

    def _freeze_norms(self) -> None:
        """From now on normalize by statistics of fresh batches, not of the one at hand."""
        network = self.state.network
        measure_statistics(network, lambda source: self._losses(network, self.maker.draw(source)))
        hold_statistics(network)
        self.state.norms_frozen = True

    def _roll_back(self) -> str:
        self.rollbacks += 1
        if self.rollbacks > MAX_ROLLBACKS:
            raise TrainingError(
                f"the run diverged {self.rollbacks} times; train with a lower learning rate or "
                "narrower ranges, and check that PSF and camera fit"
            )
        state, step = self.state, self.state.step
        generator = state.generator.get_state()  # new data, not those it diverged on
        from_tensors(state, self.snapshot)
        state.generator.set_state(generator)
        state.rate_factor /= 2
        state.norms_frozen = False  # measured anew for the weights of then
        self.guard = Guard()
        note = f"step {step}: diverged; back to the last validation with half the learning rate"
        logger.warning(note)
        return note

    @functools.cached_property
    def fixed(self) -> list[TrainingBatch]:
        """Batches whose loss is compared; chance moves it less than scores of a few frames."""
        generator = torch.Generator().manual_seed(FIXED_SEED)
        return [self.maker.draw(generator) for _ in range(FIXED_BATCHES)]

    def _measure(self) -> Measured:
        wall, cpu = time.perf_counter(), time.process_time()
        average = self.state.average
        with torch.inference_mode():
            terms = [self._losses(average, batch) for batch in self.fixed]
        loss = sum(float(value) for one in terms for value in one.values()) / len(terms)
        measured = Measured(*self.watch.measure(average, self.state.scaling), loss)
        self._clock(wall, cpu)
        return measured

    def _keep(self, measured: Measured) -> bool:
        """Write model and checkpoint; whether the model is the best so far."""
        is_best = measured.loss < self.state.best
        self.state.stale = 0 if is_best else self.state.stale + 1
        if is_best:
            self.state.best = measured.loss
        if is_best or not self.out.exists():
            info = trained_info(self.config, self.psf.config, self.state, measured)
            save_model(self.out, self.state.average, info, self.psf.tensors())
        self.save()
        self.snapshot = to_tensors(self.state)
        return is_best
