"""Blinks over consecutive frames become one row.

A localization follows one of an earlier frame if their distance is what both precisions allow
(or a fixed one). Links are made for all frames at once: first between neighbouring frames, then,
among what is still open, over one dark frame, over two, and so on. Where several pairs compete,
the closest one is taken first, then the closest of what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.merging import SMALLEST_SIGMA_NM, merge
from napari_dilatedloc.analysis.pairs import FrameGrid, closest_first, joined
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.table import Localizations, TableInfo

Rows = NDArray[np.intp]
Floats64 = NDArray[np.float64]


def link(
    table: Localizations, info: TableInfo, config: LinkingConfig | None = None
) -> tuple[Localizations, TableInfo]:
    """Merge localizations of one blink.

    Positions are means weighted by 1 / sigma^2 and ``sigma = 1 / sqrt(sum 1 / sigma^2)``, the
    maximum of the likelihood for independent Gaussian errors; if a sigma of a blink is unknown,
    its mean is plain and the sigma NaN. Photons are summed (`sigma_photons` in squares), `bg` is a
    mean, `prob` the largest, `frame` the first.

    Parameters
    ----------
    table, info : Localizations, TableInfo
        In any order; a table that was linked before may be linked further.
    config : LinkingConfig, optional
        Distances and dark frames.

    Returns
    -------
    table, info : Localizations, TableInfo
        By frame; extra columns `linked` (rows that were merged) and `last_frame`; other extra
        columns are means (integers: of the first row). The recipe has one more step, ``"link"``.

    Raises
    ------
    ValueError
        If no distance is given and the table has no precision.
    """
    config = config or LinkingConfig()
    table = table.sorted_by_frame()
    merged = merge(table, blinks(table, info.pixel_size_nm, config), info.pixel_size_nm)
    return merged, info.after("link", config.settings(), len(merged))


def blinks(table: Localizations, pixel_size_nm: float, config: LinkingConfig) -> Rows:
    """Number of the blink of each row, (N,), counted in the order in which they begin.

    Parameters
    ----------
    table : Localizations
        In frame order.
    pixel_size_nm : float
        Camera pixel, nm.
    config : LinkingConfig
        Distances and dark frames.
    """
    frame = table.frame.astype(np.int64)
    if (np.diff(frame) < 0).any():
        raise ValueError("blinks need a table in frame order; use table.sorted_by_frame()")
    previous = _previous(table, frame, _Gate.of(table, pixel_size_nm, config), config.dark_frames)
    root = np.where(previous < 0, np.arange(len(table)), previous)
    while True:  # each round doubles how far back a row sees
        further = root[root]
        if np.array_equal(further, root):
            break
        root = further
    begins = previous < 0
    return np.asarray((np.cumsum(begins) - 1)[root])


def _previous(table: Localizations, frame: Any, gate: _Gate, dark_frames: int) -> Rows:
    """Row that each row follows, -1 if none, (N,)."""
    previous = np.full(len(table), -1, dtype=np.intp)
    # fmax: rows that were not linked before, joined with some that were, know no last frame
    ends = np.fmax(frame, table.extra.get("last_frame", frame)).astype(np.int64)
    followed = np.zeros(len(table), dtype=bool)
    for gap in range(1, dark_frames + 2):
        # as if it shone once more `gap` frames after its end
        before, after = np.flatnonzero(~followed), np.flatnonzero(previous < 0)
        grid = FrameGrid(frame[after], gate.yx[after], gate.reach)
        near = grid.candidates(ends[before] + gap, gate.yx[before])
        parts = [gate.close(before[i], after[j]) for i, j in near]
        earlier, later = closest_first(*joined(parts))
        previous[later] = earlier
        followed[earlier] = True
    return previous


@dataclass(frozen=True)
class _Gate:
    """What is close enough: places and variances in nm, limits in nm and standard deviations."""

    yx: Floats64  # (N, 2)
    z: Floats64  # (N,)
    variance_yx: Floats64 | None  # (N, 2); None: a fixed lateral distance counts
    variance_z: Floats64
    config: LinkingConfig
    reach: float

    @classmethod
    def of(cls, table: Localizations, pixel_size_nm: float, config: LinkingConfig) -> _Gate:
        """The gate of a table."""
        yx = np.stack([table.y, table.x], axis=1).astype(np.float64) * pixel_size_nm
        sigma = np.stack([table.sigma_y, table.sigma_x], axis=1).astype(np.float64) * pixel_size_nm
        reach, variance = config.distance_nm, None
        if reach is None:
            known = sigma[np.isfinite(sigma).all(axis=1)]
            if len(table) and not len(known):
                raise ValueError(
                    "linking by precision needs sigma_x and sigma_y, which this table lacks; "
                    "give distance_nm"
                )
            sigma = np.maximum(sigma, SMALLEST_SIGMA_NM)
            largest = float(known.max(initial=SMALLEST_SIGMA_NM))
            reach = min(config.limit_nm, config.sigmas * np.sqrt(2.0) * largest)
            variance = sigma**2
        sigma_z = np.maximum(table.sigma_z_nm.astype(np.float64), SMALLEST_SIGMA_NM)
        return cls(yx, table.z_nm.astype(np.float64), variance, sigma_z**2, config, float(reach))

    def close(self, i: Rows, j: Rows) -> tuple[Rows, Rows, Floats64]:
        """Pairs inside all limits, and how far apart they are in a measure that compares them."""
        apart = (self.yx[i] - self.yx[j]) ** 2
        near = apart.sum(axis=1) <= self.reach**2
        i, j, apart = i[near], j[near], apart[near]
        variance = self.variance_yx
        if variance is None:
            lateral = apart.sum(axis=1) / self.reach**2
            inside = np.ones(len(i), dtype=bool)
        else:
            lateral = (apart / (variance[i] + variance[j])).sum(axis=1)
            inside = lateral <= self.config.sigmas**2  # False where a sigma is unknown
        axial = self._axial(i, j)
        most = 1.0 if self.config.axial_nm is not None else self.config.sigmas**2
        inside &= ~(axial > most)  # a z that is unknown speaks against nothing
        total = lateral + np.nan_to_num(axial)
        return i[inside], j[inside], total[inside]

    def _axial(self, i: Rows, j: Rows) -> Floats64:
        """Squared axial distance in the unit of its limit, or in standard deviations."""
        apart = (self.z[i] - self.z[j]) ** 2
        if self.config.axial_nm is not None:
            return np.asarray(apart / self.config.axial_nm**2)
        if self.variance_yx is None:
            return np.zeros(len(i))
        return np.asarray(apart / (self.variance_z[i] + self.variance_z[j]))
