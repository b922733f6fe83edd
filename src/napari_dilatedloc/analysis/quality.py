"""Figures that tell how good a table is, and in plain words what is odd about it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.frc import RingCorrelation, located, ring_correlation
from napari_dilatedloc.analysis.halves import HalfShift, half_shift
from napari_dilatedloc.analysis.nena import Nena, nearest_neighbour_precision
from napari_dilatedloc.analysis.phases import PhaseHistogram, phases_alone
from napari_dilatedloc.analysis.quality_warnings import warnings_of
from napari_dilatedloc.table import Localizations, Step, TableInfo

T = TypeVar("T")

BINS = 60
TIME_BINS = 100
SAMPLE = 1_000_000
"""Rows that distributions are taken from; larger tables are thinned evenly."""


@dataclass(frozen=True)
class Distribution:
    """Values of a column.

    Attributes
    ----------
    median, low, high : float
        50th, 5th and 95th percentile.
    edges : ndarray (BINS + 1,)
        Of a histogram from the 0.5th to the 99.5th percentile.
    counts : ndarray (BINS,)
        Localizations in each bin.
    """

    median: float
    low: float
    high: float
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """Quality figures of a table; what could not be found is None and its reason in `missing`.

    Attributes
    ----------
    localizations, frames : int
        Rows, and frames of the movie (or up to the last one used).
    pixel_size_nm : float
        Camera pixel, nm.
    frame, per_frame : ndarray (T,) float64
        Stretches of the movie: middle frame, and localizations a frame.
    distributions : dict
        `Distribution` by name: photons, bg, prob, z_nm, sigma_lateral_nm, sigma_z_nm, as far as
        the table knows them.
    frc : RingCorrelation, optional
        Fourier ring correlation.
    nena : Nena, optional
        Precision from nearest neighbours in adjacent frames.
    shift : HalfShift, optional
        Between both halves of the movie.
    phases : PhaseHistogram
        Where within a pixel localizations lie.
    recipe : tuple of Step
        What was done to the table.
    warnings : tuple of str
        What is odd, and what to do about it.
    missing : dict
        Why a figure is None, by its name.
    """

    localizations: int
    frames: int
    pixel_size_nm: float
    frame: NDArray[np.float64]
    per_frame: NDArray[np.float64]
    distributions: dict[str, Distribution]
    frc: RingCorrelation | None
    nena: Nena | None
    shift: HalfShift | None
    phases: PhaseHistogram
    recipe: tuple[Step, ...]
    warnings: tuple[str, ...]
    missing: dict[str, str]

    def median(self, name: str) -> float:
        """Median of a distribution; NaN if the table does not know it."""
        known = self.distributions.get(name)
        return known.median if known is not None else math.nan

    def summary(self) -> dict[str, Any]:
        """Main figures as plain numbers; what is not known is None."""
        frc, nena, shift = self.frc, self.nena, self.shift
        figures = {
            "localizations": self.localizations,
            "frames": self.frames,
            "per_frame": self.localizations / max(1, self.frames),
            "frc_resolution_nm": frc.resolution_nm if frc else None,
            "frc_spread_nm": frc.spread_nm if frc else None,
            "nena_sigma_nm": nena.sigma_nm if nena else None,
            "half_shift_nm": shift.distance_nm if shift else None,
            "phase_flatness": self.phases.flatness,
            "phase_p": self.phases.p,
            **{f"median_{name}": one.median for name, one in self.distributions.items()},
            "warnings": list(self.warnings),
        }
        plain: dict[str, Any] = _plain(figures)
        return plain

    def to_dict(self) -> dict[str, Any]:
        """Everything as values that JSON holds."""
        columns = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {"summary": self.summary(), **columns}


def quality(table: Localizations, info: TableInfo, *, seed: int = 0) -> Quality:
    """Quality figures of a table.

    Parameters
    ----------
    table : Localizations
        In any order.
    info : TableInfo
        Pixel size; number of frames and shape, if known, and the recipe.
    seed : int
        Of the random halves.
    """
    if len(located(table)) == 0:
        raise ValueError("the table is empty, its quality cannot be told; localize first")
    size, missing = info.pixel_size_nm, dict[str, str]()
    frames = max(info.n_frames or 0, int(table.frame.max()) + 1)
    frame, per_frame = _over_time(table.frame, frames)
    found = Quality(
        localizations=len(table),
        frames=frames,
        pixel_size_nm=size,
        frame=frame,
        per_frame=per_frame,
        distributions=_distributions(table, size),
        frc=_try("frc", missing, lambda: ring_correlation(table, size, seed=seed)),
        nena=_try("nena", missing, lambda: nearest_neighbour_precision(table, size)),
        shift=_try("shift", missing, lambda: half_shift(table, size, seed=seed)),
        phases=phases_alone(np.stack([table.x, table.y], axis=1).astype(np.float64)),
        recipe=info.recipe,
        warnings=(),
        missing=missing,
    )
    values = {f.name: getattr(found, f.name) for f in fields(found)}
    return Quality(**{**values, "warnings": warnings_of(found, table, info)})


def _try(name: str, missing: dict[str, str], work: Callable[[], T]) -> T | None:
    """A figure, or why there is none."""
    try:
        return work()
    except ValueError as error:
        missing[name] = str(error)
        return None


def _over_time(
    frame: NDArray[np.int32], frames: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    edges = np.unique(np.linspace(0, frames, min(frames, TIME_BINS) + 1).astype(int))
    counts, _ = np.histogram(frame, bins=edges)
    return (edges[1:] + edges[:-1] - 1) / 2, counts / np.diff(edges)


def _distributions(table: Localizations, pixel_size_nm: float) -> dict[str, Distribution]:
    every = slice(None, None, max(1, len(table) // SAMPLE))
    lateral = np.sqrt((table.sigma_x[every] ** 2 + table.sigma_y[every] ** 2) / 2) * pixel_size_nm
    columns: dict[str, NDArray[Any]] = {
        "photons": table.photons[every],
        "bg": table.bg[every],
        "prob": table.prob[every],
        "z_nm": table.z_nm[every],
        "sigma_lateral_nm": lateral,
        "sigma_z_nm": table.sigma_z_nm[every],
    }
    known = {name: values[np.isfinite(values)].astype(float) for name, values in columns.items()}
    return {name: _distribution(values) for name, values in known.items() if len(values)}


def _distribution(values: NDArray[np.float64]) -> Distribution:
    low, median, high, first, last = np.percentile(values, (5, 50, 95, 0.5, 99.5))
    if not last > first:
        first, last = first - 0.5, last + 0.5
    counts, edges = np.histogram(values, bins=BINS, range=(first, last))
    return Distribution(float(median), float(low), float(high), edges, counts)


def _plain(value: Any) -> Any:
    """Values that JSON holds: it knows neither NaN nor arrays."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
