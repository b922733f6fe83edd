"""The drift of a movie, and tables with and without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_dilatedloc.table import Ints, Localizations

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drift:
    """How far the sample has moved in each frame.

    What is measured is the true position plus this; `apply` takes it off.

    Attributes
    ----------
    x, y : ndarray, (T,)
        Movement in px, one value a frame from frame 0 on.
    z_nm : ndarray, (T,)
        The same for z, nm; 0 where z was not measured.
    method : str
        How it was found, such as ``"aim"``.
    settings : mapping
        With which settings: plain values, as JSON holds them.
    """

    x: Array
    y: Array
    z_nm: Array
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("x", "y", "z_nm"):
            values = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            if values.shape != (np.size(self.x),) or not np.isfinite(values).all():
                raise ValueError(
                    f"drift {name} must be finite numbers, one for each of {np.size(self.x)} "
                    f"frames, got shape {values.shape}; give one value a frame"
                )
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        """Frames."""
        return len(self.x)

    @classmethod
    def from_nm(
        cls,
        nm: ArrayLike,
        pixel_size_nm: float,
        method: str,
        settings: Mapping[str, Any] | None = None,
    ) -> Self:
        """Drift from columns x, y, z in nm, (T, 3)."""
        values = np.asarray(nm, dtype=np.float64)
        lateral = values[:, :2] / pixel_size_nm
        return cls(lateral[:, 0], lateral[:, 1], values[:, 2], method, settings or {})

    def to_nm(self, pixel_size_nm: float) -> Array:
        """Columns x, y, z in nm, (T, 3)."""
        return np.stack([self.x * pixel_size_nm, self.y * pixel_size_nm, self.z_nm], axis=1)

    def apply(self, table: Localizations) -> Localizations:
        """Take the drift off: positions as they were in the first frame of the movie.

        Raises
        ------
        ValueError
            If the table has frames this drift does not know.
        """
        return self._moved(table, -1.0)

    def undo(self, table: Localizations) -> Localizations:
        """Put the drift back that `apply` took off, exact to the rounding of float32."""
        return self._moved(table, 1.0)

    def check(self, frame: Ints) -> None:
        """Refuse a table with frames that this drift does not know, as `apply` and `undo` do.

        Parameters
        ----------
        frame : ndarray of int (N,)
            Frame of each row.
        """
        if not len(frame):
            return
        first, last = int(frame.min()), int(frame.max())
        if first < 0 or last >= len(self):
            raise ValueError(
                f"the drift knows frames 0 to {len(self) - 1}, the table has {first} to {last}; "
                "take the drift of this movie"
            )

    def _moved(self, table: Localizations, sign: float) -> Localizations:
        self.check(table.frame)
        return table.replace(
            x=table.x + (sign * self.x)[table.frame],
            y=table.y + (sign * self.y)[table.frame],
            z_nm=table.z_nm + (sign * self.z_nm)[table.frame],
        )
