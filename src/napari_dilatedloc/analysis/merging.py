"""One row for all localizations of a blink."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.parts import whole
from napari_dilatedloc.table import Localizations

Rows = NDArray[np.intp]
Floats64 = NDArray[np.float64]

SMALLEST_SIGMA_NM = 0.1
"""A row that claims to be better than this weighs no more; 0 would weigh infinitely."""


def merge_parts(
    parts: Iterable[Localizations], blink: NDArray[np.int32], pixel_size_nm: float
) -> Iterator[Localizations]:
    """One row for each blink, in the order of their numbers.

    Held are the rows of blinks that go on, and the merged ones that come after them.

    Parameters
    ----------
    parts : iterable of Localizations
        The table in frame order.
    blink : ndarray of int (N,)
        Number of the blink of each of its rows, from 0 without gaps, in the order in which they
        begin.
    pixel_size_nm : float
        Camera pixel, nm.

    Yields
    ------
    Localizations
        As `merge` gives for the whole table.
    """
    count = int(blink.max(initial=-1)) + 1
    last = np.zeros(count, dtype=np.intp)
    last[blink] = np.arange(len(blink))
    rows, number = Localizations.empty(), blink[:0]
    waiting: list[Localizations] = []
    waiting_number = blink[:0]
    stop = 0
    for part in parts:
        number = np.concatenate([number, blink[stop : stop + len(part)]])
        rows = Localizations.concatenate([rows, part]) if len(rows) else part
        stop += len(part)
        over = last[number] < stop
        done, group = np.unique(number[over], return_inverse=True)
        waiting.append(merge(rows[over], group, pixel_size_nm))
        waiting_number = np.concatenate([waiting_number, done])
        rows, number = rows[~over], number[~over]
        first_open = number.min(initial=count)
        if waiting_number.min(initial=count) < first_open or not count:
            order = np.argsort(waiting_number)
            ready = int(np.searchsorted(waiting_number[order], first_open))
            merged = whole(waiting)
            yield merged[order[:ready]]
            waiting, waiting_number = [merged[order[ready:]]], waiting_number[order[ready:]]


def merge(table: Localizations, blink: Rows, pixel_size_nm: float) -> Localizations:
    """One row for each blink, as `linking.link` says.

    Parameters
    ----------
    table : Localizations
        In frame order.
    blink : ndarray of int (N,)
        Number of the blink of each row, from 0 without gaps.
    pixel_size_nm : float
        Camera pixel, nm.
    """
    if not len(table):
        none = np.zeros(0, dtype=np.int32)
        return table.replace(extra={**table.extra, "linked": none, "last_frame": none})
    groups = _Groups.of(blink)
    smallest_px = SMALLEST_SIGMA_NM / pixel_size_nm
    x, sigma_x = groups.weighted_mean(table.x, table.sigma_x, smallest_px)
    y, sigma_y = groups.weighted_mean(table.y, table.sigma_y, smallest_px)
    z_nm, sigma_z_nm = groups.weighted_mean(table.z_nm, table.sigma_z_nm, SMALLEST_SIGMA_NM)
    return table.replace(
        frame=groups.first(table.frame),
        x=x,
        y=y,
        z_nm=z_nm,
        photons=groups.sum(table.photons),
        bg=groups.mean(table.bg),
        prob=groups.largest(table.prob),
        sigma_x=sigma_x,
        sigma_y=sigma_y,
        sigma_z_nm=sigma_z_nm,
        sigma_photons=np.sqrt(groups.sum(table.sigma_photons.astype(np.float64) ** 2)),
        extra=_extra(table, groups),
    )


def _extra(table: Localizations, groups: _Groups) -> dict[str, NDArray[Any]]:
    """Extra columns of the blinks."""
    merged = {
        name: groups.mean(values).astype(values.dtype)
        if values.dtype.kind == "f"
        else groups.first(values)
        for name, values in table.extra.items()
    }
    linked = np.nan_to_num(table.extra.get("linked", np.ones(len(table))), nan=1.0)
    merged["linked"] = groups.sum(linked).astype(np.int32)
    merged["last_frame"] = groups.largest(last_frames(table)).astype(np.int32)
    return merged


def last_frames(table: Localizations) -> NDArray[np.int64]:
    """Frame in which each row ends, (N,).

    Rows that were not linked before, joined with some that were, know no last frame (NaN).
    """
    last = np.fmax(table.frame, table.extra.get("last_frame", table.frame))
    return np.asarray(last.astype(np.int64))


@dataclass(frozen=True)
class _Groups:
    """Rows sorted by group, and where each group begins."""

    order: Rows
    starts: Rows
    sizes: Rows

    @classmethod
    def of(cls, group: Rows) -> _Groups:
        order = np.argsort(group, kind="stable")
        sizes = np.bincount(group)
        return cls(order, np.cumsum(sizes) - sizes, sizes)

    def first(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(values[self.order][self.starts])

    def largest(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.maximum.reduceat(values[self.order], self.starts))

    def sum(self, values: NDArray[Any]) -> Floats64:
        wide = values[self.order].astype(np.float64)
        return np.asarray(np.add.reduceat(wide, self.starts))

    def mean(self, values: NDArray[Any]) -> Floats64:
        return np.asarray(self.sum(values) / self.sizes)

    def weighted_mean(
        self, values: NDArray[Any], sigma: NDArray[Any], smallest: float
    ) -> tuple[Floats64, Floats64]:
        """Mean with weights 1 / sigma^2 and its sigma; plain and NaN where one is unknown."""
        weight = 1.0 / np.maximum(sigma.astype(np.float64), smallest) ** 2
        total = self.sum(weight)
        weighted = self.sum(weight * values) / total
        return np.where(np.isnan(total), self.mean(values), weighted), 1.0 / np.sqrt(total)
