"""``dilatedloc benchmark`` for localization: networks, pipeline, reading, decoding, workers."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_dilatedloc.cli.common import Json, follow_rows, needs_cluster

Repeats = Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")]
Where = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, mps or auto.")]
ModelName = Annotated[str, typer.Option("--model", help="Model name or file.")]


def benchmark_network(repeats: Repeats = 5, device: Where = "cpu", as_json: Json = False) -> None:
    """Milliseconds a frame of all networks, as published and in our fast engine.

    Beside it the share of the fastest convolution that this machine was seen to do. All are timed
    in turn, round by round. Takes some minutes; measure while the machine has nothing else to do.
    """
    from napari_dilatedloc.benchmark.network import NetworkBenchmark, count_rows
    from napari_dilatedloc.benchmark.network import benchmark_network as run

    sizes = NetworkBenchmark(repeats=repeats, device=device)
    follow_rows(run(sizes), count_rows(sizes), as_json)


def benchmark_pipeline(
    model: ModelName = "astigmatism",
    repeats: Repeats = 3,
    device: Where = "cpu",
    as_json: Json = False,
) -> None:
    """Whole runs beside the network alone, and with a reader as slow as the network."""
    from napari_dilatedloc.benchmark.pipeline import PipelineBenchmark, count_rows
    from napari_dilatedloc.benchmark.pipeline import benchmark_pipeline as run

    sizes = PipelineBenchmark(model=model, repeats=repeats, device=device)
    follow_rows(run(sizes), count_rows(sizes), as_json)


def benchmark_read(repeats: Repeats = 25, as_json: Json = False) -> None:
    """The pipeline's reader beside a memory map of the same uncompressed TIFF."""
    from napari_dilatedloc.benchmark.reading import ReadBenchmark, count_rows
    from napari_dilatedloc.benchmark.reading import benchmark_read as run

    sizes = ReadBenchmark(repeats=repeats)
    follow_rows(run(sizes), count_rows(sizes), as_json)


def benchmark_decode(repeats: Repeats = 20, device: Where = "cpu", as_json: Json = False) -> None:
    """Raw network output with 10,000 molecules to localizations."""
    from napari_dilatedloc.benchmark.decoding import DecodeBenchmark, count_rows
    from napari_dilatedloc.benchmark.decoding import benchmark_decode as run

    sizes = DecodeBenchmark(repeats=repeats, device=device)
    follow_rows(run(sizes), count_rows(sizes), as_json)


def benchmark_scaling(model: ModelName = "astigmatism", as_json: Json = False) -> None:
    """A run on one and on two worker processes of one thread each; needs the extra 'cluster'."""
    with needs_cluster():
        from napari_dilatedloc.benchmark.scaling import ScalingBenchmark, count_rows
        from napari_dilatedloc.benchmark.scaling import benchmark_scaling as run

    sizes = ScalingBenchmark(model=model)
    follow_rows(run(sizes), count_rows(sizes), as_json)


def benchmark_memory(model: ModelName = "astigmatism", as_json: Json = False) -> None:
    """Peak memory of whole runs over 2,000 and 20,000 frames of 64 x 64 px."""
    from napari_dilatedloc.benchmark.memory import MemoryBenchmark, count_rows
    from napari_dilatedloc.benchmark.memory import benchmark_memory as run

    sizes = MemoryBenchmark(model=model)
    follow_rows(run(sizes), count_rows(sizes), as_json)


def benchmark_render(repeats: Repeats = 3, as_json: Json = False) -> None:
    """Images of 10^6 and 10^7 localizations, 50 um wide, 10 nm a pixel."""
    from napari_dilatedloc.benchmark.rendering import RenderBenchmark, count_rows
    from napari_dilatedloc.benchmark.rendering import benchmark_render as run

    sizes = RenderBenchmark(repeats=repeats)
    follow_rows(run(sizes), count_rows(sizes), as_json)


def benchmark_drift(
    localizations: Annotated[int, typer.Option(min=1000, help="Rows of the table.")] = 100_000,
    seeds: Annotated[int, typer.Option(min=1, help="Different drifts.")] = 1,
    as_json: Json = False,
) -> None:
    """What each drift correction leaves of a known drift, and how long it takes."""
    from napari_dilatedloc.benchmark.drift import DriftBenchmark, count_rows
    from napari_dilatedloc.benchmark.drift import benchmark_drift as run

    sizes = DriftBenchmark(localizations=localizations, seeds=seeds)
    follow_rows(run(sizes), count_rows(sizes), as_json)


def register(group: typer.Typer) -> None:
    """Add the commands of this file to ``dilatedloc benchmark``."""
    for command in (
        benchmark_network,
        benchmark_pipeline,
        benchmark_read,
        benchmark_decode,
        benchmark_scaling,
        benchmark_memory,
        benchmark_render,
        benchmark_drift,
    ):
        group.command(command.__name__.removeprefix("benchmark_"))(command)
