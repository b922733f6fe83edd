"""Drift by COMET, through the package of its authors (``comet-smlm``, MIT)."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.drift.segments import Positions, cut_by_rows, to_frames

Array = NDArray[np.float64]

PRE_SEGMENTED = -1  # our segments, the same in every method
FEWEST = 50
ENOUGH = 400
MOST_SEGMENTS = 100
SIGMA_NM = 10.0
"""Finest kernel: the precision of usual localizations; finer ones take longer and see noise."""


def comet(
    positions: Positions, *, max_drift_nm: float, segments: int | None = None
) -> tuple[Array, int]:
    """Measure drift by COMET (Reinkensmeier, Bates et al., bioRxiv 2026.03.27.714864).

    It runs on a CUDA device if there is one, else on the CPU.

    Parameters
    ----------
    positions : Positions
        Localizations.
    max_drift_nm : float
        Largest drift; memory and time grow with the number of pairs that lie closer than this.
    segments : int, optional
        Default: as many as have 400 localizations each, 10 to 100.

    Returns
    -------
    drift : ndarray, (T, 3)
        x, y, z in nm, one row a frame.
    segments : int
        How many there were.

    Raises
    ------
    ValueError
        If the package is not installed.
    """
    try:
        package = import_module("comet")
    except ImportError as error:
        raise ValueError(
            "the method comet needs the package comet-smlm, which is not installed; run "
            "pip install 'napari-dilatedloc[comet]' or use aim"
        ) from error
    parts = cut_by_rows(positions.frame, segments, ENOUGH, MOST_SEGMENTS, FEWEST)
    found = package.comet_run_kd(
        np.column_stack([positions.nm, parts.of_rows()]),  # a table of its own: it writes into it
        segmentation_mode=PRE_SEGMENTED,
        segmentation_var=1,
        max_drift_nm=max_drift_nm,
        target_sigma_nm=SIGMA_NM,
    )
    shifts = np.asarray(found, dtype=np.float64)[:, :3]
    return to_frames(shifts, parts, positions.n_frames), len(parts)
