"""What drift correction leaves of a known drift, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.drift.estimate import estimate_drift
from napari_dilatedloc.analysis.drift.result import Drift
from napari_dilatedloc.benchmark.rows import BenchmarkRow
from napari_dilatedloc.config.drift import DriftConfig, DriftMethod
from napari_dilatedloc.table import Localizations, TableInfo

Array = NDArray[np.float64]

FILAMENTS, RINGS = 30, 120
RING_NM = 55.0  # radius, as of a nuclear pore
LABEL_NM = 8.0  # distance of labels from their structure, standard deviation
DEPTH_NM = 800.0
PIXEL_NM = 100.0
MODES = 6  # cosines of the drift: its fastest turns around in a sixth of the movie
BEADS = 3
SPAN_NM = (500.0, 400.0, 300.0)  # of the drift in x, y, z, peak to peak


@dataclass(frozen=True)
class DriftSample:
    """A table with known drift.

    Attributes
    ----------
    table, info : Localizations, TableInfo
        As they come from a localization, drift in them.
    drift : Drift
        The truth.
    """

    table: Localizations
    info: TableInfo
    drift: Drift


@dataclass(frozen=True)
class DriftBenchmark:
    """Sizes of the benchmark.

    Attributes
    ----------
    localizations, frames : int
        Of the sample.
    methods : tuple of str
        Those measured.
    seeds : int
        Samples measured; each gives its rows.
    """

    localizations: int = 100_000
    frames: int = 5000
    methods: tuple[DriftMethod, ...] = ("aim", "rcc", "fiducials")
    seeds: int = 1


def benchmark_drift(sizes: DriftBenchmark | None = None) -> Iterator[BenchmarkRow]:
    """Measure what is left of the drift after each method, row by row.

    For each method: rms of the residual in x, y, both (root of the sum of squares) and z in nm
    after the mean offset is taken off, and seconds.
    """
    sizes = sizes if sizes is not None else DriftBenchmark()
    for seed in range(sizes.seeds):
        for method in sizes.methods:
            beads = BEADS if method == "fiducials" else 0
            sample = simulate_drift(sizes.localizations, sizes.frames, seed=seed, beads=beads)
            start = time.perf_counter()
            found = estimate_drift(sample.table, sample.info, DriftConfig(method=method))
            seconds = time.perf_counter() - start
            details = {
                "localizations": sizes.localizations,
                "frames": sizes.frames,
                "seed": seed,
            }
            for axis, value in residual_nm(found, sample).items():
                yield BenchmarkRow(f"{method} {axis}", value, "nm rms", details)
            yield BenchmarkRow(f"{method} time", seconds, "s", details)


def count_rows(sizes: DriftBenchmark | None = None) -> int:
    """Rows `benchmark_drift` will give."""
    sizes = sizes if sizes is not None else DriftBenchmark()
    return 5 * len(sizes.methods) * sizes.seeds


def residual_nm(found: Drift, sample: DriftSample) -> dict[str, float]:
    """Root mean square over frames of what is left, mean offset taken off: x, y, lateral, z."""
    size = sample.info.pixel_size_nm
    left = {
        "x": float(np.std(found.x - sample.drift.x)) * size,
        "y": float(np.std(found.y - sample.drift.y)) * size,
        "z": float(np.std(found.z_nm - sample.drift.z_nm)),
    }
    lateral = float(np.hypot(left["x"], left["y"]))
    return {"x": left["x"], "y": left["y"], "lateral": lateral, "z": left["z"]}


def simulate_drift(
    localizations: int,
    frames: int,
    *,
    seed: int,
    size_px: int = 256,
    span_nm: tuple[float, float, float] = SPAN_NM,
    beads: int = 0,
    precision_nm: tuple[float, float] = (10.0, 15.0),
    axial_precision_nm: float = 25.0,
) -> DriftSample:
    """Filaments and rings in 3-D, blinking at random times under a smooth random drift.

    Parameters
    ----------
    localizations, frames : int
        Of the table; beads come on top, one row a frame each.
    seed : int
        Another seed is another specimen, drift and noise.
    size_px : int
        Side of the field, px of 100 nm.
    span_nm : tuple of float
        Peak to peak of the drift in x, y, z.
    beads : int
        Fiducials, found in 98% of the frames.
    precision_nm, axial_precision_nm : tuple of float, float
        Standard deviation of the error: lateral, uniform between the two; axial.
    """
    rng = np.random.default_rng(seed)
    side = size_px * PIXEL_NM
    places = [_filaments(localizations - localizations // 4, side, rng)]
    places.append(_rings(localizations // 4, side, rng))
    frame = [rng.integers(0, frames, localizations)]
    for spot in rng.uniform(
        [0.1 * side, 0.1 * side, -200], [0.9 * side, 0.9 * side, 200], (beads, 3)
    ):
        seen = np.flatnonzero(rng.random(frames) < 0.98)
        places.append(np.tile(spot, (len(seen), 1)))
        frame.append(seen)
    position, when = np.concatenate(places), np.concatenate(frame)
    order = np.argsort(when, kind="stable")
    position, when = position[order], when[order]
    moved = np.stack([smooth_drift(frames, span, rng) for span in span_nm], axis=1)
    sigma = rng.uniform(*precision_nm, len(position))
    error = rng.standard_normal(position.shape) * np.stack(
        [sigma, sigma, np.full_like(sigma, axial_precision_nm)], axis=1
    )
    seen_at = position + moved[when] + error
    table = Localizations.from_columns(
        frame=when,
        x=seen_at[:, 0] / PIXEL_NM,
        y=seen_at[:, 1] / PIXEL_NM,
        z_nm=seen_at[:, 2],
        photons=np.full(len(when), 1000.0),
        bg=np.full(len(when), 10.0),
        sigma_x=sigma / PIXEL_NM,
        sigma_y=sigma / PIXEL_NM,
        sigma_z_nm=np.full(len(when), axial_precision_nm),
    )
    info = TableInfo(pixel_size_nm=PIXEL_NM, shape=(size_px, size_px), n_frames=frames)
    truth = Drift(moved[:, 0] / PIXEL_NM, moved[:, 1] / PIXEL_NM, moved[:, 2], "truth", {})
    return DriftSample(table, info, truth)


def smooth_drift(frames: int, span_nm: float, rng: np.random.Generator) -> Array:
    """Drift of one axis in nm, (frames,), 0 in the first one.

    Cosines that get smaller as they get faster, on a straight line.
    """
    t = np.linspace(0, 1, frames)
    size = rng.standard_normal(MODES) / np.arange(1, MODES + 1)
    phase = rng.uniform(0, 2 * np.pi, MODES)
    waves = np.cos(np.pi * t[:, None] * np.arange(1, MODES + 1) + phase) @ size
    curve = waves + rng.standard_normal() * t
    curve -= curve[0]
    reach = float(np.ptp(curve))
    return np.asarray(curve * (span_nm / reach if reach else 0.0))


def _filaments(n: int, side: float, rng: np.random.Generator) -> Array:
    """Labels on winding filaments, (n, 3) as x, y, z in nm."""
    which = rng.integers(0, FILAMENTS, n)
    along = rng.uniform(-0.5, 0.5, n) * side
    start = rng.uniform(0.15, 0.85, (FILAMENTS, 2)) * side
    angle = rng.uniform(0, np.pi, FILAMENTS)[which]
    wave = rng.uniform(0, 2 * np.pi, (2, FILAMENTS))[:, which]
    bend = 0.03 * side * np.sin(2 * np.pi * along / side + wave[0])
    x = start[which, 0] + along * np.cos(angle) - bend * np.sin(angle)
    y = start[which, 1] + along * np.sin(angle) + bend * np.cos(angle)
    z = DEPTH_NM / 2 * np.sin(2 * np.pi * along / side + wave[1])
    place = np.stack([x, y, z], axis=1) + LABEL_NM * rng.standard_normal((n, 3))
    place[:, :2] = np.mod(place[:, :2], side)
    return place


def _rings(n: int, side: float, rng: np.random.Generator) -> Array:
    """Labels on flat rings, (n, 3) as x, y, z in nm."""
    centre = rng.uniform([0, 0, -DEPTH_NM / 2], [side, side, DEPTH_NM / 2], (RINGS, 3))
    which = rng.integers(0, RINGS, n)
    angle = rng.uniform(0, 2 * np.pi, n)
    ring = RING_NM * np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], axis=1)
    return np.asarray(centre[which] + ring + LABEL_NM * rng.standard_normal((n, 3)))
