"""What is odd about a table, in plain words: one sentence, with what to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_dilatedloc.table import Localizations, TableInfo

if TYPE_CHECKING:
    from napari_dilatedloc.analysis.quality import Quality

FEW = 2000
RESOLUTION_SPREAD = 0.25
PHASE_FLATNESS, PHASE_P = 0.1, 1e-3
PRECISION_RATIO = 1.5
AT_THE_END = 0.05
"""Share of localizations at one end of the z range that tells that it was too short."""


def warnings_of(found: Quality, table: Localizations, info: TableInfo) -> tuple[str, ...]:
    """Sentences for all that is odd."""
    said = (
        _few(found),
        _resolution(found),
        _drift(found),
        _precision(found),
        _phases(found),
        _z_ends(table),
        _outside(table, info),
        _unknown(table),
    )
    return tuple(sentence for sentence in said if sentence)


def _few(found: Quality) -> str:
    if found.localizations >= FEW:
        return ""
    return (
        f"Only {found.localizations} localizations: resolution and precision are rough figures; "
        "localize more frames."
    )


def _resolution(found: Quality) -> str:
    frc = found.frc
    if frc is None:
        return ""
    if not math.isfinite(frc.resolution_nm):
        return (
            "The ring correlation gives no resolution: its curve does not cross 1/7 as it should; "
            "judge the image by eye, or localize more frames."
        )
    if not frc.spread_nm > RESOLUTION_SPREAD * frc.resolution_nm:
        return ""
    return (
        f"The FRC resolution is uncertain: random halves give {frc.resolution_nm:.0f} ± "
        f"{frc.spread_nm:.0f} nm; localize more frames."
    )


def _drift(found: Quality) -> str:
    shift = found.shift
    if shift is None:
        return ""
    precision = found.nena.sigma_nm if found.nena else found.median("sigma_lateral_nm")
    if shift.sure_nm <= np.nanmax([0.5 * precision, 1.0]):
        return ""
    return (
        f"Drift suspected: the second half of the movie lies {shift.sure_nm:.0f} nm beside the "
        "first; correct the drift."
    )


def _precision(found: Quality) -> str:
    predicted = found.median("sigma_lateral_nm")
    if found.nena is None or not math.isfinite(predicted):
        return ""
    # A smaller scatter proves nothing: networks that see neighbouring frames err alike in them.
    if found.nena.sigma_nm <= PRECISION_RATIO * predicted:
        return ""
    return (
        f"The predicted precision ({predicted:.1f} nm) is too good: molecules found in adjacent "
        f"frames scatter by {found.nena.sigma_nm:.1f} nm (NeNA); check the camera settings and "
        "that the PSF fits the movie."
    )


def _phases(found: Quality) -> str:
    phases = found.phases
    if not (phases.flatness > PHASE_FLATNESS and phases.p < PHASE_P):
        return ""
    return (
        f"Some places within a camera pixel are preferred by up to {phases.flatness:.0%}: the "
        "image may show a grid; check that the PSF and the camera fit the movie."
    )


def _z_ends(table: Localizations) -> str:
    z = table.z_nm[np.isfinite(table.z_nm)]
    if len(z) == 0 or not np.ptp(z) > 0:
        return ""
    low, high = float(z.min()), float(z.max())
    margin = (high - low) / 50
    at_ends = max(float(np.mean(z < low + margin)), float(np.mean(z > high - margin)))
    if at_ends <= AT_THE_END:
        return ""
    return (
        f"{at_ends:.0%} of the localizations lie at one end of the z range ({low:.0f} to "
        f"{high:.0f} nm): molecules beyond it were found there; filter them by z, or use a model "
        "with a longer range."
    )


def _outside(table: Localizations, info: TableInfo) -> str:
    if info.shape is None:
        return ""
    height, width = info.shape
    beyond = (table.y < -1) | (table.y > height) | (table.x < -1) | (table.x > width)  # NaN: no
    outside = int(beyond.sum())
    if not outside:
        return ""
    return (
        f"{outside} localizations lie outside of the movie ({height} x {width} px): they are not "
        "drawn; check the pixel size and origin the table was read with."
    )


def _unknown(table: Localizations) -> str:
    if np.isfinite(table.sigma_x).any() or np.isfinite(table.sigma_y).any():
        return ""
    return (
        "The table has no predicted precision: images cannot show spots as wide as they are "
        "uncertain."
    )
