"""A table that is read part by part, as often as it takes, and never lies in memory whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.table import Floats, Ints, Localizations

Parts = Callable[[], Iterable[Localizations]]
"""Gives the parts of a table, anew whenever it is called."""


class Placed(Protocol):
    """Rows with a frame and a place; what asks for no more takes a table or its `Places`."""

    @property
    def frame(self) -> Ints:
        """Frame, (N,)."""
        ...

    @property
    def x(self) -> Floats:
        """Px, (N,)."""
        ...

    @property
    def y(self) -> Floats:
        """Px, (N,)."""
        ...

    @property
    def z_nm(self) -> Floats:
        """Nm, (N,)."""
        ...

    def __len__(self) -> int:
        """Rows."""
        ...

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        """Rows picked by a slice, a bool mask or an index array."""
        ...


@dataclass(frozen=True, eq=False)
class Places:
    """Frames and places of a table, a third of its memory.

    Attributes
    ----------
    frame, x, y, z_nm
        As in `Localizations`.
    """

    frame: Ints
    x: Floats
    y: Floats
    z_nm: Floats

    @classmethod
    def of(cls, parts: Iterable[Localizations]) -> Self:
        """Those of all rows."""
        names = [field.name for field in fields(cls)]
        columns = [[getattr(part, name) for name in names] for part in parts]
        return cls(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def __len__(self) -> int:
        """Rows."""
        return len(self.frame)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        """Rows picked by a slice, a bool mask or an index array."""
        return type(self)(self.frame[rows], self.x[rows], self.y[rows], self.z_nm[rows])


def whole(parts: Iterable[Localizations]) -> Localizations:
    """All rows at once."""
    tables = list(parts)
    return tables[0] if len(tables) == 1 else Localizations.concatenate(tables)


def chosen(parts: Iterable[Localizations], mask: NDArray[np.bool_]) -> Iterator[Localizations]:
    """Rows of the parts for which a mask of all rows is True."""
    start = 0
    for part in parts:
        yield part[mask[start : start + len(part)]]
        start += len(part)


def in_frame_order(parts: Iterable[Localizations]) -> bool:
    """Whether no row is of an earlier frame than the row before it."""
    last = np.iinfo(np.int32).min
    for part in parts:
        if len(part):
            if part.frame[0] < last or (part.frame[1:] < part.frame[:-1]).any():
                return False
            last = int(part.frame[-1])
    return True


def whole_frames(parts: Iterable[Localizations]) -> Iterator[Localizations]:
    """The same rows in parts that end with a frame.

    Parameters
    ----------
    parts : iterable of Localizations
        In frame order.

    Yields
    ------
    Localizations
        At least one.
    """
    waiting = Localizations.empty()
    for part in parts:
        if not len(part):
            continue
        table = Localizations.concatenate([waiting, part]) if len(waiting) else part
        end = int(np.searchsorted(table.frame, table.frame[-1]))
        if end:
            yield table[:end]
        waiting = table[end:]
    yield waiting
