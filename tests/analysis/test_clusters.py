import sys

import numpy as np
import pandas as pd
import pytest

from napari_dilatedloc.analysis.clusters import (
    cluster,
    cluster_labels,
    measure_clusters,
    write_clusters,
)
from napari_dilatedloc.config import ConfigError, parse_config
from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.table import Localizations, TableInfo

PIXEL = 100.0
INFO = TableInfo(PIXEL, (100, 100))


def at(zyx_nm):
    z, y, x = np.asarray(zyx_nm, float).T
    return Localizations.from_columns(
        frame=np.arange(len(z)), x=x / PIXEL, y=y / PIXEL, z_nm=z, photons=np.full(len(z), 500)
    )


def ball(n, radius, centre, seed, dimensions=3):
    """Uniform in a ball or (at the z of its centre) a disc, nm."""
    rng = np.random.default_rng(seed)
    out = rng.normal(size=(n, dimensions))
    out *= radius * rng.random((n, 1)) ** (1 / dimensions) / np.linalg.norm(out, axis=1)[:, None]
    return np.pad(out, ((0, 0), (3 - dimensions, 0))) + centre


def test_discs_are_found_with_their_size():
    centres = [(50, 1000, 1000), (50, 1000, 3000), (50, 4000, 2000)]
    discs = [ball(400, 150, centre, i, dimensions=2) for i, centre in enumerate(centres)]
    stray = np.random.default_rng(9).uniform([50, 6000, 0], [50, 9900, 9900], (30, 3))
    table = at(np.concatenate([*discs, stray]))
    config = ClusterConfig(radius_nm=40)
    labelled, info, found = cluster(table, INFO, config)
    labels = labelled.extra["cluster"]
    assert labels.dtype == np.int32
    assert len(found) == 3
    assert (info.recipe[-1].name, info.recipe[-1].rows) == ("cluster", len(table))
    assert info.recipe[-1].settings == {
        "method": "dbscan",
        "radius_nm": 40.0,
        "min_points": 10,
        "z_weight": 0.0,
    }
    for disc in range(3):
        rows = labels[disc * 400 : disc * 400 + 400]
        number = np.bincount(rows[rows >= 0]).argmax()
        assert (rows == number).mean() > 0.97
        assert (labels[1200:] == number).sum() == 0
        one = found[number]
        assert (one.cluster, one.count) == (number, (labels == number).sum())
        centre = (one.z_nm, one.y_nm, one.x_nm)
        assert centre == pytest.approx(centres[disc], abs=12)
        assert one.radius_of_gyration_nm == pytest.approx(150 / np.sqrt(2), rel=0.06)
        assert one.area_um2 == pytest.approx(np.pi * 0.15**2, rel=0.1)
        assert one.density_per_um2 == pytest.approx(one.count / one.area_um2)
        assert np.isnan(one.volume_um3)
    assert (labels[1200:] == -1).mean() > 0.9


def test_hdbscan_finds_a_dense_and_a_loose_one():
    dense = ball(600, 60, (0, 2000, 2000), 0, dimensions=2)
    dense_pair = ball(600, 60, (0, 2000, 2300), 1, dimensions=2)
    loose = ball(600, 1200, (0, 6500, 6500), 2, dimensions=2)
    table = at(np.concatenate([dense, dense_pair, loose]))
    labels = cluster_labels(table, PIXEL, ClusterConfig(method="hdbscan", min_points=60))
    groups = [np.unique(part, return_counts=True) for part in np.split(labels, 3)]
    main = [int(number[count.argmax()]) for number, count in groups]
    assert sorted(main) == [0, 1, 2]
    assert all(count.max() > 540 for _, count in groups)
    # one radius cannot: what joins the loose one joins the dense two as well
    joined = cluster_labels(table, PIXEL, ClusterConfig(radius_nm=190, min_points=5))
    assert len(np.unique(joined[:1200])) == 1


def test_dbscan_is_what_loops_find():
    rng = np.random.default_rng(3)
    places = rng.uniform(0, 2000, (300, 3)) * [0, 1, 1]
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    near = apart <= 120
    core = near.sum(axis=1) >= 5  # itself counted
    expected, number = np.full(300, -1), 0
    for start in np.flatnonzero(core):
        if expected[start] >= 0:
            continue
        stack = [start]
        while stack:
            row = stack.pop()
            fresh = np.flatnonzero(near[row] & (expected < 0)) if core[row] else []
            expected[fresh] = number
            stack += list(fresh)
        number += 1
    labels = cluster_labels(at(places), PIXEL, ClusterConfig(radius_nm=120, min_points=5))
    np.testing.assert_array_equal(labels < 0, expected < 0)
    both = core[:, None] & core[None]
    same = labels[:, None] == labels[None]
    np.testing.assert_array_equal(same[both], (expected[:, None] == expected[None])[both])


def test_z_separates_where_it_counts():
    balls = [ball(800, 200, (z, 2000, 2000), seed) for z, seed in ((-400, 0), (400, 1))]
    table = at(np.concatenate(balls))
    flat = cluster(table, INFO, ClusterConfig(radius_nm=60))[2]
    assert [one.count > 1500 for one in flat] == [True]
    solid = cluster(table, INFO, ClusterConfig(radius_nm=60, z_weight=1.0))[2]
    assert len(solid) == 2
    for one, z in zip(solid, (-400, 400), strict=True):
        assert one.z_nm == pytest.approx(z, abs=15)
        assert one.radius_of_gyration_nm == pytest.approx(200 * np.sqrt(3 / 5), rel=0.05)
        assert one.volume_um3 == pytest.approx(4 / 3 * np.pi * 0.2**3, rel=0.2)  # hull: smaller
        assert one.volume_um3 < 4 / 3 * np.pi * 0.2**3


def test_rows_on_a_line_have_no_area_and_rows_without_place_no_cluster():
    table = at([(0, 0, x) for x in range(0, 300, 10)] + [(0, np.nan, 0)])
    labelled, _, found = cluster(table, INFO, ClusterConfig(radius_nm=20, min_points=3))
    assert labelled.extra["cluster"].tolist() == [0] * 30 + [-1]
    assert found[0].area_um2 == 0
    assert np.isnan(found[0].density_per_um2)
    few = cluster_labels(table[:2], PIXEL, ClusterConfig(radius_nm=20, min_points=3))
    assert few.tolist() == [-1, -1]
    assert measure_clusters(table, np.full(31, -1), PIXEL, with_z=False) == []


def test_the_table_of_clusters_is_a_csv(tmp_path):
    places = np.concatenate([ball(50, 40, (0, 500, 500), 0), ball(60, 40, (0, 500, 5000), 1)])
    _, _, found = cluster(at(places), INFO, ClusterConfig(radius_nm=60))
    write_clusters(tmp_path / "clusters.csv", found)
    again = pd.read_csv(tmp_path / "clusters.csv")
    assert again["count"].tolist() == [50, 60]
    assert again["x_nm"].tolist() == pytest.approx([one.x_nm for one in found], rel=1e-5)
    assert again["volume_um3"].isna().all()


def test_without_scikit_learn_one_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(ValueError, match=r"pip install 'napari-dilatedloc\[sklearn\]'"):
        cluster(at([(0, 0, 0)]), INFO, ClusterConfig(radius_nm=20))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"method": "dbscan"}, "dbscan needs radius_nm"),
        ({"method": "hdbscan", "radius_nm": 20}, "hdbscan has no radius_nm, got 20"),
        ({"method": "kmeans"}, "method"),
        ({"radius_nm": 0}, "radius_nm"),
        ({"radius_nm": 5, "min_points": 1}, "min_points"),
    ],
)
def test_clusters_that_cannot_be(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        parse_config(ClusterConfig, values, "cluster")
