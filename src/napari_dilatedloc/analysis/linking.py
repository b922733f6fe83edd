"""Blinks over consecutive frames become one row.

A localization follows one of an earlier frame if their distance is what both precisions allow
(or a fixed one). Links are made for all frames at once: first between neighbouring frames, then,
among what is still open, over one dark frame, over two, and so on. Where several pairs compete,
the closest one is taken first, then the closest of what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.merging import SMALLEST_SIGMA_NM, last_frames, merge_parts
from napari_dilatedloc.analysis.pairs import FrameGrid, closest_first, joined
from napari_dilatedloc.analysis.parts import Parts, in_frame_order, whole, whole_frames
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.table import Ints, Localizations, TableInfo

Rows = NDArray[np.intp]
Numbers = NDArray[np.int32]
Ints64 = NDArray[np.int64]
Mask = NDArray[np.bool_]
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
    parts, blink = blinks(lambda: [table], info.pixel_size_nm, config)
    merged = whole(merge_parts(parts(), blink, info.pixel_size_nm))
    return merged, info.after("link", config.settings(), len(merged))


def blinks(parts: Parts, pixel_size_nm: float, config: LinkingConfig) -> tuple[Parts, Numbers]:
    """Which rows are one blink; `merging.merge_parts` makes them one row.

    Parameters
    ----------
    parts : Parts
        In any order, but only in frame order the table is not held in memory.
    pixel_size_nm : float
        Camera pixel, nm.
    config : LinkingConfig
        Distances and dark frames.

    Returns
    -------
    parts : Parts
        The table in frame order.
    blink : ndarray of int (N,)
        Number of the blink of each of its rows, counted in the order in which they begin.

    Raises
    ------
    ValueError
        As `link`.
    """
    if not in_frame_order(parts()):
        table = whole(parts()).sorted_by_frame()
        return blinks(lambda: [table], pixel_size_nm, config)
    numbers = _numbers(whole_frames(parts()), pixel_size_nm, config)
    return parts, np.concatenate(list(numbers))


def _numbers(
    parts: Iterable[Localizations], pixel_size_nm: float, config: LinkingConfig
) -> Iterator[Numbers]:
    """Number of the blink of each row, for parts that end with a frame.

    Links into a frame depend on it and the frames before. So of the parts before, only rows that
    may still be followed are held, and the links are those of the whole table.
    """
    held, numbers, count = Localizations.empty(), np.zeros(0, np.int32), 0
    precise = config.distance_nm is not None
    empty = True
    for part in parts:
        table = Localizations.concatenate([held, part])
        gate = _Gate.of(table, pixel_size_nm, config)
        ends = last_frames(table)
        previous, followed = _previous(table.frame, ends, gate, len(held))
        begins = previous[len(held) :] < 0
        numbers = np.concatenate([numbers, count + np.cumsum(begins, dtype=np.int32) - 1])
        numbers = numbers[_roots(previous)]
        yield numbers[len(held) :]
        count += int(begins.sum())
        precise |= gate.precise
        empty &= not len(part)
        last = int(table.frame.max(initial=0))
        still = ~followed & (ends + config.dark_frames >= last)
        held, numbers = table[still], numbers[still]
    if not (precise or empty):
        raise ValueError(
            "linking by precision needs sigma_x and sigma_y, which this table lacks; "
            "give distance_nm"
        )


def _previous(frame: Ints, ends: Ints64, gate: _Gate, held: int) -> tuple[Rows, Mask]:
    """Row that each row follows, -1 if none or among the first `held`; whether one follows it."""
    previous = np.full(len(frame), -1, dtype=np.intp)
    followed = np.zeros(len(frame), dtype=bool)
    for gap in range(1, gate.config.dark_frames + 2):
        # as if it shone once more `gap` frames after its end
        before, after = np.flatnonzero(~followed), held + np.flatnonzero(previous[held:] < 0)
        grid = FrameGrid(frame[after], gate.yx[after], gate.reach)
        near = grid.candidates(ends[before] + gap, gate.yx[before])
        parts = [gate.close(before[i], after[j]) for i, j in near]
        earlier, later = closest_first(*joined(parts))
        previous[later] = earlier
        followed[earlier] = True
    return previous, followed


def _roots(previous: Rows) -> Rows:
    """First row of the chain of each row."""
    root = np.where(previous < 0, np.arange(len(previous)), previous)
    while True:  # each round doubles how far back a row sees
        further = root[root]
        if np.array_equal(further, root):
            return root
        root = further


@dataclass(frozen=True)
class _Gate:
    """What is close enough: places and variances in nm, limits in nm and standard deviations.

    `reach` is how far a search has to look: `limit`, or less where all are more precise than that.
    """

    yx: Floats64  # (N, 2)
    z: Floats64  # (N,)
    variance_yx: Floats64 | None  # (N, 2); None: a fixed lateral distance counts
    variance_z: Floats64
    config: LinkingConfig
    limit: float
    reach: float
    precise: bool

    @classmethod
    def of(cls, table: Localizations, pixel_size_nm: float, config: LinkingConfig) -> _Gate:
        """The gate of a table."""
        yx = np.stack([table.y, table.x], axis=1).astype(np.float64) * pixel_size_nm
        sigma = np.stack([table.sigma_y, table.sigma_x], axis=1).astype(np.float64) * pixel_size_nm
        known = sigma[np.isfinite(sigma).all(axis=1)]
        limit, reach, variance = config.distance_nm, config.distance_nm, None
        if limit is None or reach is None:
            largest = float(known.max(initial=SMALLEST_SIGMA_NM))
            limit = config.limit_nm
            reach = min(limit, config.sigmas * np.sqrt(2.0) * largest * (1 + 1e-9))
            variance = np.maximum(sigma, SMALLEST_SIGMA_NM) ** 2
        sigma_z = np.maximum(table.sigma_z_nm.astype(np.float64), SMALLEST_SIGMA_NM)
        z = table.z_nm.astype(np.float64)
        return cls(yx, z, variance, sigma_z**2, config, limit, float(reach), bool(len(known)))

    def close(self, i: Rows, j: Rows) -> tuple[Rows, Rows, Floats64]:
        """Pairs inside all limits, and how far apart they are in a measure that compares them."""
        apart = (self.yx[i] - self.yx[j]) ** 2
        near = apart.sum(axis=1) <= self.limit**2
        i, j, apart = i[near], j[near], apart[near]
        variance = self.variance_yx
        if variance is None:
            lateral = apart.sum(axis=1) / self.limit**2
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
