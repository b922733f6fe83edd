"""Rendering: seconds for images of a large table, and what they hold in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from napari_dilatedloc import render
from napari_dilatedloc.benchmark.rows import BenchmarkRow, median_seconds
from napari_dilatedloc.table import Localizations

PIXEL_SIZE_NM = 100.0
PRECISION_NM = 12.0  # median; log-normal, as precision follows photons that are spread so
SPREAD = 0.4
ZOOM_UM = 2.0  # side of a region such as a zoomed-in viewer shows


@dataclass(frozen=True)
class RenderBenchmark:
    """Sizes of the benchmark.

    Attributes
    ----------
    localizations : tuple of int
        Rows of the tables that are drawn.
    field_um : float
        Side of the field, um.
    pixel_nm : float
        Pixel of the image, nm.
    repeats : int
        The median counts.
    """

    localizations: tuple[int, ...] = (1_000_000, 10_000_000)
    field_um: float = 50.0
    pixel_nm: float = 10.0
    repeats: int = 3


def benchmark_render(sizes: RenderBenchmark | None = None) -> Iterator[BenchmarkRow]:
    """Measure rendering, row by row: seconds for an image, with the memory of the images' pixels.

    The rows "index" and "region" are the sorting of a table by place and, with it, the image of
    a part of 2 um that a zoomed-in viewer shows.
    """
    sizes = sizes if sizes is not None else RenderBenchmark()
    side_px = sizes.field_um * 1e3 / PIXEL_SIZE_NM
    for count in sizes.localizations:
        table = uniform_table(count, side_px)
        for name, work in _works(table, side_px, PIXEL_SIZE_NM / sizes.pixel_nm).items():
            seconds = median_seconds(work, sizes.repeats)
            details = {
                "localizations": count,
                "field_um": sizes.field_um,
                "pixel_nm": sizes.pixel_nm,
                "peak_mb": _peak_mb(work),
            }
            yield BenchmarkRow(name, seconds, "s", details)


def count_rows(sizes: RenderBenchmark | None = None) -> int:
    """Rows `benchmark_render` will give."""
    return 6 * len((sizes if sizes is not None else RenderBenchmark()).localizations)


def uniform_table(count: int, side_px: float, seed: int = 0) -> Localizations:
    """Localizations all over a square field: the hardest case, as no two share the cache."""
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(-0.5, side_px - 0.5, (2, count))
    sigma = rng.lognormal(np.log(PRECISION_NM / PIXEL_SIZE_NM), SPREAD, count)
    return Localizations.from_columns(
        frame=np.arange(count),
        y=y,
        x=x,
        z_nm=rng.uniform(-500, 500, count),
        sigma_y=sigma,
        sigma_x=sigma * rng.uniform(0.8, 1.25, count),
        sigma_z_nm=2 * PIXEL_SIZE_NM * sigma,
    )


def _works(
    table: Localizations, side_px: float, magnification: float
) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    shape = (side_px, side_px)
    part = min(ZOOM_UM * 1e3 / PIXEL_SIZE_NM, side_px)
    corner = ((side_px - part) / 2,) * 2
    index = render.PlaceIndex(table)

    def region() -> object:
        shown = index.within(corner, (part, part))
        return render.gaussian(shown, (part, part), 4 * magnification, corner=corner)

    return {
        "histogram": lambda: render.histogram(table, shape, magnification),
        "gaussian": lambda: render.gaussian(table, shape, magnification, isotropic=True),
        "gaussian-xy": lambda: render.gaussian(table, shape, magnification),
        "z": lambda: render.colour_by_z(table, shape, magnification, (-500.0, 500.0)),
        "index": lambda: render.PlaceIndex(table),
        "region": region,
    }


def _peak_mb(work: Callable[[], object]) -> float:
    """Most memory held at a time beyond the table, MB, the image included."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
