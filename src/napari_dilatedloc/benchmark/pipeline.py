"""Whole runs beside the network alone: how much of the device's time the pipeline uses."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dilatedloc.benchmark.movies import simulated_frames, write_movie
from napari_dilatedloc.benchmark.rows import BenchmarkRow
from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.device import choose_device
from napari_dilatedloc.inference.engine import Engine, build_engine
from napari_dilatedloc.inference.pipeline import localize, summarize
from napari_dilatedloc.inference.report import LocalizeReport
from napari_dilatedloc.io.movie import open_movie
from napari_dilatedloc.network.checkpoint import Model, load_model
from napari_dilatedloc.network.registry import as_network


@dataclass(frozen=True)
class PipelineBenchmark:
    """Sizes of the benchmark.

    Attributes
    ----------
    model : str
        Shipped model or model file.
    movies : tuple of (int, int)
        (side in px, frames) of the uint16 TIFF movies.
    repeats : int
        Rounds of pipeline and network alone, in turn; medians count.
    device : str
        Where it runs.
    """

    model: str = "astigmatism"
    movies: tuple[tuple[int, int], ...] = ((128, 2000), (64, 8000))
    repeats: int = 3
    device: str = "cpu"


def benchmark_pipeline(sizes: PipelineBenchmark | None = None) -> Iterator[BenchmarkRow]:
    """Measure whole runs, row by row: efficiency, then the same with a slow reader."""
    sizes = sizes if sizes is not None else PipelineBenchmark()
    model = load_model(sizes.model)
    config = LocalizeConfig(device=sizes.device)
    for size, frames in sizes.movies:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "movie.tif"
            piece = simulated_frames(model, size)
            write_movie(path, piece, frames)
            yield from _one_movie(model, config, path, piece, sizes.repeats)


def count_rows(sizes: PipelineBenchmark | None = None) -> int:
    """Rows `benchmark_pipeline` will give."""
    return 2 * len((sizes if sizes is not None else PipelineBenchmark()).movies)


def _one_movie(
    model: Model,
    config: LocalizeConfig,
    path: Path,
    piece: NDArray[np.uint16],
    repeats: int,
) -> Iterator[BenchmarkRow]:
    movie = open_movie(path).data
    frames, size = int(movie.shape[0]), int(movie.shape[1])
    report = _run(movie, model, config)  # warms up, and tells the batch
    device = choose_device(config.device)
    engine = build_engine(model.network, device, config)
    alone, whole = [], []
    for _ in range(max(1, repeats)):
        alone.append(_network_alone(engine, device, model, piece, frames, report.batch_frames))
        report = _run(movie, model, config)
        whole.append(report.seconds)
    details: dict[str, Any] = {
        "size": size,
        "frames": frames,
        "engine": report.engine,
        "precision": report.precision,
        "batch_frames": report.batch_frames,
        "localizations": report.localizations,
    }
    efficiency = median(alone) / median(whole)
    speed = {
        "efficiency": efficiency,
        "frames_per_second": frames / median(whole),
        "mb_per_second": report.mb_per_second,
        "waited": report.waited,
        "stages": report.stages,
    }
    yield BenchmarkRow("pipeline", efficiency, "of network alone", {**details, **speed})
    slow = SlowMovie(movie, median(alone) / frames)
    slowed = _run(slow, model, config).seconds
    ratio = slowed / max(median(whole), slow.seconds)
    paced = {"reader_s": slow.seconds, "run_s": slowed, "network_s": median(alone)}
    yield BenchmarkRow("slow reader", ratio, "of the slower of both", {**details, **paced})


def _run(movie: Any, model: Model, config: LocalizeConfig) -> LocalizeReport:
    return summarize(localize(movie, model, config))


def _network_alone(
    engine: Engine,
    device: torch.device,
    model: Model,
    piece: NDArray[np.uint16],
    frames: int,
    batch: int,
) -> float:
    """Seconds the network takes for as many frames, its input ready in memory."""
    neighbours = as_network(model.network).window - 1
    scaled = torch.from_numpy(piece.astype(np.float32))
    scaled = (scaled - scaled.mean()) / scaled.std()
    inputs = [
        scaled[start : start + batch + neighbours][None].contiguous().to(device)
        for start in range(0, max(1, len(scaled) - batch - neighbours + 1), batch)
    ]
    done, at = 0, 0
    start_s = time.perf_counter()
    while done < frames:
        engine(inputs[at % len(inputs)])
        done, at = done + batch, at + 1
    if device.type == "cuda":  # calls come back before the work is done
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start_s) * frames / done


class SlowMovie:
    """A movie whose frames take a given time to read, as from a slow disk or network.

    Attributes
    ----------
    seconds : float
        Time spent reading so far, s.
    """

    def __init__(self, movie: Any, seconds_per_frame: float) -> None:
        self._movie, self._pace = movie, seconds_per_frame
        self.shape, self.dtype, self.ndim = movie.shape, movie.dtype, movie.ndim
        self.seconds = 0.0

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> NDArray[Any]:
        start = time.perf_counter()
        frames = np.asarray(self._movie[key])
        due = self._pace * (len(frames) if frames.ndim == 3 else 1)
        time.sleep(max(0.0, due - (time.perf_counter() - start)))
        self.seconds += time.perf_counter() - start
        return frames
