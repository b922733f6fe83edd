"""PSFs: ROIs per second, exact and compiled, their difference, compile time, fits per second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_dilatedloc.benchmark.rows import BenchmarkRow, median_seconds
from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.compile import compile_psf, largest_difference
from napari_dilatedloc.psf.fit import fit_emitters
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.vectorial import VectorialPSF

PHOTONS, BG = 5000.0, 50.0
"""Of the emitters that are fitted."""
SMALL_ROI = 35
"""Up to this side the measured ROIs are of the astigmatic preset, above of the 6 um tetrapod."""


@dataclass(frozen=True)
class PSFBenchmark:
    """Sizes of the benchmark.

    Attributes
    ----------
    roi_sizes, fit_sizes : tuple of int
        Sides of the ROIs that are drawn and fitted, px.
    rois, exact_rois, fits : int
        How many are drawn compiled, drawn exactly, and fitted, in one repeat.
    chunks : tuple of int
        ROIs drawn at a time; the fastest counts.
    repeats : int
        Repeats whose median is taken.
    presets : tuple of str
        Presets that are compiled.
    seed : int
        Of the emitters.
    """

    roi_sizes: tuple[int, ...] = (25, 51)
    fit_sizes: tuple[int, ...] = (15, 25, 51)
    rois: int = 8192
    exact_rois: int = 256
    fits: int = 2000
    chunks: tuple[int, ...] = (64, 256, 1024, 4096)
    repeats: int = 5
    presets: tuple[str, ...] = tuple(PRESETS)
    seed: int = 0


def benchmark_psf(sizes: PSFBenchmark | None = None) -> Iterator[BenchmarkRow]:
    """Measure PSFs on the CPU, row by row."""
    sizes = sizes if sizes is not None else PSFBenchmark()
    for roi_size in sizes.roi_sizes:
        yield from _drawing(sizes, roi_size)
    for name in sizes.presets:
        yield from _compiling(name)
    for roi_size in sizes.fit_sizes:
        yield _fitting(sizes, roi_size)


def count_rows(sizes: PSFBenchmark | None = None) -> int:
    """Rows `benchmark_psf` will give."""
    sizes = sizes if sizes is not None else PSFBenchmark()
    return 3 * len(sizes.roi_sizes) + 2 * len(sizes.presets) + len(sizes.fit_sizes)


def _drawing(sizes: PSFBenchmark, roi_size: int) -> Iterator[BenchmarkRow]:
    """ROIs per second of the compiled and of the exact PSF."""
    name = _preset_for(roi_size)
    exact = VectorialPSF(PRESETS[name].replace(roi_size=roi_size))
    compiled = compile_psf(exact)
    details = {"psf": name, "roi_size": roi_size}
    rates = {
        chunk: _rois_per_s(compiled, sizes.rois, chunk, torch.float32, sizes)
        for chunk in sizes.chunks
    }
    chunk = max(rates, key=rates.__getitem__)
    knots = {"knots_per_px": compiled.config.oversampling, "chunk": chunk}
    compiled_details = {**details, "dtype": "float32", **knots}
    yield BenchmarkRow("compiled", rates[chunk], "ROIs/s", compiled_details)
    for dtype in (torch.float32, torch.float64):
        rate = _rois_per_s(exact, sizes.exact_rois, sizes.exact_rois, dtype, sizes)
        of_dtype = {**details, "dtype": str(dtype).removeprefix("torch.")}
        yield BenchmarkRow("exact", rate, "ROIs/s", of_dtype)


def _rois_per_s(psf: PSF, count: int, chunk: int, dtype: torch.dtype, sizes: PSFBenchmark) -> float:
    parts = [part.split(chunk) for part in _positions(psf, count, dtype, sizes.seed)]

    def draw() -> None:
        for z_nm, y, x in zip(*parts, strict=True):
            psf.rois(z_nm, y, x)

    with torch.no_grad():
        return count / median_seconds(draw, sizes.repeats)


def _compiling(name: str) -> Iterator[BenchmarkRow]:
    """Seconds to compile a preset, and how far it is from the exact model then."""
    exact = VectorialPSF(PRESETS[name])
    start = time.perf_counter()
    compiled = compile_psf(exact)
    seconds = time.perf_counter() - start
    config = compiled.config
    details = {"psf": name, "roi_size": config.roi_size, "knots_per_px": config.oversampling}
    yield BenchmarkRow("compile", seconds, "s", details)
    # other emitters than the compiler itself looked at
    percent = 100 * largest_difference(compiled, exact, probes=200, seed=1)
    yield BenchmarkRow("compiled against exact", percent, "% of the peak at most", details)


def _fitting(sizes: PSFBenchmark, roi_size: int) -> BenchmarkRow:
    """Maximum-likelihood fits per second, starts included."""
    name = _preset_for(roi_size)
    config: VectorialPSFConfig = PRESETS[name].replace(roi_size=roi_size + 2)
    psf = compile_psf(VectorialPSF(config))
    generator = torch.Generator().manual_seed(sizes.seed)
    with torch.no_grad():
        rois = psf.rois(*_positions(psf, sizes.fits, torch.float32, sizes.seed))
    rois = torch.poisson(rois[:, 1:-1, 1:-1] * PHOTONS + BG, generator)
    fit = fit_emitters(rois, psf)
    seconds = median_seconds(lambda: fit_emitters(rois, psf), sizes.repeats)
    details = {
        "psf": name,
        "roi_size": roi_size,
        "photons": PHOTONS,
        "bg": BG,
        "converged": float(fit.converged.mean()),
        "mean_steps": float(fit.n_steps.mean()),
    }
    return BenchmarkRow("fit", sizes.fits / seconds, "fits/s", details)


def _positions(
    psf: PSF, count: int, dtype: torch.dtype, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Random z (nm), y and x (px) over the range of the PSF and within the central pixel."""
    generator = torch.Generator().manual_seed(seed)
    z, y, x = torch.rand(3, count, generator=generator, dtype=dtype)
    low, high = psf.config.z_range_nm
    return low + (high - low) * z, y - 0.5, x - 0.5


def _preset_for(roi_size: int) -> str:
    return "astigmatism" if roi_size <= SMALL_ROI else "tetrapod-6um"
