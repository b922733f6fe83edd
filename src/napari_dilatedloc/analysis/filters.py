"""Which rows of a table are kept. A filter gives a mask; undo is keeping the table it was made for.

`ranges.py` has the same for a form in which ranges are dragged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.density import has_neighbours
from napari_dilatedloc.analysis.duplicates import not_duplicated
from napari_dilatedloc.analysis.expression import parse
from napari_dilatedloc.analysis.parts import (
    Parts,
    Places,
    chosen,
    in_frame_order,
    whole,
    whole_frames,
)
from napari_dilatedloc.analysis.quantities import positions_nm, quantity
from napari_dilatedloc.config.filters import FilterConfig, OpenRange
from napari_dilatedloc.table import Localizations, TableInfo

Mask = NDArray[np.bool_]


def filter_table(
    table: Localizations, info: TableInfo, config: FilterConfig
) -> tuple[Localizations, TableInfo]:
    """Rows that a filter keeps, and the recipe with one more step, ``"filter"``.

    Raises
    ------
    ValueError
        As `filter_mask`.

    Examples
    --------
    >>> table = Localizations.from_columns(
    ...     frame=[0, 1, 2], x=[5.0, 6.0, 7.0], y=[5.0, 5.0, 5.0], photons=[300, 900, 2000]
    ... )
    >>> kept, info = filter_table(table, TableInfo(100.0), FilterConfig(where="photons > 500"))
    >>> kept.frame.tolist(), info.recipe[-1].settings, info.recipe[-1].rows
    ([1, 2], {'where': 'photons > 500'}, 2)
    """
    kept = table[filter_mask(table, info, config)]
    return kept, info.after("filter", config.stated(), len(kept))


def filter_mask(table: Localizations, info: TableInfo, config: FilterConfig) -> Mask:
    """Rows that a filter keeps, bool (N,).

    Expression, ranges and edge look at each row by itself. Duplicates are searched among what they
    leave, and neighbours are counted among what is left then: what is thrown away anyway supports
    nobody.

    Raises
    ------
    ValueError
        One sentence: an expression that cannot be read, a column that is not there, an edge
        without a known size of the movie.
    """
    return mask_of_parts(lambda: [table], info, config)


def mask_of_parts(parts: Parts, info: TableInfo, config: FilterConfig) -> Mask:
    """`filter_mask` of a table that is not in memory: only the mask is.

    `parts.chosen` gives the rows. Duplicates are searched in one part after the other if the table
    is in frame order, else in all of it at once; neighbours need the places of all rows.

    Parameters
    ----------
    parts : Parts
        The table.
    info, config
        As there.
    """
    pixel = info.pixel_size_nm
    mask = np.concatenate([_each_by_itself(part, info, config) for part in parts()])
    if config.duplicates_nm is not None:
        left = chosen(parts(), mask)
        in_order = in_frame_order(chosen(parts(), mask))
        frames = whole_frames(left) if in_order else [whole(left)]
        kept = [not_duplicated(part, pixel, config.duplicates_nm) for part in frames]
        mask[mask] = np.concatenate(kept)
    if config.min_neighbours is not None and config.radius_nm is not None:
        places = positions_nm(Places.of(chosen(parts(), mask)), pixel, config.z_weight)
        mask[mask] = has_neighbours(places, config.min_neighbours, config.radius_nm)
    return mask


def _each_by_itself(table: Localizations, info: TableInfo, config: FilterConfig) -> Mask:
    """Rows that fulfil what is asked of a row alone, bool (N,)."""
    pixel = info.pixel_size_nm
    mask = np.ones(len(table), dtype=bool)
    if config.where is not None:
        mask &= parse(config.where).mask(lambda name: quantity(table, name, pixel))
    for name, limits in config.ranges.items():
        mask &= within(quantity(table, name, pixel), limits)
    if config.edge_px is not None:
        mask &= off_edge(table, info, config.edge_px)
    return mask


def within(values: NDArray[Any], limits: OpenRange) -> Mask:
    """Values in a range, its ends included; NaN is in none that is closed on a side."""
    low, high = limits
    mask = np.ones(len(values), dtype=bool)
    if low is not None:
        mask &= np.asarray(values >= low)
    if high is not None:
        mask &= np.asarray(values <= high)
    return mask


def off_edge(table: Localizations, info: TableInfo, edge_px: float) -> Mask:
    """Rows at least so many px inside the border of the movie, bool (N,).

    The border is that of the outermost pixels, half a pixel outside their centres.
    """
    if info.shape is None:
        raise ValueError(
            "the table does not say the size of its movie, so its edge is not known; filter by "
            "x and y instead, as in x>3 & x<252"
        )
    low = edge_px - 0.5
    high_y, high_x = (side - 0.5 - edge_px for side in info.shape)
    return within(table.y, (low, high_y)) & within(table.x, (low, high_x))
