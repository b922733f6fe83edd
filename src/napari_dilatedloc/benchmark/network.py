"""Networks: milliseconds a frame, as their authors run them and in our fast engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dilatedloc.benchmark.rows import BenchmarkRow
from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.device import choose_device, fast_bfloat16
from napari_dilatedloc.inference.engine import build_engine
from napari_dilatedloc.network.registry import as_network, build_network, count_macs

Mode = Literal["published", "fast"]
MODES: tuple[Mode, ...] = ("published", "fast")

NETWORKS = ("dilatedloc", "dilatedloc-2024", "fd-deeploc", "decode", "liteloc")
BY_WINDOW = ("decode",)
"""Networks whose authors compute every window by itself, a frame's features three times."""
PEAK_CHANNELS, PEAK_SIZE, PEAK_IMAGES = 64, 64, 8
"""Of the convolution that stands for what the machine can do: 3x3, as many channels out."""


@dataclass(frozen=True)
class NetworkBenchmark:
    """Sizes of the benchmark.

    Attributes
    ----------
    networks : tuple of str
        Registry names.
    sizes : tuple of int
        Sides of the frames, px.
    frames : int
        Frames a call gives.
    repeats : int
        Rounds; in each everything is timed once, and the median counts.
    engine, device : str
        Of the fast mode, and where all run.
    seed : int
        Of weights and frames.
    """

    networks: tuple[str, ...] = NETWORKS
    sizes: tuple[int, ...] = (64, 128)
    frames: int = 10
    repeats: int = 5
    engine: Literal["auto", "exact", "torch", "compiled", "openvino"] = "auto"
    device: str = "cpu"
    seed: int = 0


def benchmark_network(sizes: NetworkBenchmark | None = None) -> Iterator[BenchmarkRow]:
    """Measure networks, row by row; all of one frame size are timed in turn, round by round."""
    sizes = sizes if sizes is not None else NetworkBenchmark()
    device = choose_device(sizes.device)
    peaks = {name: convolution_peak(device, name, sizes.repeats) for name in _precisions(device)}
    for precision, peak in peaks.items():
        yield BenchmarkRow("convolution peak", peak, "GFLOP/s", {"precision": precision})
    for size in sizes.sizes:
        yield from _one_size(sizes, size, device, peaks)


def count_rows(sizes: NetworkBenchmark | None = None) -> int:
    """Rows `benchmark_network` will give."""
    sizes = sizes if sizes is not None else NetworkBenchmark()
    peaks = len(_precisions(choose_device(sizes.device)))
    return peaks + len(MODES) * len(sizes.networks) * len(sizes.sizes)


def convolution_peak(device: torch.device, precision: str, repeats: int = 5) -> float:
    """Fastest 3x3 convolution between 64 channels here, GFLOP/s."""
    layer = nn.Conv2d(PEAK_CHANNELS, PEAK_CHANNELS, 3, padding=1, bias=False).to(device)
    layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(PEAK_IMAGES, PEAK_CHANNELS, PEAK_SIZE, PEAK_SIZE, device=device)
    x = x.to(memory_format=torch.channels_last)
    if precision == "bfloat16":
        layer, x = layer.bfloat16(), x.bfloat16()
    flop = 2 * PEAK_IMAGES * PEAK_SIZE**2 * layer.weight.numel()

    def work() -> None:
        for _ in range(10):
            F.conv2d(x, layer.weight, padding=1)

    with torch.inference_mode():
        work()
        seconds = min(_seconds(work, device) for _ in range(max(3, repeats)))
    return float(10 * flop / seconds / 1e9)


def _one_size(
    sizes: NetworkBenchmark, size: int, device: torch.device, peaks: dict[str, float]
) -> Iterator[BenchmarkRow]:
    """Rows of one frame size, after all rounds."""
    cases = {
        (name, mode): _case(name, mode, sizes, size, device)
        for name in sizes.networks
        for mode in MODES
    }
    times: dict[tuple[str, Mode], list[float]] = {key: [] for key in cases}
    for key in cases:
        cases[key].work()
    for _ in range(max(1, sizes.repeats)):
        for key, case in cases.items():
            times[key].append(_seconds(case.work, device))
    for (name, mode), case in cases.items():
        ms = 1e3 * median(times[name, mode]) / sizes.frames
        flop = 2 * count_macs(build_network(name), size)
        rate = flop / ms / 1e6
        yield BenchmarkRow(
            f"{name}, {mode}",
            ms,
            "ms/frame",
            {
                "network": name,
                "mode": mode,
                "size": size,
                "ms_per_frame": ms,
                "engine": case.engine,
                "precision": case.precision,
                "gflop_per_s": rate,
                "share_of_peak": rate / peaks.get(case.precision, peaks["float32"]),
            },
        )


@dataclass(frozen=True)
class _Case:
    work: Callable[[], object]
    engine: str
    precision: str


def _case(name: str, mode: Mode, sizes: NetworkBenchmark, size: int, device: torch.device) -> _Case:
    """One network in one mode, ready to be timed."""
    torch.manual_seed(sizes.seed)
    module = build_network(name).to(device).eval().requires_grad_(False)
    window = as_network(module).window
    x = torch.randn(1, sizes.frames + window - 1, size, size, device=device)
    if mode == "fast":
        config = LocalizeConfig(engine=sizes.engine, device=str(device))
        engine = build_engine(module, device, config)
        return _Case(lambda: engine(x), engine.name, engine.precision)
    frames = _windows(x, window) if name in BY_WINDOW else x

    def work() -> Tensor:
        with torch.inference_mode():
            raw: Tensor = module(frames)
            return raw

    return _Case(work, "eager", "float32")


def _windows(x: Tensor, window: int) -> Tensor:
    """A run of frames (1, T, H, W) as its windows (T - window + 1, window, H, W)."""
    return x[0].unfold(0, window, 1).movedim(-1, 1).contiguous()


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _precisions(device: torch.device) -> tuple[str, ...]:
    return ("float32", "bfloat16") if fast_bfloat16(device) else ("float32",)
