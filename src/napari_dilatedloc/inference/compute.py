"""What happens to blocks of counts until they are columns on the host: the network's thread.

Batches are under way one behind the other where the device works by itself (`Lane.ahead`), so it
has the next one before the last is read out.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_dilatedloc.camera import Camera
from napari_dilatedloc.config import ModelInfo
from napari_dilatedloc.inference.ahead import Flag
from napari_dilatedloc.inference.batching import (
    Field,
    MemoryShortError,
    Plan,
    is_out_of_memory,
)
from napari_dilatedloc.inference.collect import Piece
from napari_dilatedloc.inference.device import upload
from napari_dilatedloc.inference.engine import Engine
from napari_dilatedloc.inference.reader import Block, ReadRequest, read_blocks
from napari_dilatedloc.inference.tiles import Tile, bounding_box, padded_shape, plan_tiles
from napari_dilatedloc.inference.transfer import Lane, Mark, to_host
from napari_dilatedloc.network.decode import decode
from napari_dilatedloc.network.output import normalize

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """All that stays the same during a run.

    Attributes
    ----------
    movie : array (T, Y, X)
        Counts, ADU.
    engine : Engine
        The network on its device.
    channels : tuple of str
        What the network gives.
    info : ModelInfo
        Scaling and calibration.
    camera : Camera
        Of the pixels that are read, on the device.
    threshold : float
        Smallest detection probability.
    device : torch.device
        Where all this is.
    lane : Lane
        The way there.
    field : Field
        What is cut into tiles.
    request : ReadRequest
        What is read.
    """

    movie: Any
    engine: Engine
    channels: tuple[str, ...]
    info: ModelInfo
    camera: Camera
    threshold: float
    device: torch.device
    lane: Lane
    field: Field
    request: ReadRequest


@dataclass
class BlockResult:
    """Columns of a block's frames, complete or as far as the run came.

    Attributes
    ----------
    start, stop : int
        Frames of the run.
    done : int
        End of those that are localized.
    pieces : list of Piece
        In order of batches.
    stages : dict of float
        Seconds in each of `report.STAGES` but `collect`.
    waited_s, seconds : float
        As in `LocalizedBlock`.
    batch_frames : int
        Frames of the largest batch.
    tile_size : int
        Largest side of a tile of the last batch, px.
    """

    start: int
    stop: int
    done: int
    pieces: list[Piece] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    waited_s: float = 0.0
    seconds: float = 0.0
    batch_frames: int = 0
    tile_size: int = 0


@dataclass(frozen=True)
class _Marks:
    """Moments of a batch, in order: on a device that is busy `turn` comes long after `arrived`."""

    sent: Mark
    arrived: Mark
    turn: Mark
    ready: Mark
    done: Mark


@dataclass(frozen=True)
class _Batch:
    """A batch under way; holds what the device works with until it is read out."""

    block: BlockResult
    start: int
    stop: int
    tile_size: int
    counts: Tensor
    raws: list[tuple[Tile, Tensor]]
    marks: _Marks
    blocked_s: float  # time the host waited for the block just before


class Computer:
    """Runs blocks of frames through a network.

    Parameters
    ----------
    run : Run
        What stays the same.
    plan : Plan
        What the network sees at a time, to begin with; less if memory runs out.
    halt : Flag
        Ends the work after the piece it is in.
    """

    def __init__(self, run: Run, plan: Plan, halt: Flag) -> None:
        self._run = run
        self._halt = halt
        self._under_way: deque[_Batch] = deque()
        self._last_done: Mark | None = None
        self._use(plan)

    def results(self) -> Generator[BlockResult, None, None]:
        """Results in order of frames; after a halt the last one is what is done of its block."""
        run = self._run
        began = time.perf_counter()
        with closing(read_blocks(run.movie, run.request, run.device, self._halt)) as blocks:
            for result in self._finished(blocks):
                now = time.perf_counter()
                result.seconds = now - began
                yield result
                began = time.perf_counter()

    def _use(self, plan: Plan) -> None:
        field = self._run.field
        self._plan = plan
        self._tiles = plan_tiles(
            field.shape, plan.tile_size, field.halo, field.multiple, field.region
        )

    def _finished(self, blocks: Iterator[Block]) -> Iterator[BlockResult]:
        """Blocks whose last batch is read out."""
        current: BlockResult | None = None
        while not self._halt.is_set():
            asked = time.perf_counter()
            block = next(blocks, None)
            if block is None:
                break
            blocked_s = time.perf_counter() - asked
            current = BlockResult(block.start, block.stop, done=block.start)
            current.stages["read"] = block.seconds
            for batch in self._batches(block, current, blocked_s):
                self._under_way.append(batch)
                yield from self._read_out(self._run.lane.ahead)
            if self._under_way:  # the reader may fill this block's buffer anew from here on
                self._run.lane.wait(self._under_way[-1].marks.arrived)
        yield from self._read_out(0)
        if current is not None and current.start < current.done < current.stop:
            yield current

    def _read_out(self, left: int) -> Iterator[BlockResult]:
        """Read out the oldest batches until so many are left; gives blocks that get complete."""
        while len(self._under_way) > left:
            batch = self._under_way.popleft()
            self._decode(batch)
            if batch.block.done == batch.block.stop:
                yield batch.block

    def _batches(self, block: Block, result: BlockResult, blocked_s: float) -> Iterator[_Batch]:
        """Start the batches of a block one by one; smaller ones where memory runs out."""
        start, length = 0, block.stop - block.start
        while start < length and not self._halt.is_set():
            stop = min(start + self._plan.batch_frames, length)
            counts = block.frames[start : stop + self._run.field.window - 1]
            shrunk = False
            try:
                batch = self._start(counts, result, (start, stop), blocked_s)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._use(self._less(error))
                shrunk = True
            if shrunk:  # only here is the error gone, and what it held
                self._run.lane.give_back()
                continue
            if batch is None:
                return
            yield batch
            start, blocked_s = stop, 0.0

    def _less(self, error: BaseException) -> Plan:
        plan = self._plan.smaller()
        if plan is None:
            raise MemoryShortError(
                f"the memory of {self._run.device} must hold {self._plan} and their margin, but "
                "ran out; close other programs, or use another device"
            ) from error
        logger.warning(
            "The memory of %s ran out with %s: going on with %s.",
            self._run.device,
            self._plan,
            plan,
        )
        return plan

    @torch.inference_mode()
    def _start(
        self, counts: Tensor, result: BlockResult, frames: tuple[int, int], blocked_s: float
    ) -> _Batch | None:
        """Send frames with neighbours, (n + window - 1, Y, X), through the network.

        None if the run was halted between two tiles.
        """
        lane, engine = self._run.lane, self._run.engine
        with lane.copying():
            sent = lane.mark()
            adu = upload(counts, self._run.device)
            arrived = lane.mark()
        raws = []
        with lane.computing(after=arrived):
            turn = lane.mark()
            x = self._network_input(adu)
            ready = lane.mark()
            top, left = self._run.request.box[:2]
            for tile in self._tiles:
                if self._halt.is_set():
                    return None
                y0, x0, y1, x1 = tile.read
                part = x[..., y0 - top : y1 - top, x0 - left : x1 - left]
                raws.append((tile, engine(part.contiguous())))
            marks = _Marks(sent, arrived, turn, ready, done=lane.mark())
        return _Batch(result, *frames, self._plan.tile_size, adu, raws, marks, blocked_s)

    def _network_input(self, adu: Tensor) -> Tensor:
        """Counts (T, Y, X) to network input (1, T, Y, X), padded to the network's stride."""
        x = normalize(self._run.camera.to_photons(adu), self._run.info.scaling)[None]
        field, box = self._run.field, self._run.request.box
        height, width = padded_shape(field.shape, field.multiple)
        right = width - field.shape[1] if box[3] == field.shape[1] else 0
        bottom = height - field.shape[0] if box[2] == field.shape[0] else 0
        if right or bottom:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        return x

    @torch.inference_mode()
    def _decode(self, batch: _Batch) -> None:
        """Read a batch out and add it to its block."""
        run, lane, block = self._run, self._run.lane, batch.block
        marks = batch.marks
        first = run.request.frames[0] + block.start + batch.start
        with lane.reading(after=marks.done):
            began = lane.mark()
            for tile, raw in batch.raws:
                found = decode(
                    raw,
                    run.threshold,
                    channels=run.channels,
                    scaling=run.info.scaling,
                    calibration=run.info.calibration,
                    origin=tile.origin,
                )
                block.pieces.append(Piece(*to_host(found), tile=tile, first=first))
            ended = lane.mark()
        spent = {
            "upload": lane.seconds(marks.sent, marks.arrived)
            + lane.seconds(marks.turn, marks.ready),
            "network": lane.seconds(marks.ready, marks.done),
            "decode": lane.seconds(began, ended),
        }
        for name, seconds in spent.items():
            block.stages[name] = block.stages.get(name, 0.0) + seconds
        idle = batch.blocked_s
        if self._last_done is not None:  # the host may wait while the device still has work
            idle = min(idle, max(0.0, lane.seconds(self._last_done, marks.turn)))
        block.waited_s += idle
        block.done = block.start + batch.stop
        block.batch_frames = max(block.batch_frames, batch.stop - batch.start)
        block.tile_size = batch.tile_size
        self._last_done = marks.done


def read_box(field: Field, plan: Plan) -> tuple[int, int, int, int]:
    """Part of the frame that the tiles of a plan see together; smaller tiles see the same, px."""
    tiles = plan_tiles(field.shape, plan.tile_size, field.halo, field.multiple, field.region)
    return bounding_box(tiles, field.shape)
