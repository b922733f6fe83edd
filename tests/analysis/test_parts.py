"""What is done to a table part by part is what is done to it at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dilatedloc.analysis.clusters import cluster, find_clusters, labelled
from napari_dilatedloc.analysis.drift.doubt import drift_error
from napari_dilatedloc.analysis.drift.estimate import estimate_drift
from napari_dilatedloc.analysis.filters import filter_mask, mask_of_parts
from napari_dilatedloc.analysis.linking import blinks, link
from napari_dilatedloc.analysis.merging import merge_parts
from napari_dilatedloc.analysis.parts import Places, chosen, in_frame_order, whole, whole_frames
from napari_dilatedloc.benchmark.drift import simulate_drift
from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(100.0, (24, 24), 200)


def crowded(rows, frames, seed=0, side=20.0):
    """Rows in frame order, so dense that links and duplicates compete; some know no precision."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.05, 0.4, rows)
    sigma[rng.random(rows) < 0.05] = np.nan
    return Localizations.from_columns(
        frame=np.sort(rng.integers(0, frames, rows)),
        x=rng.uniform(0, side, rows),
        y=rng.uniform(0, side, rows),
        z_nm=np.where(rng.random(rows) < 0.1, np.nan, rng.uniform(-300, 300, rows)),
        photons=rng.exponential(900, rows),
        bg=rng.uniform(5, 9, rows),
        prob=rng.choice([0.5, 0.75, 1.0], rows),
        sigma_x=sigma,
        sigma_y=sigma[::-1],
        sigma_z_nm=100 * sigma,
        sigma_photons=np.full(rows, 20.0),
        extra={"chi": rng.uniform(0, 2, rows), "channel": rng.integers(0, 3, rows)},
    )


def cut(table, rows):
    return lambda: [table[start : start + rows] for start in range(0, max(len(table), 1), rows)]


def same(one, other):
    assert one.extra.keys() == other.extra.keys()
    for name in one.column_names():
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name, values in one.extra.items():
        assert values.dtype == other.extra[name].dtype
        np.testing.assert_array_equal(values, other.extra[name], err_msg=name)


def linked_in(parts, config):
    ordered, blink = blinks(parts, INFO.pixel_size_nm, config)
    return whole([part for part in merge_parts(ordered(), blink, INFO.pixel_size_nm) if len(part)])


@given(
    frame=st.lists(st.integers(0, 6), min_size=1, max_size=30).map(sorted),
    rows=st.integers(1, 31),
)
def test_parts_that_end_with_a_frame(frame, rows):
    table = Localizations.from_columns(frame=frame, x=np.arange(len(frame)), y=np.zeros(len(frame)))
    parts = list(whole_frames(cut(table, rows)()))
    same(whole(parts), table)
    ends = [part.frame[-1] for part in parts]
    starts = [part.frame[0] for part in parts]
    assert all(end < start for end, start in zip(ends, starts[1:], strict=False))


@given(frame=st.lists(st.integers(0, 3), max_size=9), rows=st.integers(1, 10))
def test_frame_order_is_seen_across_parts(frame, rows):
    table = Localizations.from_columns(frame=frame, x=np.zeros(len(frame)), y=np.zeros(len(frame)))
    assert in_frame_order(cut(table, rows)()) == (frame == sorted(frame))


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize(
    "config",
    [
        FilterConfig(where="photons > 500 & sigma_x_nm < 30", edge_px=3),
        FilterConfig(duplicates_nm=250, ranges={"chi": (0.2, None)}),
        FilterConfig(min_neighbours=26, radius_nm=150),
        FilterConfig(where="photons>300", duplicates_nm=250, min_neighbours=2, radius_nm=200),
        FilterConfig(min_neighbours=1, radius_nm=200, z_weight=1.0),
    ],
)
def test_a_filter_by_parts(config, rows, in_order):
    table = crowded(1500, 30)
    if not in_order:
        table = table[np.random.default_rng(1).permutation(len(table))]
    expected = filter_mask(table, INFO, config)
    assert 0 < expected.sum() < len(table)
    mask = mask_of_parts(cut(table, rows), INFO, config)
    np.testing.assert_array_equal(mask, expected)
    same(whole(list(chosen(cut(table, rows)(), mask))), table[expected])


def test_z_may_be_unknown_in_a_whole_part():
    table = crowded(200, 10).replace(z_nm=np.repeat([np.nan, 50.0], 100))
    config = FilterConfig(min_neighbours=1, radius_nm=400, z_weight=1.0)
    mask = mask_of_parts(cut(table, 50), INFO, config)
    assert not mask[:100].any()
    assert mask[100:].any()


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    frames=st.integers(1, 60),
    rows=st.sampled_from([1, 7, 50, 1000]),
    config=st.builds(
        LinkingConfig,
        distance_nm=st.sampled_from([None, 120.0]),
        sigmas=st.sampled_from([2.0, 6.0]),
        dark_frames=st.integers(0, 4),
    ),
)
def test_linking_by_parts(seed, frames, rows, config):
    table = crowded(150, frames, seed, side=6.0)
    once, _ = link(table, INFO, config)
    same(linked_in(cut(table, rows), config), once)
    # what is linked again may end long after the part it lies in
    again = config.replace(dark_frames=config.dark_frames + 3, distance_nm=200.0)
    same(linked_in(cut(once, rows), again), link(once, INFO, again)[0])


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_linking_a_table_in_any_order_by_parts(rows):
    table = crowded(1500, 300)
    mixed = table[np.random.default_rng(3).permutation(len(table))]
    config = LinkingConfig(dark_frames=2)
    same(linked_in(cut(mixed, rows), config), link(mixed, INFO, config)[0])


def test_a_bead_that_shines_throughout_holds_nothing_up_in_the_end():
    """Its row is the first of the table, and known last."""
    table = crowded(600, 200)
    bead = Localizations.from_columns(
        frame=np.arange(200),
        x=np.full(200, 40.0),
        y=np.full(200, 40.0),
        sigma_x=np.full(200, 0.05),
        sigma_y=np.full(200, 0.05),
        photons=np.full(200, 5000.0),
        extra={"chi": np.zeros(200), "channel": np.zeros(200, int)},
    )
    table = Localizations.concatenate([bead, table]).sorted_by_frame()
    once, _ = link(table, INFO)
    assert once.extra["linked"][0] == 200
    same(linked_in(cut(table, 20), LinkingConfig()), once)


def test_precision_that_only_some_parts_know():
    table = crowded(300, 50).replace(sigma_x=np.where(np.arange(300) < 250, np.nan, 0.2))
    same(linked_in(cut(table, 20), LinkingConfig()), link(table, INFO)[0])
    nobody = table.replace(sigma_x=np.full(300, np.nan))
    with pytest.raises(ValueError, match="lacks; give distance_nm"):
        blinks(cut(nobody, 20), 100.0, LinkingConfig())


def test_places_are_enough_for_drift():
    sample = simulate_drift(4000, 200, seed=1, size_px=64)
    places = Places.of(cut(sample.table, 300)())
    config = DriftConfig(segments=10)
    one = estimate_drift(places, sample.info, config)
    other = estimate_drift(sample.table, sample.info, config)
    np.testing.assert_array_equal(one.to_nm(100.0), other.to_nm(100.0))
    assert drift_error(places, sample.info, one, config) == drift_error(
        sample.table, sample.info, other, config
    )


def test_clusters_by_parts():
    table = crowded(800, 30)
    table = table.replace(x=np.round(table.x / 4) * 4 + table.sigma_x, y=np.round(table.y / 4) * 4)
    config = ClusterConfig(radius_nm=30, z_weight=0.1)
    expected, _, clusters = cluster(table, INFO, config)
    labels, found = find_clusters(Places.of(cut(table, 70)()), INFO.pixel_size_nm, config)
    assert len(found) > 3
    assert repr(found) == repr(clusters)  # some densities are NaN
    same(whole(list(labelled(cut(table, 70)(), labels))), expected)
