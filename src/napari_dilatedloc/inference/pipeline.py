"""Movie in, localizations out: reader thread, camera, network, read-out, tiles.

Frames travel to the device in the camera's own type and only localizations travel back. Photons
and network input are made by the rooms that training uses too (`camera`, `network/output`).
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.camera import Camera, build_camera
from napari_dilatedloc.config import LocalizeConfig, ModelInfo
from napari_dilatedloc.inference.checks import check_model_fits, check_run
from napari_dilatedloc.inference.device import (
    autocast_for,
    choose_device,
    exact_convolutions,
    upload,
)
from napari_dilatedloc.inference.reader import Block, ReadRequest, read_blocks
from napari_dilatedloc.inference.report import (
    LocalizedBlock,
    LocalizeReport,
    RunMeter,
    summarize,
)
from napari_dilatedloc.inference.tiles import (
    Box,
    Tile,
    bounding_box,
    padded_shape,
    plan_tiles,
)
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.network.decode import Decoded, decode
from napari_dilatedloc.network.output import activate, calibrate, normalize
from napari_dilatedloc.network.registry import Network, as_network
from napari_dilatedloc.table import Localizations

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

# Bounds the memory of a batch: the default network was measured to need 0.7 kB for each pixel of
# a frame (6 GB for 8 frames of 1024 x 1024 px). Fewer frames a batch cost less than smaller
# tiles, whose halo is computed twice.
PIXELS_AT_ONCE = 4 * 2**20


@dataclass(frozen=True)
class _Run:
    """All that stays the same during a run."""

    movie: Any
    network: Network
    info: ModelInfo
    camera: Camera  # of the pixels in `box`
    config: LocalizeConfig
    device: torch.device
    frames: tuple[int, int]
    batch_frames: int
    tiles: tuple[Tile, ...]
    box: Box  # what is read of each frame, px
    padding: tuple[int, int, int, int]  # of `box`, as F.pad takes it: left, right, top, bottom

    @property
    def threshold(self) -> float:
        chosen = self.config.threshold
        return self.info.threshold if chosen is None else chosen


def localize(
    movie: Any,
    model: Model,
    config: LocalizeConfig | None = None,
    *,
    stop: threading.Event | None = None,
) -> Generator[LocalizedBlock, None, None]:
    """Localize a movie block by block.

    Frames outside ``config.frames`` and pixels outside ``config.roi`` still serve as true
    neighbours. Before the movie's first and after its last frame, that frame is repeated as its
    own neighbour. Results do not depend on block, batch and tile size.

    Parameters
    ----------
    movie : array (T, Y, X)
        Camera counts, ADU: numpy, memory map or dask.
    model : Model
        As `load_model` gives it; it is left untouched, whatever the device.
    config : LocalizeConfig, optional
        Threshold, frames, region, device and sizes.
    stop : threading.Event, optional
        When set, the run ends after the batch it is in; what is done of the block is given.

    Yields
    ------
    LocalizedBlock
        In order of frames. Closing the generator ends the run and its reader thread.

    Raises
    ------
    MovieError
        If the array is no movie, cannot be read or holds NaN.
    ConfigError, DeviceError
        If frames, region or device do not exist.
    """
    run = _prepare(movie, model, config or LocalizeConfig())
    return _blocks(run, stop or threading.Event())


def _prepare(movie: Any, model: Model, config: LocalizeConfig) -> _Run:
    frames, roi = check_run(movie, config)
    device = choose_device(config.device)
    # A copy, because moving a module moves it for everyone who holds it.
    module = copy.deepcopy(model.network).eval()
    module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = as_network(module)
    shape = int(movie.shape[1]), int(movie.shape[2])
    halo = network.halo + DECODE_REACH_PX
    tiles = plan_tiles(shape, config.tile_size, halo, network.multiple, roi)
    box = bounding_box(tiles, shape)
    height, width = padded_shape(shape, network.multiple)
    right = width - shape[1] if box[3] == shape[1] else 0
    bottom = height - shape[0] if box[2] == shape[0] else 0
    pixels = max((y1 - y0) * (x1 - x0) for y0, x0, y1, x1 in (tile.read for tile in tiles))
    return _Run(
        movie=movie,
        network=network,
        info=model.info,
        camera=build_camera(model.info.camera, device=device).crop(*box),
        config=config,
        device=device,
        frames=frames,
        batch_frames=max(1, min(config.batch_frames, PIXELS_AT_ONCE // pixels)),
        tiles=tiles,
        box=box,
        padding=(0, right, 0, bottom),
    )


def _blocks(run: _Run, stop: threading.Event) -> Generator[LocalizedBlock, None, None]:
    request = ReadRequest(
        frames=run.frames,
        box=run.box,
        reach=run.network.window // 2,
        block_frames=run.config.block_frames,
        buffers=run.config.prefetch_blocks,
    )
    frame_mb = np.dtype(run.movie.dtype).itemsize * float(np.prod(run.movie.shape[1:])) / 1e6
    total = run.frames[1] - run.frames[0]
    with closing(read_blocks(run.movie, request, run.device, stop)) as blocks:
        while not stop.is_set():
            began = time.perf_counter()
            block = next(blocks, None)
            if block is None:
                return
            waited = time.perf_counter() - began
            parts = list(_batches(run, block, stop))
            done = min(block.start + len(parts) * run.batch_frames, block.stop)
            if done == block.start:
                return
            yield LocalizedBlock(
                start=block.start,
                stop=done,
                total=total,
                localizations=Localizations.concatenate(parts),
                seconds=time.perf_counter() - began,
                waited_s=waited,
                megabytes=(done - block.start) * frame_mb,
                device=str(run.device),
            )


def _batches(run: _Run, block: Block, stop: threading.Event) -> Iterator[Localizations]:
    """Localizations of a block's frames, batch by batch, until `stop` is set."""
    neighbours = run.network.window - 1
    for start in range(0, block.stop - block.start, run.batch_frames):
        if stop.is_set():
            return
        end = min(start + run.batch_frames, block.stop - block.start)
        first = run.frames[0] + block.start + start
        yield _localize_batch(run, block.frames[start : end + neighbours], first)


# Modes are entered per batch and not around a `yield`, where they would reach the caller's code.
@torch.inference_mode()
def _localize_batch(run: _Run, frames: Tensor, first: int) -> Localizations:
    """Localizations of a run of frames with neighbours, (n + window - 1, Y, X) ADU.

    `first` is the number in the movie of the first frame that has all its neighbours.
    """
    photons = run.camera.to_photons(upload(frames, run.device))
    x = F.pad(normalize(photons, run.info.scaling)[None], run.padding, mode="replicate")
    columns = [_localize_tile(run, x, tile) for tile in run.tiles]
    table = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
    order = np.lexsort((table.pop("col"), table.pop("row"), table["frame"]))
    table["frame"] = table["frame"] + first
    return Localizations(**{name: values[order] for name, values in table.items()})


def _localize_tile(run: _Run, x: Tensor, tile: Tile) -> dict[str, NDArray[Any]]:
    """Columns of what one tile owns, in px of the frame; frames count from the batch's first."""
    y0, x0, y1, x1 = tile.read
    top, left = run.box[:2]
    with exact_convolutions(), autocast_for(run.device, run.config.precision):
        raw = run.network(x[..., y0 - top : y1 - top, x0 - left : x1 - left].contiguous())
    prediction = activate(raw[0], run.network.channels, run.info.scaling)
    prediction = calibrate(prediction, run.info.calibration)
    columns = _to_host(decode(prediction, run.threshold))
    columns["row"], columns["col"] = columns["row"] + y0, columns["col"] + x0
    columns["y"], columns["x"] = columns["y"] + y0, columns["x"] + x0
    mine = tile.owns(columns["row"], columns["col"])
    return {name: values[mine] for name, values in columns.items()}


def _to_host(decoded: Decoded) -> dict[str, NDArray[Any]]:
    """Columns as numpy, brought over in two copies."""
    whole = ("frame", "row", "col")
    real = [field.name for field in fields(decoded) if field.name not in whole]
    integers = torch.stack([getattr(decoded, name) for name in whole]).cpu().numpy()
    floats = torch.stack([getattr(decoded, name) for name in real]).cpu().numpy()
    return {**dict(zip(whole, integers, strict=True)), **dict(zip(real, floats, strict=True))}
