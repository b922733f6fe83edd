"""Reading: the pipeline's reader beside a plain memory map of the same file."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tifffile
import torch

from napari_dilatedloc.benchmark.movies import write_movie
from napari_dilatedloc.benchmark.rows import BenchmarkRow
from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.pipeline import BLOCK_FRAMES
from napari_dilatedloc.inference.reader import ReadRequest, read_blocks
from napari_dilatedloc.inference.transfer import host_buffer
from napari_dilatedloc.io.movie import open_movie


@dataclass(frozen=True)
class ReadBenchmark:
    """Sizes of the benchmark.

    Attributes
    ----------
    movies : tuple of (int, int)
        (side in px, frames) of the uncompressed uint16 TIFF movies; 0.8 GB each, so that starting
        threads (a few ms) does not count.
    repeats : int
        Rounds of both readers, in turn; medians count.
    """

    movies: tuple[tuple[int, int], ...] = ((128, 24000), (512, 1500), (2048, 96))
    repeats: int = 25


def benchmark_read(sizes: ReadBenchmark | None = None) -> Iterator[BenchmarkRow]:
    """Measure reading, row by row: megabytes per second, ours over the memory map's."""
    sizes = sizes if sizes is not None else ReadBenchmark()
    for size, frames in sizes.movies:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "movie.tif"
            noise = np.random.default_rng(0).poisson(150, (min(frames, 100), size, size))
            write_movie(path, noise.astype(np.uint16), frames)
            yield _one_movie(path, frames, size, sizes.repeats)


def count_rows(sizes: ReadBenchmark | None = None) -> int:
    """Rows `benchmark_read` will give."""
    return len((sizes if sizes is not None else ReadBenchmark()).movies)


def _one_movie(path: Path, frames: int, size: int, repeats: int) -> BenchmarkRow:
    movie = open_movie(path).data
    megabytes = frames * size * size * 2 / 1e6
    ours, mapped = [], []
    for turn in range(max(1, repeats) + 1):  # the first warms the file cache up
        seconds = _pipeline_reader(movie, frames, size), _memory_map(path, frames, size)
        if turn:
            ours.append(seconds[0])
            mapped.append(seconds[1])
    details = {
        "size": size,
        "frames": frames,
        "mb_per_second": megabytes / median(ours),
        "memmap_mb_per_second": megabytes / median(mapped),
    }
    return BenchmarkRow("read", median(mapped) / median(ours), "of numpy.memmap", details)


def _pipeline_reader(movie: Any, frames: int, size: int) -> float:
    """Seconds to have all blocks of the pipeline's reader."""
    config = LocalizeConfig()
    request = ReadRequest(
        frames=(0, frames),
        box=(0, 0, size, size),
        reach=1,
        block_frames=BLOCK_FRAMES["cpu"],
        buffers=config.prefetch_blocks,
    )
    start = time.perf_counter()
    stop = threading.Event()
    with closing(read_blocks(movie, request, torch.device("cpu"), stop)) as blocks:
        for _ in blocks:
            pass
    return time.perf_counter() - start


def _memory_map(path: Path, frames: int, size: int) -> float:
    """Seconds to copy the same frames out of a memory map, as many at a time.

    It too leaves a block whole while the next ones are read: into as many buffers of the same kind,
    in turn. (One alone stays in the cache, which makes copying a tenth faster, and useless.)
    """
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[0]
    config, cpu = LocalizeConfig(), torch.device("cpu")
    step = BLOCK_FRAMES["cpu"]
    ring = [
        host_buffer((step, size, size), torch.uint16, cpu).numpy()
        for _ in range(config.prefetch_blocks)
    ]
    start = time.perf_counter()
    pages = np.memmap(path, np.uint16, "r", offset=offset, shape=(frames, size, size))
    for first in range(0, frames, step):
        part = pages[first : first + step]
        buffer = ring[first // step % len(ring)]
        np.copyto(buffer[: len(part)], part)
    return time.perf_counter() - start
