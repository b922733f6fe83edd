"""Decoding: raw network output to localizations on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_dilatedloc.benchmark.rows import BenchmarkRow, median_seconds
from napari_dilatedloc.config import CalibrationConfig, SimulationConfig
from napari_dilatedloc.inference.device import choose_device
from napari_dilatedloc.inference.transfer import to_host
from napari_dilatedloc.network.decode import decode
from napari_dilatedloc.network.output import CHANNELS, scaling_for

SPACING_PX = 4
"""Between molecules, so that each has a peak of its own."""


@dataclass(frozen=True)
class DecodeBenchmark:
    """Sizes of the benchmark.

    Attributes
    ----------
    localizations : int
        In a batch.
    batches : tuple of (int, int)
        (frames, side in px) of the batches.
    repeats : int
        Repeats whose median is taken.
    device : str
        Where it runs.
    """

    localizations: int = 10_000
    batches: tuple[tuple[int, int], ...] = ((64, 128), (16, 256), (4, 512))
    repeats: int = 20
    device: str = "cpu"


def benchmark_decode(sizes: DecodeBenchmark | None = None) -> Iterator[BenchmarkRow]:
    """Measure decoding, row by row."""
    sizes = sizes if sizes is not None else DecodeBenchmark()
    device = choose_device(sizes.device)
    scaling = scaling_for(SimulationConfig(), (-700.0, 700.0))
    for frames, side in sizes.batches:
        raw = raw_output(frames, side, sizes.localizations).to(device)
        found = 0

        def work(raw: Tensor = raw) -> None:
            nonlocal found
            decoded = decode(
                raw, 0.5, channels=CHANNELS, scaling=scaling, calibration=CalibrationConfig()
            )
            found = to_host(decoded)[0].shape[-1]

        with torch.inference_mode():
            seconds = median_seconds(work, sizes.repeats)
        details = {
            "frames": frames,
            "size": side,
            "localizations": found,
            "localizations_per_second": found / seconds,
        }
        yield BenchmarkRow("decode", 1e3 * seconds, "ms/batch", details)


def count_rows(sizes: DecodeBenchmark | None = None) -> int:
    """Rows `benchmark_decode` will give."""
    return len((sizes if sizes is not None else DecodeBenchmark()).batches)


def raw_output(frames: int, side: int, localizations: int) -> Tensor:
    """Output of a network that finds so many molecules, (frames, C, side, side).

    Raises
    ------
    ValueError
        If so many have no room.
    """
    a_row = side // SPACING_PX
    if localizations > frames * a_row**2:
        raise ValueError(
            f"{localizations} molecules have no room in {frames} frames of {side} px; take more "
            "frames or fewer molecules"
        )
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(frames, len(CHANNELS), side, side, generator=generator)
    logit = raw[:, CHANNELS.index("prob")]
    logit.sub_(8.0)
    places = torch.randperm(frames * a_row**2, generator=generator)[:localizations]
    frame, place = places // a_row**2, places % a_row**2
    logit[frame, SPACING_PX * (place // a_row) + 1, SPACING_PX * (place % a_row) + 1] = 4.0
    return raw.to(memory_format=torch.channels_last)
