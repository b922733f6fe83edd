"""Simulation: patches, emitters and pixels per second, and its time beside a network's step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from napari_dilatedloc.benchmark.rows import BenchmarkRow, median_seconds
from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import CameraConfig, EMCCDConfig, SCMOSConfig, SimulationConfig
from napari_dilatedloc.network.registry import as_network, build_network
from napari_dilatedloc.psf.compile import compile_psf
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.vectorial import VectorialPSF
from napari_dilatedloc.simulation.simulator import Simulator

PATCH_PX = {"astigmatism": 40, "saddle-point": 40, "tetrapod-3um": 64, "tetrapod-6um": 96}
"""Side of a patch: about twice the widest spot."""
DENSITY_PER_UM2 = {
    "astigmatism": (0.1, 1.0),
    "saddle-point": (0.1, 1.0),
    "tetrapod-3um": (0.03, 0.3),
    "tetrapod-6um": (0.01, 0.1),
}
"""The wider the spots, the fewer of them a frame can hold."""
CAMERAS: dict[str, CameraConfig] = {"scmos": SCMOSConfig(), "emccd": EMCCDConfig()}


@dataclass(frozen=True)
class SimulationBenchmark:
    """Sizes of the benchmark.

    Attributes
    ----------
    presets, cameras : tuple of str
        PSFs and cameras that are simulated.
    batch, frames : int
        Patches of a batch, frames of a patch.
    network : str
        Whose step the simulation is compared with, by registry name.
    repeats : int
        Repeats whose median is taken.
    seed : int
        Of the movies.
    """

    presets: tuple[str, ...] = tuple(PRESETS)
    cameras: tuple[str, ...] = tuple(CAMERAS)
    batch: int = 16
    frames: int = 3
    network: str = "dilatedloc"
    repeats: int = 5
    seed: int = 0


def benchmark_simulation(sizes: SimulationBenchmark | None = None) -> Iterator[BenchmarkRow]:
    """Measure simulation on the CPU, row by row."""
    sizes = sizes if sizes is not None else SimulationBenchmark()
    for name in sizes.presets:
        psf = compile_psf(VectorialPSF(PRESETS[name]))
        config = SimulationConfig(density_per_um2=DENSITY_PER_UM2[name])
        step_s = _network_step_s(sizes, PATCH_PX[name])
        for camera in sizes.cameras:
            simulator = Simulator(psf, build_camera(CAMERAS[camera]), config)
            yield from _throughput(simulator, sizes, name, camera, step_s)


def count_rows(sizes: SimulationBenchmark | None = None) -> int:
    """Rows `benchmark_simulation` will give."""
    sizes = sizes if sizes is not None else SimulationBenchmark()
    return 4 * len(sizes.presets) * len(sizes.cameras)


def _throughput(
    simulator: Simulator, sizes: SimulationBenchmark, name: str, camera: str, step_s: float
) -> Iterator[BenchmarkRow]:
    """Rates of one PSF and camera, and the share of a step that simulation takes."""
    side = PATCH_PX[name]
    generator = torch.Generator().manual_seed(sizes.seed)
    emitters: list[int] = []

    @torch.no_grad()
    def draw() -> None:
        batch = simulator.draw(sizes.batch, sizes.frames, (side, side), generator)
        simulator.camera.to_photons(batch.adu)
        emitters.append(len(batch.emitters.id))

    seconds = median_seconds(draw, sizes.repeats)
    details = {
        "psf": name,
        "camera": camera,
        "batch": sizes.batch,
        "frames": sizes.frames,
        "patch_px": side,
    }
    pixels = sizes.batch * sizes.frames * side**2
    yield BenchmarkRow("patches", sizes.batch / seconds, "patches/s", details)
    yield BenchmarkRow("emitters", sum(emitters) / len(emitters) / seconds, "emitters/s", details)
    yield BenchmarkRow("pixels", pixels / seconds / 1e6, "Mpixel/s", details)
    timed = {"simulation_ms": 1e3 * seconds, "network_ms": 1e3 * step_s, "network": sizes.network}
    yield BenchmarkRow(
        "share of a step", 100 * seconds / (seconds + step_s), "%", {**details, **timed}
    )


def _network_step_s(sizes: SimulationBenchmark, side: int) -> float:
    """Seconds of the network's forward and backward pass over a batch; loss and update are less."""
    module = build_network(sizes.network).train()
    network = as_network(module)
    side = -(-side // network.multiple) * network.multiple
    generator = torch.Generator().manual_seed(sizes.seed)
    frames = torch.randn(sizes.batch, sizes.frames, side, side, generator=generator)

    def step() -> None:
        module.zero_grad(set_to_none=True)
        network(frames).square().mean().backward()

    return median_seconds(step, max(1, sizes.repeats // 2))
