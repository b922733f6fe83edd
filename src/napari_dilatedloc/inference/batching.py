"""How many frames and which part of them the network sees at a time, and what to do if it is much.

Frames at the ends of a batch are computed for their neighbours' sake only, and the margin of a
tile for its neighbours' sake, so both should be large; memory and the patience of whoever presses
Cancel bound them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import psutil  # type: ignore[import-untyped]
import torch

from napari_dilatedloc.inference.tiles import Box, plan_tiles, round_up

HUNGRY = 20_000
"""Bytes for each pixel of each frame of a batch that no known network needs; where even that is
there, nobody has to find out. (The default network needs 1 kB, `dilatedloc-2024` 13 kB.)"""

PIXELS = {"cpu": 2**17}
"""Pixels of a batch from which on a device gains nothing. Run layer by layer on a CPU, a frame of
64, 128 and 256 px was fastest in batches of 32, 8 and 2 frames; beyond, layers no longer find their
input in the cache (15 to 45% slower at four times as many). OpenVINO gains 2% beyond."""
MANY_PIXELS = 2**22
"""The same for other devices."""

FEW_FRAMES, FEW_PIXELS = 4, 2**18
"""Where the network looks at neighbours, large frames too come so many at a time, as long as these
pixels are not passed (0.8 s on one core of a CPU, after which Cancel is looked at). Two come in any
case: with 256 and 512 px one frame at a time takes 20 and 12% longer than two."""
SHARED = 0.13
"""Part of the work on a frame that is repeated where the frame is a neighbour only: that of the
default network."""

SHARE = {"cpu": 0.33, "cuda": 0.6, "mps": 0.5}
"""Part of the free memory that a batch may take."""
SMALLEST_TILE = 64


class MemoryShortError(ValueError):
    """Not even the smallest piece fits into memory; the message is one sentence."""


@dataclass(frozen=True)
class Plan:
    """Pieces that the network sees.

    Attributes
    ----------
    batch_frames : int
        Frames a batch, without neighbours.
    tile_size : int
        Largest side of a tile without halo, px.
    """

    batch_frames: int
    tile_size: int

    def pixels(self, field: Field) -> int:
        """Pixels of the largest batch, px."""
        return self.batch_frames * max(_areas(field, self.tile_size))

    def smaller(self) -> Plan | None:
        """The next plan to try when memory runs out; None after the smallest."""
        if self.batch_frames > 1:
            return replace(self, batch_frames=self.batch_frames // 2)
        if self.tile_size > SMALLEST_TILE:
            return replace(self, tile_size=max(SMALLEST_TILE, self.tile_size // 2))
        return None

    def __str__(self) -> str:
        return (
            f"{self.batch_frames} frame{'s' if self.batch_frames > 1 else ''} of at most "
            f"{self.tile_size} x {self.tile_size} px"
        )


@dataclass(frozen=True)
class Field:
    """What is to be cut, and what the network needs around a piece.

    Attributes
    ----------
    shape : tuple of int
        (height, width) of the frame, px.
    region : Box
        Part that is localized, px.
    halo, multiple : int
        As `plan_tiles` takes them, px.
    window : int
        Frames that the network looks at to localize one.
    """

    shape: tuple[int, int]
    region: Box
    halo: int
    multiple: int
    window: int

    @property
    def largest_tile(self) -> int:
        """Side of a tile that is the whole region, px."""
        y0, x0, y1, x1 = self.region
        spans = ((y0, y1), (x0, x1))
        return max(
            round_up(stop - start // self.multiple * self.multiple, self.multiple)
            for start, stop in spans
        )


def choose_plan(
    field: Field,
    device: torch.device,
    capacity: float,
    most_frames: int,
    batch_frames: int | None = None,
    tile_size: int | None = None,
) -> Plan:
    """The plan that repeats least work, of those that fit into memory.

    Parameters
    ----------
    field : Field
        What is to be cut.
    device : torch.device
        Where the network runs.
    capacity : float
        Pixels of a batch that memory holds.
    most_frames : int
        Frames there are at a time.
    batch_frames, tile_size : int, optional
        Chosen by the user: not changed, whatever the memory. (A tile larger than the region is
        the region.)
    """
    plans = []
    for side in _sides(field, tile_size):
        areas = _areas(field, side)
        frames = batch_frames or _frames(max(areas), field.window, device, capacity, most_frames)
        missing = max(0.0, max(areas) * frames - capacity)
        work = sum(areas) * (1 + SHARED * (field.window - 1) / frames)
        plans.append((missing, work, Plan(frames, side)))
        wish = _frames(max(areas), field.window, device, math.inf, most_frames)
        if not missing and frames >= (batch_frames or wish):  # smaller tiles only repeat more
            break
    return min(plans, key=lambda candidate: candidate[:2])[2]


def free_memory(device: torch.device) -> int:
    """Memory a run may take, bytes."""
    share = SHARE.get(device.type, SHARE["cpu"])
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(share * (torch.cuda.mem_get_info(device)[0] + kept))
    if device.type == "mps":
        left = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        return int(share * max(left, 0))
    return int(share * psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch says so in words only."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def _sides(field: Field, tile_size: int | None) -> Iterator[int]:
    """Tile sizes to try, largest first."""
    whole = field.largest_tile
    if tile_size is not None:
        yield max(SMALLEST_TILE, min(tile_size, whole))
        return
    for pieces in range(1, max(1, whole // SMALLEST_TILE) + 1):
        yield max(SMALLEST_TILE, math.ceil(whole / pieces / field.multiple) * field.multiple)


def _areas(field: Field, tile_size: int) -> list[int]:
    """Pixels that the network sees of each tile."""
    tiles = plan_tiles(field.shape, tile_size, field.halo, field.multiple, field.region)
    return [(y1 - y0) * (x1 - x0) for y0, x0, y1, x1 in (tile.read for tile in tiles)]


def _frames(
    pixels: int, window: int, device: torch.device, capacity: float, most_frames: int
) -> int:
    """Frames a batch as a power of two, so that blocks are cut evenly and engines see one shape."""
    useful = PIXELS.get(device.type, MANY_PIXELS) // pixels
    few = max(2, min(FEW_FRAMES, FEW_PIXELS // pixels)) if window > 1 else 1
    wanted = max(useful, few)
    count = max(1, int(min(wanted, capacity // pixels, most_frames)))
    return count if count == most_frames else 2 ** int(math.log2(count))
