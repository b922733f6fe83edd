"""Movie in, localizations out.

A thread reads ahead into a ring of buffers (`reader`), another one runs the network and reads it
out on the device (`compute`), and whoever asks for the next block makes its table (`collect`).
Frames travel to the device in the camera's own type and only localizations travel back. Photons
and network input are made by the rooms that training uses too (`camera`, `network/output`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.ahead import AnyOf, run_ahead
from napari_dilatedloc.inference.batching import HUNGRY, Field, Plan, choose_plan, free_memory
from napari_dilatedloc.inference.checks import check_model_fits, check_run
from napari_dilatedloc.inference.collect import to_table
from napari_dilatedloc.inference.compute import Computer, Run, read_box
from napari_dilatedloc.inference.device import choose_device
from napari_dilatedloc.inference.engine import Engine, build_engine
from napari_dilatedloc.inference.footprint import bytes_per_pixel
from napari_dilatedloc.inference.pieces import frame_bytes
from napari_dilatedloc.inference.reader import ReadRequest
from napari_dilatedloc.inference.report import (
    LocalizedBlock,
    LocalizeReport,
    RunMeter,
    summarize,
)
from napari_dilatedloc.inference.transfer import lane_to
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.network.registry import as_network

__all__ = [
    "LocalizeReport",
    "LocalizedBlock",
    "RunMeter",
    "check_model_fits",
    "choose_device",
    "localize",
    "summarize",
]

# `decode` looks at a pixel's neighbours, and at theirs to tell whether they are maxima.
DECODE_REACH_PX = 2

BLOCK_FRAMES = {"cpu": 64}
MANY_FRAMES = 256
"""Frames read at a time, where nothing else is said, and on devices other than these. An H100
localizes 64 px frames 1.4 times as fast in blocks of 256 as in blocks of 64, 128 px 1.1 times."""
BLOCK_BYTES = 64 * 2**20
"""Largest buffer of the ring; frames so large that fewer fit are read fewer at a time."""

RESULTS = 3
"""Blocks of results in memory: being made, waiting, and in the caller's hand."""


def localize(
    movie: Any,
    model: Model,
    config: LocalizeConfig | None = None,
    *,
    engine: Engine | None = None,
    stop: threading.Event | None = None,
) -> Generator[LocalizedBlock, None, None]:
    """Localize a movie block by block.

    Frames outside ``config.frames`` and pixels outside ``config.roi`` still serve as true
    neighbours. Before the movie's first and after its last frame, that frame is repeated as its
    own neighbour. Results do not depend on block, batch and tile size, but for rounding where the
    engine is not the exact one.

    Parameters
    ----------
    movie : array (T, Y, X)
        Camera counts, ADU: numpy, memory map, dask or a `FrameStack`.
    model : Model
        As `load_model` gives it; it is left untouched, whatever the device.
    config : LocalizeConfig, optional
        Threshold, frames, region, device, engine and sizes.
    engine : Engine, optional
        As `build_engine` makes it of this model, device and settings; default: made here. Who
        localizes piece by piece keeps one for all pieces. It serves one run at a time.
    stop : threading.Event, optional
        When set, the run ends after the batch (of a tile) it is in; what is done of the block is
        given.

    Yields
    ------
    LocalizedBlock
        In order of frames. Closing the generator ends the run and its threads.

    Raises
    ------
    MovieError
        If the array is no movie, cannot be read or holds NaN.
    ConfigError, DeviceError
        If frames, region or device do not exist.
    MemoryShortError
        If memory ran out with the smallest batch and tile.
    ValueError
        If the camera's maps are not of the movie's shape.
    """
    run, plan = _prepare(movie, model, config or LocalizeConfig(), engine)
    return _blocks(run, plan, stop or threading.Event())


def _prepare(
    movie: Any, model: Model, config: LocalizeConfig, engine: Engine | None
) -> tuple[Run, Plan]:
    frames, region = check_run(movie, config)
    shape = int(movie.shape[1]), int(movie.shape[2])
    device = choose_device(config.device)
    camera = build_camera(model.info.camera, device=device)
    camera.check_shape(*shape)
    network = as_network(model.network)
    engine = engine or build_engine(model.network, device, config)
    field = Field(
        shape=shape,
        region=region,
        halo=network.halo + DECODE_REACH_PX,
        multiple=network.multiple,
        window=network.window,
    )
    block_frames = _block_frames(movie, config, device)
    plan = _plan(field, model, device, min(block_frames, frames[1] - frames[0]), config)
    box = read_box(field, plan)
    run = Run(
        movie=movie,
        engine=engine,
        channels=network.channels,
        info=model.info,
        camera=camera.crop(*box),
        threshold=model.info.threshold if config.threshold is None else config.threshold,
        device=device,
        lane=lane_to(device),
        field=field,
        request=ReadRequest(
            frames=frames,
            box=box,
            reach=network.window // 2,
            block_frames=block_frames,
            buffers=config.prefetch_blocks,
        ),
    )
    return run, plan


def _plan(
    field: Field, model: Model, device: torch.device, most_frames: int, config: LocalizeConfig
) -> Plan:
    def plan(capacity: float) -> Plan:
        return choose_plan(
            field, device, capacity, most_frames, config.batch_frames, config.tile_size
        )

    memory = free_memory(device)
    wish = plan(math.inf)
    if wish.pixels(field) * HUNGRY <= memory:
        return wish
    return plan(memory / bytes_per_pixel(model.network))


def _block_frames(movie: Any, config: LocalizeConfig, device: torch.device) -> int:
    wanted = config.block_frames or BLOCK_FRAMES.get(device.type, MANY_FRAMES)
    return max(1, min(wanted, BLOCK_BYTES // frame_bytes(movie)))


def _blocks(run: Run, plan: Plan, stop: threading.Event) -> Generator[LocalizedBlock, None, None]:
    first, last = run.request.frames
    frame_mb = frame_bytes(run.movie) / 1e6
    closed = threading.Event()
    computer = Computer(run, plan, AnyOf((stop, closed)))
    ahead = run_ahead(computer.results(), RESULTS, closed, "dilatedloc-network")
    with closing(ahead) as results:
        for result in results:
            began = time.perf_counter()
            table = to_table(result.pieces)
            yield LocalizedBlock(
                start=result.start,
                stop=result.done,
                total=last - first,
                localizations=table,
                seconds=result.seconds,
                waited_s=result.waited_s,
                megabytes=(result.done - result.start) * frame_mb,
                device=str(run.device),
                stages={**result.stages, "collect": time.perf_counter() - began},
                engine=run.engine.name,
                precision=run.engine.precision,
                batch_frames=result.batch_frames,
                tile_size=result.tile_size,
            )
