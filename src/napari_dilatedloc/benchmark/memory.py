"""Memory: the peak of a run in a process of its own, over a short and a long movie."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_dilatedloc.benchmark.movies import simulated_frames, write_movie
from napari_dilatedloc.benchmark.rows import BenchmarkRow
from napari_dilatedloc.network.checkpoint import load_model

RUN = """
import json, sys
from pathlib import Path
from napari_dilatedloc.cli.app import main
sys.argv = ["dilatedloc", "localize", *sys.argv[1:], "--json"]
try:
    main()
except SystemExit as end:
    if end.code:
        raise
import resource
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
print(json.dumps({"peak_bytes": peak}))
"""
"""What the process does: `dilatedloc localize`, then it tells its peak."""


@dataclass(frozen=True)
class MemoryBenchmark:
    """Sizes of the benchmark.

    Attributes
    ----------
    model : str
        Shipped model or model file.
    size : int
        Side of the frames, px.
    frames : tuple of int
        Lengths of the movies; the difference to the first is what length costs.
    """

    model: str = "astigmatism"
    size: int = 64
    frames: tuple[int, ...] = (2000, 20000)


def benchmark_memory(sizes: MemoryBenchmark | None = None) -> Iterator[BenchmarkRow]:
    """Measure peak memory of whole runs with their tables written, row by row."""
    sizes = sizes if sizes is not None else MemoryBenchmark()
    piece = simulated_frames(load_model(sizes.model), sizes.size)
    first = None
    for frames in sizes.frames:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "movie.tif"
            write_movie(path, piece, frames)
            peak = peak_megabytes(path, sizes.model, Path(folder) / "locs.csv")
        first = peak if first is None else first
        details = {"size": sizes.size, "frames": frames, "more_than_first_mb": peak - first}
        yield BenchmarkRow("peak memory", peak, "MB", details)


def count_rows(sizes: MemoryBenchmark | None = None) -> int:
    """Rows `benchmark_memory` will give."""
    return len((sizes if sizes is not None else MemoryBenchmark()).frames)


def peak_megabytes(movie: Path, model: str, out: Path) -> float:
    """Largest resident memory of ``dilatedloc localize`` in a new process, 10^6 bytes.

    Raises
    ------
    RuntimeError
        With the last line that the process said, if it failed.
    """
    command = [sys.executable, "-c", RUN, str(movie), "--model", model, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise RuntimeError(f"the localization failed ({last[0]}); run it by itself to see why")
    peak: float = json.loads(done.stdout.strip().splitlines()[-1])["peak_bytes"]
    return peak / 1e6
