"""Simulated batches for the trainer, made ahead in a thread where the network runs elsewhere."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_dilatedloc.config import ScalingConfig
from napari_dilatedloc.network.output import normalize
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.training.targets import Targets, make_targets

AHEAD = 3  # batches that wait for the network


@dataclass(frozen=True)
class TrainingBatch:
    """Network input (B, T, H, W), its targets and where the generator stood afterwards."""

    frames: Tensor
    targets: Targets
    generator_state: Tensor


@dataclass(frozen=True)
class BatchMaker:
    """Draws batches of a fixed shape.

    Attributes
    ----------
    simulator : Simulator
        Source of movies.
    scaling : ScalingConfig
        Photons to network input.
    movies, frames, side, window : int
        Patches a batch, frames a patch, their side in px, frames a network sees at once.
    """

    simulator: Simulator
    scaling: ScalingConfig
    movies: int
    frames: int
    side: int
    window: int

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> TrainingBatch:
        """One batch; the same generator state gives the same batch."""
        size = (self.side, self.side)
        batch = self.simulator.draw(self.movies, self.frames, size, generator)
        min_photons = self.simulator.config.min_photons
        photons = self.simulator.camera.at(batch.origin, size).to_photons(batch.adu)
        return TrainingBatch(
            frames=normalize(photons, self.scaling),
            targets=make_targets(batch, self.window, min_photons),
            generator_state=generator.get_state(),
        )


@contextmanager
def batches(
    maker: BatchMaker, generator: torch.Generator, *, ahead: bool
) -> Iterator[Iterator[TrainingBatch]]:
    """Endless batches; with `ahead` a thread makes them while the network works.

    That pays where the network runs on another device. On a CPU both would share the cores.
    """
    if not ahead:
        yield _in_turn(maker, generator)
        return
    ready: queue.Queue[TrainingBatch | BaseException] = queue.Queue(AHEAD)
    stop = threading.Event()
    thread = threading.Thread(
        target=_fill, args=(maker, generator, ready, stop), name="simulation", daemon=True
    )
    thread.start()
    try:
        yield _take(ready)
    finally:
        stop.set()
        _drain(ready)  # it may stand at a full queue; now there is room for all it still makes
        thread.join()


def _in_turn(maker: BatchMaker, generator: torch.Generator) -> Iterator[TrainingBatch]:
    while True:
        yield maker.draw(generator)


def _fill(
    maker: BatchMaker,
    generator: torch.Generator,
    ready: queue.Queue[TrainingBatch | BaseException],
    stop: threading.Event,
) -> None:
    own = torch.Generator()
    own.set_state(generator.get_state())
    try:
        while not stop.is_set():
            ready.put(maker.draw(own))
    except BaseException as error:  # raised again where the batches are taken
        ready.put(error)


def _take(ready: queue.Queue[TrainingBatch | BaseException]) -> Iterator[TrainingBatch]:
    while True:
        item = ready.get()
        if isinstance(item, BaseException):
            raise item
        yield item


def _drain(ready: queue.Queue[TrainingBatch | BaseException]) -> None:
    try:
        while True:
            ready.get_nowait()
    except queue.Empty:
        return
