import numpy as np
import pytest

from napari_dilatedloc.analysis.drift.doubt import DriftError, drift_error
from napari_dilatedloc.analysis.drift.estimate import estimate_drift
from napari_dilatedloc.benchmark.drift import residual_nm, simulate_drift
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(100.0, shape=(64, 64), n_frames=1000)


def table_of(places, n, seed):
    """`n` rows with errors of 10 nm at random ones of the places (y, x), px, without drift."""
    generator = np.random.default_rng(seed)
    frame = np.sort(generator.integers(0, 1000, n))
    y, x = places(generator, n).T + generator.normal(0, 0.1, (2, n))
    return Localizations.from_columns(frame=frame, x=x, y=y)


def points(generator, n):
    return np.random.default_rng(5).uniform(2, 62, (300, 2))[generator.integers(0, 300, n)]


def lines_along_x(generator, n):
    y = np.random.default_rng(5).uniform(2, 62, 12)[generator.integers(0, 12, n)]
    return np.stack([y, generator.uniform(2, 62, n)], axis=1)


def test_halves_tell_the_error_that_there_is():
    errors, told = [], []
    config = DriftConfig(segments=10)
    for seed in range(3):
        table = table_of(points, 30_000, seed)
        drift = estimate_drift(table, INFO, config)
        errors.append(drift.to_nm(100.0)[:, :2].std(axis=0))  # there is none
        error = drift_error(table, INFO, drift, config)
        told.append((error.x_nm, error.y_nm))
        assert error.doubt == ""
    assert np.mean(told) == pytest.approx(np.mean(errors), rel=0.6)


def test_lines_tell_nothing_along_themselves():
    config = DriftConfig(segments=10)
    table = table_of(lines_along_x, 3_000, 1)
    error = drift_error(table, INFO, estimate_drift(table, INFO, config), config)
    assert error.x_nm > 20 > 10 > error.y_nm
    assert "nm in x:" in error.doubt
    assert "in y" not in error.doubt


def test_beads_are_found_in_halves_too():
    """Half of the rows of a bead would lie in half of the frames, where none is found."""
    sample = simulate_drift(5_000, 600, seed=1, size_px=64, beads=3)
    config = DriftConfig(method="fiducials")
    drift = estimate_drift(sample.table, sample.info, config)
    error = drift_error(sample.table, sample.info, drift, config)
    left = residual_nm(drift, sample)
    assert error.doubt == ""
    assert 0.3 < np.hypot(error.x_nm, error.y_nm) / left["lateral"] < 3
    assert 0.3 < error.z_nm / left["z"] < 3


def test_a_last_frame_in_one_half_alone():
    table = table_of(points, 30_000, 1)
    last = Localizations.from_columns(frame=[1010], x=[3.0], y=[3.0])
    table, info = Localizations.concatenate([table, last]), TableInfo(100.0)
    config = DriftConfig(segments=10)
    drift = estimate_drift(table, info, config)
    assert drift_error(table, info, drift, config).x_nm == pytest.approx(0.5, abs=0.5)


def test_too_few_to_tell():
    assert "too few localizations" in DriftError(np.nan, np.nan, np.nan).doubt
