"""Ranges that are dragged over a million rows: a change looks at one column only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.filters import Mask, filter_mask, within
from napari_dilatedloc.analysis.quantities import quantity
from napari_dilatedloc.config.filters import FilterConfig, OpenRange
from napari_dilatedloc.table import Localizations, TableInfo

MOST_RANGES = 255
"""Ranges at a time: broken ones are counted in a byte a row."""


@dataclass(frozen=True)
class Histogram:
    """Counts of one column.

    Attributes
    ----------
    edges : ndarray (bins + 1,)
        Borders of the bins, in the unit of the column.
    counts : ndarray of int (bins,)
        All rows.
    kept : ndarray of int (bins,)
        Rows that the ranges of all other columns (and what else the filter says) keep.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.intp]
    kept: NDArray[np.intp]


class RangeFilter:
    """Ranges of columns of one table, with a mask that follows them at once.

    For each range one bool a row says whether it is broken, and a byte a row counts how many are.
    A new range exchanges the first and corrects the second. Everything else of a filter
    (expression, edge, duplicates, density) is judged once, when it is set.

    Parameters
    ----------
    table, info : Localizations, TableInfo
        What is filtered; it is not changed.
    config : FilterConfig, optional
        What holds at the beginning.
    """

    def __init__(
        self, table: Localizations, info: TableInfo, config: FilterConfig | None = None
    ) -> None:
        self._table, self._info = table, info
        self._columns: dict[str, NDArray[Any]] = {}
        self._bins: dict[str, tuple[tuple[int, float, float], NDArray[np.uint16]]] = {}
        self._broken: dict[str, Mask] = {}
        self._count = np.zeros(len(table), dtype=np.uint8)
        self._rest = np.ones(len(table), dtype=bool)
        self._config = FilterConfig()
        if config is not None:
            self.set_config(config)

    @property
    def config(self) -> FilterConfig:
        """What holds now.

        `filter_mask` gives the same mask from it, but for duplicates and density, which there look
        at what the ranges leave.
        """
        return self._config

    @property
    def mask(self) -> Mask:
        """Rows that are kept, bool (N,)."""
        return np.asarray((self._count == 0) & self._rest)

    def set_config(self, config: FilterConfig) -> None:
        """Exchange everything."""
        self._check(config)
        self._rest = filter_mask(self._table, self._info, config.replace(ranges={}))
        for name in set(self._config.ranges) - set(config.ranges):
            self._exchange(name, (None, None))
        for name, limits in config.ranges.items():
            self._exchange(name, limits)
        self._config = config

    def set_range(self, column: str, low: float | None, high: float | None) -> None:
        """Exchange the range of one column; None leaves a side open.

        Raises
        ------
        ValueError
            If there is no such column, or the range runs downwards.
        """
        config = self._config.with_range(column, low, high)
        self._check(config)
        self._exchange(column, (low, high))
        self._config = config

    def histogram(
        self, column: str, bins: int = 100, span: tuple[float, float] | None = None
    ) -> Histogram:
        """Counts of one column, of all rows and of those that the other ranges keep.

        Parameters
        ----------
        column : str
            Its name.
        bins : int
            Number of bins, up to 65534.
        span : tuple of float, optional
            Lowest and highest value that is counted; default: all that are finite.
        """
        if not 1 <= bins <= np.iinfo(np.uint16).max - 1:
            raise ValueError(f"bins must be 1 to 65534, got {bins}")
        low, high = span or self._span(column)
        index = self._index(column, bins, low, high)
        own = self._broken.get(column)
        others = self._count == 0 if own is None else self._count == own
        kept = np.bincount(index[others & self._rest], minlength=bins + 1)
        counts = np.bincount(index, minlength=bins + 1)
        return Histogram(np.linspace(low, high, bins + 1), counts[:bins], kept[:bins])

    def _check(self, config: FilterConfig) -> None:
        """Refuse what cannot be done before anything is changed."""
        if len(config.ranges) > MOST_RANGES:
            raise ValueError(
                f"at most {MOST_RANGES} ranges at a time, got {len(config.ranges)}; take some away"
            )
        for column in config.ranges:
            self.values(column)

    def values(self, column: str) -> NDArray[Any]:
        """One column, (N,), in its unit."""
        if column not in self._columns:
            self._columns[column] = quantity(self._table, column, self._info.pixel_size_nm)
        return self._columns[column]

    def _exchange(self, column: str, limits: OpenRange) -> None:
        values = self.values(column)
        before = self._broken.pop(column, None)
        if before is not None:
            self._count -= before
        if limits == (None, None):
            return
        broken = ~within(values, limits)
        self._count += broken
        self._broken[column] = broken

    def _span(self, column: str) -> tuple[float, float]:
        values = self.values(column)
        finite = values[np.isfinite(values)]
        if not len(finite):
            return 0.0, 1.0
        low, high = float(finite.min()), float(finite.max())
        return (low, high) if high > low else (low - 0.5, low + 0.5)

    def _index(self, column: str, bins: int, low: float, high: float) -> NDArray[np.uint16]:
        """Bin of each row; `bins` for those outside. Kept until other bins are asked for."""
        known = self._bins.get(column)
        if known is not None and known[0] == (bins, low, high):
            return known[1]
        values = self.values(column).astype(np.float64)
        inside = (values >= low) & (values <= high)  # NaN is outside
        place = np.where(inside, (values - low) * (bins / (high - low)), bins)
        index = np.minimum(place, np.where(inside, bins - 1, bins)).astype(np.uint16)
        self._bins[column] = ((bins, low, high), index)
        return index
