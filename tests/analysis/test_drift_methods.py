"""Every method against a known drift."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from napari_dilatedloc.analysis.drift.estimate import estimate_drift
from napari_dilatedloc.benchmark.drift import (
    DriftBenchmark,
    benchmark_drift,
    count_rows,
    residual_nm,
    simulate_drift,
)
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.table import Localizations, TableInfo


@pytest.fixture(scope="module")
def sample():
    """10^5 localizations, 500 / 400 / 300 nm of smooth drift."""
    return simulate_drift(100_000, 5000, seed=0)


@pytest.fixture(scope="module")
def small():
    """Fewer of them, and three beads."""
    return simulate_drift(20_000, 2000, seed=4, size_px=128, beads=3)


def left(sample, **settings):
    return residual_nm(estimate_drift(sample.table, sample.info, DriftConfig(**settings)), sample)


@pytest.mark.parametrize(("method", "segments"), [("aim", None), ("rcc", 25)])
def test_less_than_two_nm_laterally_and_five_axially_are_left(sample, method, segments):
    found = left(sample, method=method, segments=segments)
    assert found["lateral"] < 2.0  # x and y together
    assert found["z"] < 5.0


def test_corrected_places_are_where_they_were(sample):
    """What is left in the table is the error of a localization, not drift."""
    moved = estimate_drift(sample.table, sample.info).apply(sample.table)
    true = sample.drift.apply(sample.table)
    off = (moved.x - true.x) * sample.info.pixel_size_nm
    assert np.std(off) < 2.0
    assert abs(np.mean(off)) < 5.0  # the first frame is where it was


def test_fiducials_are_found_and_followed(small):
    found = left(small, method="fiducials")
    assert found["lateral"] < 2.0
    assert found["z"] < 5.0


def test_fiducials_alone_are_enough():
    beads = simulate_drift(0, 2000, seed=2, beads=3)
    found = left(beads, method="fiducials")
    assert found["lateral"] < 2.5  # three beads of 12.5 nm, 20 frames
    assert found["z"] < 5.0


def test_a_given_fiducial_is_y_x_in_px(small):
    """A bead at its mean place is followed; with x and y exchanged there is none."""
    found = estimate_drift(small.table, small.info, DriftConfig(method="fiducials"))
    still = found.apply(small.table)
    cells = np.round(still.y) * 1000 + np.round(still.x)
    values, counts = np.unique(cells, return_counts=True)
    inside = cells == values[np.argmax(counts)]
    mean = (
        float(np.median(still.y[inside]) + found.y.mean()),
        float(np.median(still.x[inside]) + found.x.mean()),
    )
    given = left(small, method="fiducials", fiducials=(mean,))
    assert given["lateral"] < 4.0  # one bead alone
    with pytest.raises(ValueError, match="no localization within 30 nm of the fiducial at x"):
        left(small, method="fiducials", fiducials=(mean[::-1],), fiducial_radius_nm=30.0)


def test_no_fiducials():
    none = simulate_drift(20_000, 1000, seed=1, size_px=128)
    with pytest.raises(ValueError, match="no fiducial found"):
        left(none, method="fiducials")


def test_a_bead_that_comes_loose_is_left_out(small):
    """Three beads hold; a fourth wanders by 150 nm and must not take the others along."""
    frames = small.info.n_frames
    rng = np.random.default_rng(0)
    t = np.arange(frames)
    own = 1.5 * np.sin(2 * np.pi * t / frames)  # px
    loose = Localizations.from_columns(
        frame=t,
        x=64.0 + own + small.drift.x + 0.1 * rng.standard_normal(frames),
        y=64.0 + small.drift.y + 0.1 * rng.standard_normal(frames),
        z_nm=small.drift.z_nm + 25 * rng.standard_normal(frames),
    )
    joined = Localizations.concatenate([small.table, loose])
    found = estimate_drift(joined, small.info, DriftConfig(method="fiducials"))
    assert residual_nm(found, small)["lateral"] < 3.0


@pytest.mark.parametrize("method", ["aim", "rcc"])
def test_drift_of_many_pixels(method):
    far = simulate_drift(50_000, 2500, seed=3, size_px=64, span_nm=(1000.0, 800.0, 400.0))
    found = left(far, method=method, segments=25, rcc_max_shift_nm=1200.0)
    assert found["lateral"] < 6.0
    assert found["z"] < 5.0


@pytest.mark.parametrize("method", ["aim", "rcc"])
def test_a_table_without_z(small, method):
    flat = small.table.replace(z_nm=np.full(len(small.table), np.nan))
    found = estimate_drift(flat, small.info, DriftConfig(method=method, segments=20))
    assert not found.z_nm.any()
    assert residual_nm(found, small)["lateral"] < 6.0


@pytest.mark.parametrize("method", ["aim", "rcc"])
def test_empty_frames_unknown_places_and_another_order_do_not_matter(small, method):
    config = DriftConfig(method=method, segments=20)
    table = small.table[(small.table.frame < 600) | (small.table.frame > 800)]
    rng = np.random.default_rng(0)
    unknown = table[:500].replace(x=np.full(500, np.nan))
    mixed = Localizations.concatenate([table, unknown])
    mixed = mixed[rng.permutation(len(mixed))]
    one = estimate_drift(table, small.info, config)
    two = estimate_drift(mixed, small.info, config)
    np.testing.assert_allclose(two.to_nm(100.0), one.to_nm(100.0), atol=1e-3)
    there = np.r_[0:600, 801:2000]
    assert np.std((one.x - small.drift.x)[there]) * 100 < 6.0


@pytest.mark.parametrize("method", ["aim", "rcc"])
def test_the_size_of_a_pixel_does_not_matter(small, method):
    """The same places in nm, on smaller pixels: the same drift in nm, more of it in px."""
    half = small.table.replace(x=2 * small.table.x, y=2 * small.table.y)
    info = TableInfo(pixel_size_nm=50.0, n_frames=small.info.n_frames)
    config = DriftConfig(method=method, segments=15)
    one = estimate_drift(small.table, small.info, config)
    two = estimate_drift(half, info, config)
    np.testing.assert_allclose(two.x, 2 * one.x, atol=1e-3)
    np.testing.assert_allclose(two.z_nm, one.z_nm, atol=1e-3)


def test_a_short_table_still_gets_a_drift():
    few = simulate_drift(3000, 1000, seed=1, size_px=64, span_nm=(200.0, 150.0, 100.0))
    before = np.hypot(few.drift.x.std(), few.drift.y.std()) * 100
    assert left(few)["lateral"] < before / 3


@pytest.mark.parametrize("method", ["aim", "rcc", "fiducials"])
def test_nothing_to_compare(method):
    with pytest.raises(ValueError, match=r"drift needs at least \d+ localizations"):
        estimate_drift(Localizations.empty(), TableInfo(100.0), DriftConfig(method=method))


def test_the_result_says_how_it_was_found(small):
    found = estimate_drift(small.table, small.info, DriftConfig(segments=12, axial=False))
    assert found.method == "aim"
    assert found.settings["segments"] == 12
    assert found.settings["aim_distance_nm"] == 20.0
    assert len(found) == 2000
    assert not found.z_nm.any()
    assert (found.x[0], found.y[0]) == (0, 0)


def test_comet_that_is_not_installed(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "comet", None)
    with pytest.raises(ValueError, match=r"napari-dilatedloc\[comet\]"):
        left(small, method="comet")


def test_comet_gets_nm_and_numbers_of_segments(small, monkeypatch):
    """A stand-in that knows the drift and, like COMET, spoils the table it is given."""

    def comet_run_kd(rows, segmentation_mode, **_):
        assert segmentation_mode == -1
        which = rows[:, 3].astype(int)
        assert np.ptp(rows[:, 0]) == pytest.approx(100 * np.ptp(small.table.x), rel=1e-6)
        truth = small.drift.to_nm(100.0)[np.sort(small.table.frame)]
        count = np.bincount(which)
        drift = [np.bincount(which, truth[:, axis]) / count for axis in range(3)]
        rows[:] = 0
        return np.column_stack([*drift, np.arange(len(count))])

    monkeypatch.setitem(sys.modules, "comet", SimpleNamespace(comet_run_kd=comet_run_kd))
    before = small.table.x.copy()
    found = left(small, method="comet")
    np.testing.assert_array_equal(small.table.x, before)
    assert found["lateral"] < 1.0
    assert found["z"] < 1.0


def test_comet_itself(small):
    pytest.importorskip("comet")
    found = left(small, method="comet", segments=20, comet_max_drift_nm=600.0)
    assert found["lateral"] < 10.0


def test_the_benchmark_gives_its_rows():
    sizes = DriftBenchmark(localizations=5000, frames=500, methods=("aim", "fiducials"))
    rows = list(benchmark_drift(sizes))
    assert len(rows) == count_rows(sizes) == 10
    assert [row.name for row in rows[:5]] == ["aim x", "aim y", "aim lateral", "aim z", "aim time"]
    assert {row.unit for row in rows} == {"nm rms", "s"}
    assert rows[2].value == pytest.approx(np.hypot(rows[0].value, rows[1].value))


def test_beads_that_come_late_leave_the_zero_where_it_is():
    """0 is in the first frame with a localization, not in the first with a bead."""
    sample = simulate_drift(10_000, 1000, seed=4, size_px=64)
    rng = np.random.default_rng(0)
    t = np.arange(250, 1000)
    beads = [
        Localizations.from_columns(
            frame=t,
            x=place + sample.drift.x[t] + 0.1 * rng.standard_normal(len(t)),
            y=place + sample.drift.y[t] + 0.1 * rng.standard_normal(len(t)),
            z_nm=sample.drift.z_nm[t] + 25 * rng.standard_normal(len(t)),
        )
        for place in (20.0, 45.0)
    ]
    table = Localizations.concatenate([sample.table, *beads])
    found = estimate_drift(table, sample.info, DriftConfig(method="fiducials"))
    first = int(table.frame.min())
    assert (found.x[first], found.y[first], found.z_nm[first]) == (0, 0, 0)
    assert found.x[250] == pytest.approx(sample.drift.x[250] - sample.drift.x[first], abs=0.1)
