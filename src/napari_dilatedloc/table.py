"""The two tables of the house: simulated truth (`Emitters`) and estimates (`Localizations`).

Both are frozen records of contiguous 1-D arrays, one row per molecule per frame. ``x`` and ``y``
are in pixels with pixel centres at whole numbers, ``z_nm`` in nm with 0 = focus, ``frame`` counts
from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

INTEGER_COLUMNS = frozenset({"frame", "id"})

Extra = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class _Columns:
    """Equally long 1-D columns; integers are int32, everything else float32."""

    def __post_init__(self) -> None:
        lengths = {}
        for name in self.column_names():
            dtype = np.int32 if name in INTEGER_COLUMNS else np.float32
            values = np.asarray(getattr(self, name))
            if name in INTEGER_COLUMNS:
                _check_int32(name, values)
            column = np.ascontiguousarray(values, dtype=dtype)
            if column.ndim != 1:
                raise ValueError(f"column {name} must be 1-D, got shape {column.shape}")
            object.__setattr__(self, name, column)
            lengths[name] = len(column)
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns must be equally long, got {lengths}")

    @classmethod
    def column_names(cls) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(f.name for f in fields(cls) if f.name != "extra")

    @classmethod
    def empty(cls) -> Self:
        """Table without rows."""
        return cls(**{name: np.zeros(0) for name in cls.column_names()})

    @classmethod
    def concatenate(cls, tables: Sequence[Self]) -> Self:
        """Rows of several tables, one after another."""
        if not tables:
            return cls.empty()
        return cls(
            **{
                name: np.concatenate([getattr(table, name) for table in tables])
                for name in cls.column_names()
            }
        )

    def __len__(self) -> int:
        return len(self.frame)  # type: ignore[attr-defined]

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        """Rows picked by a slice, a bool mask or an index array."""
        return type(self)(**{name: getattr(self, name)[rows] for name in self.column_names()})

    def replace(self, **columns: ArrayLike) -> Self:
        """Copy with some columns exchanged."""
        kept = {name: getattr(self, name) for name in self.column_names()}
        return type(self)(**{**kept, **columns})

    def sorted_by_frame(self) -> Self:
        """Rows in frame order; rows of one frame keep their order."""
        return self[np.argsort(self.frame, kind="stable")]  # type: ignore[attr-defined]


def _check_int32(name: str, values: NDArray[Any]) -> None:
    """Refuse numbers that would silently become others."""
    if values.dtype.kind not in "iuf" or values.dtype.itemsize < 4 or values.dtype == np.int32:
        return
    limits = np.iinfo(np.int32)
    if values.size and not (values.min() >= limits.min and values.max() <= limits.max):
        raise ValueError(
            f"column {name} must hold whole numbers up to {limits.max}, got {values.min()} to "
            f"{values.max()}; correct the table"
        )


@dataclass(frozen=True, eq=False)
class Emitters(_Columns):
    """Simulated or given truth, one row per molecule per frame.

    Attributes
    ----------
    frame : int32
        Frame, from 0.
    x, y : float32
        Position in px; pixel centres lie at whole numbers.
    z_nm : float32
        Distance from focus in nm.
    photons : float32
        Photons the molecule sends to the camera in this frame.
    id : int32
        The molecule; it keeps its number over the frames it is on.
    """

    frame: Ints
    x: Floats
    y: Floats
    z_nm: Floats
    photons: Floats
    id: Ints


@dataclass(frozen=True, eq=False)
class Localizations(_Columns):
    """Estimates, one row per detected molecule per frame.

    Attributes
    ----------
    frame : int32
        Frame, from 0.
    x, y : float32
        Position in px; pixel centres lie at whole numbers.
    z_nm : float32
        Distance from focus in nm.
    photons : float32
        Photons of the molecule in this frame.
    bg : float32
        Background under it, photons per pixel.
    prob : float32
        Detection probability, 0-1.
    sigma_x, sigma_y : float32
        Predicted standard deviation of the position error in px (NaN where unknown).
    sigma_z_nm : float32
        The same for z, nm.
    sigma_photons : float32
        The same for the photons.
    extra : mapping of str to ndarray
        Further columns of numbers by name: those of a foreign file that have no place above, and
        what analysis adds. They go where the rows go.
    """

    frame: Ints
    x: Floats
    y: Floats
    z_nm: Floats
    photons: Floats
    bg: Floats
    prob: Floats
    sigma_x: Floats
    sigma_y: Floats
    sigma_z_nm: Floats
    sigma_photons: Floats
    extra: Extra = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        extra = {name: np.ascontiguousarray(values) for name, values in self.extra.items()}
        for name, values in extra.items():
            if name in self.column_names():
                raise ValueError(f"{name} is a column of its own, it cannot be an extra one")
            if values.shape != (len(self),) or values.dtype.kind not in "biuf":
                raise ValueError(
                    f"extra column {name} must hold {len(self)} numbers, got {values.dtype} "
                    f"of shape {values.shape}"
                )
        object.__setattr__(self, "extra", extra)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        """Rows picked by a slice, a bool mask or an index array."""
        own = {name: getattr(self, name)[rows] for name in self.column_names()}
        extra = {name: values[rows] for name, values in self.extra.items()}
        return type(self)(**own, extra=extra)

    def replace(self, **columns: Any) -> Self:
        """Copy with some columns exchanged; `extra` as a whole."""
        kept = {name: getattr(self, name) for name in (*self.column_names(), "extra")}
        return type(self)(**{**kept, **columns})

    @classmethod
    def concatenate(cls, tables: Sequence[Self]) -> Self:
        """Rows of several tables, one after another; extra columns that one lacks are NaN there."""
        joined = super().concatenate(tables)
        parts = [table for table in tables if len(table)]
        names = dict.fromkeys(name for part in parts for name in part.extra)
        extra = {
            name: np.concatenate(
                [part.extra.get(name, np.full(len(part), np.nan, np.float32)) for part in parts]
            )
            for name in names
        }
        return joined.replace(extra=extra)

    @classmethod
    def from_columns(cls, **columns: ArrayLike) -> Self:
        """Table from the columns at hand; the others are NaN (`prob`: 1).

        `frame`, `x` and `y` are required.
        """
        missing = {"frame", "x", "y"} - columns.keys()
        if missing:
            raise ValueError(f"localizations need frame, x and y; {sorted(missing)} missing")
        n = len(np.asarray(columns["frame"]))
        filled: dict[str, ArrayLike] = {
            name: np.full(n, 1.0 if name == "prob" else np.nan) for name in cls.column_names()
        }
        return cls(**{**filled, **columns})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Step:
    """One thing that was done to a table.

    Attributes
    ----------
    name : str
        The command, such as ``"filter"``.
    settings : mapping
        What it was done with: plain values, as JSON holds them.
    rows : int
        Rows afterwards.
    """

    name: str
    settings: Mapping[str, Any]
    rows: int


@dataclass(frozen=True)
class TableInfo:
    """What a table of positions in pixels does not say by itself.

    Attributes
    ----------
    pixel_size_nm : float
        Camera pixel in the sample plane, nm.
    shape : tuple of int, optional
        (height, width) of the movie, px.
    n_frames : int, optional
        Number of frames of the movie.
    recipe : tuple of Step
        What was done to the table since it was localized, first things first.
    """

    pixel_size_nm: float
    shape: tuple[int, int] | None = None
    n_frames: int | None = None
    recipe: tuple[Step, ...] = ()

    def after(self, name: str, settings: Mapping[str, Any], rows: int) -> TableInfo:
        """The same with one more step at the end of the recipe."""
        return replace(self, recipe=(*self.recipe, Step(name, settings, rows)))
