"""Scaling: a whole run on one and on several worker processes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_dilatedloc.benchmark.movies import simulated_frames, write_movie
from napari_dilatedloc.benchmark.rows import BenchmarkRow
from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.cluster import (
    ClusterRun,
    connect,
    localize_on_cluster,
)
from napari_dilatedloc.inference.record import record_of
from napari_dilatedloc.inference.store import RunFolder
from napari_dilatedloc.io.movie import open_movie
from napari_dilatedloc.network.checkpoint import load_model


@dataclass(frozen=True)
class ScalingBenchmark:
    """Sizes of the benchmark.

    Attributes
    ----------
    model : str
        Shipped model or model file.
    size, frames : int
        Of the movie: side in px, length.
    task_frames : int
        Frames of a task.
    workers : tuple of int
        Worker processes, each with one thread, so that they and not threads share the cores.
    """

    model: str = "astigmatism"
    size: int = 128
    frames: int = 4000
    task_frames: int = 250
    workers: tuple[int, ...] = (1, 2)


def benchmark_scaling(sizes: ScalingBenchmark | None = None) -> Iterator[BenchmarkRow]:
    """Measure runs on workers, row by row; starting the workers is not counted."""
    sizes = sizes if sizes is not None else ScalingBenchmark()
    piece = simulated_frames(load_model(sizes.model), sizes.size)
    first = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.tif"
        write_movie(path, piece, sizes.frames)
        for workers in sizes.workers:
            seconds = _seconds(sizes, path, workers)
            first = seconds if first is None else first
            details = {
                "workers": workers,
                "size": sizes.size,
                "frames": sizes.frames,
                "frames_per_second": sizes.frames / seconds,
                "speed_up": first / seconds,
            }
            yield BenchmarkRow(f"{workers} workers", seconds, "s", details)


def count_rows(sizes: ScalingBenchmark | None = None) -> int:
    """Rows `benchmark_scaling` will give."""
    return len((sizes if sizes is not None else ScalingBenchmark()).workers)


def _seconds(sizes: ScalingBenchmark, path: Path, workers: int) -> float:
    """Time of a run whose workers are up and have seen the model."""
    movie, model = open_movie(path), load_model(sizes.model)
    config = LocalizeConfig(device="cpu")
    record = record_of(movie, model, config, model.info.pixel_size_nm, "locs.csv")
    folder = RunFolder.create(path.parent / f"{workers}.run", record)
    run = ClusterRun(str(path), sizes.model, model.info.camera, config, folder)
    with connect(workers, threads=1) as client:
        client.wait_for_workers(workers)
        warm = [(start, start + 16) for start in range(0, 16 * workers, 16)]
        list(localize_on_cluster(client, run, warm))
        start = time.perf_counter()
        list(localize_on_cluster(client, run, folder.missing(block=sizes.task_frames)))
        return time.perf_counter() - start
