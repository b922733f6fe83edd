"""How far a measured drift can be trusted: two halves of the localizations measure it again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.drift.estimate import estimate_drift
from napari_dilatedloc.analysis.drift.result import Drift
from napari_dilatedloc.analysis.parts import Placed
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.table import TableInfo

LATERAL_NM, AXIAL_NM = 10.0, 20.0
"""Errors from which on a corrected image may be worse than the one before."""


@dataclass(frozen=True)
class DriftError:
    """Standard errors of a drift along x, y and z, nm, root mean square over the frames.

    NaN where halves of the table are too small to tell; z is 0 where it was not measured.
    """

    x_nm: float
    y_nm: float
    z_nm: float

    @property
    def doubt(self) -> str:
        """One sentence if the drift should not be trusted; else empty."""
        limits = {"x": LATERAL_NM, "y": LATERAL_NM, "z": AXIAL_NM}
        errors = {"x": self.x_nm, "y": self.y_nm, "z": self.z_nm}
        bad = [f"{errors[axis]:.0f} nm in {axis}" for axis in limits if errors[axis] > limits[axis]]
        if bad:
            return (
                f"The drift is uncertain by {' and '.join(bad)}: two halves of the localizations "
                "disagree. There are too few, or lines along that axis tell nothing about it; "
                "take fewer segments or fiducials, or leave the drift in."
            )
        if np.isnan(self.x_nm):
            return "There are too few localizations to tell how far the drift can be trusted."
        return ""


def drift_error(
    table: Placed, info: TableInfo, drift: Drift, config: DriftConfig, *, seed: int = 0
) -> DriftError:
    """Measure a drift twice more, each time from another half of the rows.

    Errors of both halves are independent and have twice the variance, so half of their difference
    has that of the whole; a common offset does not count. What both halves have in common is not
    seen: molecules whose rows come to both, and a drift too fast for the segments.

    Parameters
    ----------
    table, info : Localizations or Places, TableInfo
        What the drift was measured from.
    drift : Drift
        What was found, for its number of frames and segments.
    config : DriftConfig
        What it was found with.
    seed : int
        Of the halves.
    """
    segments = drift.settings.get("segments") or config.segments
    config = config.replace(segments=segments)
    info = replace(info, n_frames=len(drift))  # a half may lack the last frame
    first = _half(table, np.random.default_rng(seed), whole_frames=config.method == "fiducials")
    try:
        halves = [
            estimate_drift(table[mask], info, config).to_nm(info.pixel_size_nm)
            for mask in (first, ~first)
        ]
    except ValueError:
        return DriftError(np.nan, np.nan, np.nan)
    low, high = max(int(table.frame.min()), 0), int(table.frame.max()) + 1
    apart = (halves[0] - halves[1])[low:high]
    x, y, z = (apart.std(axis=0) / 2).tolist()
    return DriftError(x, y, z)


def _half(table: Placed, rng: np.random.Generator, *, whole_frames: bool) -> NDArray[np.bool_]:
    """Random half of the rows, (N,); of frames for beads, which must be there in nearly all."""
    if not whole_frames:
        return rng.random(len(table)) < 0.5
    frames, frame = np.unique(table.frame, return_inverse=True)
    chosen: NDArray[np.bool_] = rng.random(len(frames)) < 0.5
    return chosen[frame]
