"""Drift of a table, by any method."""

from __future__ import annotations

import numpy as np

from napari_dilatedloc.analysis.drift.aim import aim
from napari_dilatedloc.analysis.drift.by_comet import comet
from napari_dilatedloc.analysis.drift.fiducials import fiducials
from napari_dilatedloc.analysis.drift.rcc import rcc
from napari_dilatedloc.analysis.drift.result import Drift
from napari_dilatedloc.analysis.drift.segments import Array, Positions, positions_of
from napari_dilatedloc.analysis.parts import Placed
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.table import TableInfo


def estimate_drift(table: Placed, info: TableInfo, config: DriftConfig | None = None) -> Drift:
    """Measure how the sample moved during a movie.

    Parameters
    ----------
    table : Localizations or Places
        In any order; rows without a known position are left out, and so is z in a 2-D table.
    info : TableInfo
        Its pixel size and number of frames.
    config : DriftConfig, optional
        Method and settings.

    Returns
    -------
    Drift
        One value a frame of the movie, 0 in the first frame with a localization. Its settings
        are those of `config` and the number of segments that there were.

    Raises
    ------
    ValueError
        One sentence: too few localizations or frames, no fiducials, a package is missing.

    Examples
    --------
    >>> from napari_dilatedloc.table import Localizations
    >>> rng = np.random.default_rng(0)
    >>> frame = np.repeat(np.arange(100), 20)
    >>> x, y = rng.uniform(0, 100, (2, 10))[:, rng.integers(0, 10, 2000)]  # at ten places
    >>> x, y = x + rng.normal(0, 0.1, 2000), y + rng.normal(0, 0.1, 2000)
    >>> table = Localizations.from_columns(frame=frame, x=x + 0.02 * frame, y=y)  # 2 px of drift
    >>> drift = estimate_drift(table, TableInfo(pixel_size_nm=100), DriftConfig(segments=20))
    >>> drift.x[[0, 50, 99]].round(1).tolist()
    [0.0, 1.0, 2.0]
    """
    config = config if config is not None else DriftConfig()
    positions = positions_of(table, info.pixel_size_nm, info.n_frames, axial=config.axial)
    nm, segments = _measure(positions, info.pixel_size_nm, config)
    settings = {**config.model_dump(mode="json"), "segments": segments}
    return Drift.from_nm(nm, info.pixel_size_nm, config.method, settings)


def _measure(positions: Positions, pixel_size_nm: float, config: DriftConfig) -> tuple[Array, int]:
    """Drift (T, 3) as x, y, z in nm, and the number of segments."""
    if config.method == "rcc":
        return rcc(
            positions,
            bin_nm=config.rcc_bin_nm,
            max_shift_nm=config.rcc_max_shift_nm,
            segments=config.segments,
        )
    if config.method == "fiducials":
        given = config.fiducials
        return fiducials(
            positions,
            given_nm=None if given is None else np.array(given)[:, ::-1] * pixel_size_nm,
            radius_nm=config.fiducial_radius_nm,
            presence=config.fiducial_presence,
            aim_distance_nm=config.aim_distance_nm,
            segments=config.segments,
        )
    if config.method == "comet":
        return comet(positions, max_drift_nm=config.comet_max_drift_nm, segments=config.segments)
    return aim(
        positions,
        distance_nm=config.aim_distance_nm,
        rounds=config.aim_rounds,
        segments=config.segments,
    )
