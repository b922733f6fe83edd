import numpy as np
import pytest

from napari_dilatedloc.analysis import ranges
from napari_dilatedloc.analysis.filters import filter_mask
from napari_dilatedloc.analysis.ranges import RangeFilter
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(100.0, (50, 50), 10)
COLUMNS = ("photons", "x_nm", "sigma_lateral_nm", "frame", "cluster")


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 3000
    sigma = rng.uniform(0.05, 0.3, n)
    sigma[:50] = np.nan
    return Localizations.from_columns(
        frame=rng.integers(0, 10, n),
        x=rng.uniform(0, 49, n),
        y=rng.uniform(0, 49, n),
        photons=rng.exponential(1000, n),
        sigma_x=sigma,
        sigma_y=sigma,
        extra={"cluster": rng.integers(-1, 9, n)},
    )


def test_a_mask_that_was_dragged_is_that_of_the_settings(table):
    rng = np.random.default_rng(1)
    live = RangeFilter(table, INFO, FilterConfig(where="photons > 50", edge_px=2))
    spans = {"photons": 3000, "x_nm": 5000, "sigma_lateral_nm": 30, "frame": 10, "cluster": 9}
    for _ in range(60):
        name = rng.choice(COLUMNS)
        low, high = np.sort(rng.uniform(0, spans[name], 2))
        ends = rng.random(2) < 0.3
        live.set_range(name, None if ends[0] else low, None if ends[1] else high)
        np.testing.assert_array_equal(live.mask, filter_mask(table, INFO, live.config))
    for name in COLUMNS:
        live.set_range(name, None, None)
    assert live.config.ranges == {}
    np.testing.assert_array_equal(live.mask, filter_mask(table, INFO, live.config))
    live.set_config(FilterConfig(ranges={"photons": (100, 900)}))
    live.set_config(FilterConfig(ranges={"frame": (2, 4)}))
    np.testing.assert_array_equal(live.mask, (table.frame >= 2) & (table.frame <= 4))


def test_histograms_are_linked(table):
    live = RangeFilter(table, INFO)
    live.set_range("photons", 500, 2000)
    live.set_range("frame", 3, None)
    histogram = live.histogram("photons", bins=37)
    counts, edges = np.histogram(table.photons.astype(float), 37)
    np.testing.assert_array_equal(histogram.counts, counts)
    np.testing.assert_allclose(histogram.edges, edges)
    others = table.photons[table.frame >= 3].astype(float)  # not its own range
    np.testing.assert_array_equal(histogram.kept, np.histogram(others, edges)[0])
    live.set_range("frame", 5, None)
    others = table.photons[table.frame >= 5].astype(float)
    np.testing.assert_array_equal(
        live.histogram("photons", bins=37).kept, np.histogram(others, edges)[0]
    )


def test_a_histogram_of_a_span(table):
    live = RangeFilter(table, INFO)
    histogram = live.histogram("sigma_lateral_nm", 20, (10.0, 20.0))
    values = np.sqrt((table.sigma_x**2 + table.sigma_y**2) / 2) * np.float32(100)
    expected, _ = np.histogram(values[np.isfinite(values)].astype(float), 20, (10.0, 20.0))
    np.testing.assert_array_equal(histogram.counts, expected)
    assert live.histogram("sigma_z_nm").counts.sum() == 0  # nothing is known
    flat = RangeFilter(table.replace(photons=np.full(len(table), 7)), INFO).histogram("photons", 9)
    assert flat.counts.sum() == len(table)
    with pytest.raises(ValueError, match="bins must be 1 to 65534, got 0"):
        live.histogram("photons", 0)


def test_dragging_one_range_looks_at_its_column_only(table, monkeypatch):
    live = RangeFilter(table, INFO, FilterConfig(ranges=dict.fromkeys(COLUMNS, (None, 5.0))))
    judged = []
    monkeypatch.setattr(
        ranges, "within", lambda values, limits: judged.append(values) or values <= limits[1]
    )
    monkeypatch.setattr(ranges, "quantity", lambda *_: pytest.fail("a column was made again"))
    live.set_range("photons", None, 900.0)
    assert len(judged) == 1
    np.testing.assert_array_equal(judged[0], table.photons)


def test_a_refused_range_changes_nothing(table):
    live = RangeFilter(table, INFO, FilterConfig(ranges={"photons": (100, 900)}))
    before = live.mask
    for column, low, high in (("photons", 5, 3), ("nothing", 0, 1), ("nothing", None, 1)):
        with pytest.raises(ValueError, match=r"run upwards|no column 'nothing'"):
            live.set_range(column, low, high)
    with pytest.raises(ValueError, match="no column 'nothing'"):
        live.set_config(FilterConfig(ranges={"frame": (3, 4), "nothing": (0, 1)}))
    np.testing.assert_array_equal(live.mask, before)
    assert live.config.ranges == {"photons": (100, 900)}
