"""Clusters in the dock, found by a process of its own."""

import csv

import numpy as np
import pytest

from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui import cluster_box, cluster_child, cluster_job
from napari_dilatedloc.gui.cluster_box import ClusterBox
from napari_dilatedloc.gui.cluster_job import cluster_picture
from napari_dilatedloc.gui.layers import Placement
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.table import Localizations, TableInfo

TIMEOUT = 120_000
PLACES = np.array([[4.0, 5.0], [12.0, 8.0], [15.0, 22.0]])  # y, x in px of 100 nm
EACH, ALONE = 60, 20


def grains():
    """Three round clusters, 15 nm wide, and lone molecules on a grid of 400 nm."""
    generator = np.random.default_rng(3)
    places = np.repeat(PLACES, EACH, axis=0) + generator.normal(0, 0.15, (3 * EACH, 2))
    rows, columns = np.divmod(np.arange(ALONE), 5)
    lone = np.stack([1.0 + 4 * rows, 1.0 + 6 * columns], axis=1)
    lone = lone[np.linalg.norm(lone[:, None] - PLACES, axis=2).min(axis=1) > 2]
    y, x = np.concatenate([places, lone]).T
    frame = np.sort(generator.integers(0, 20, len(y)))
    order = generator.permutation(len(y))
    return Localizations.from_columns(
        frame=frame, x=x[order], y=y[order], z_nm=np.full(len(y), 80.0)
    )


@pytest.fixture
def result(movie_viewer):
    movie = movie_viewer.layers["movie"]
    movie.translate = (0, 500, -300)
    placed = Placement.from_layer(movie)
    made = LiveResult(movie_viewer, "m", placed, (20, 30), TableInfo(100.0, (20, 30), 20), {})
    made.append(0, 20, grains())
    made.finish(partial=False)
    return made


@pytest.fixture
def box(qtbot, result):
    made = ClusterBox()
    qtbot.addWidget(made)
    made.show_result(None, "There is nothing: localize first.")
    assert not made.button.isEnabled()
    assert made.button.toolTip() == "There is nothing: localize first."
    made.show_result(result)
    yield made
    made.shut_down()


def find(qtbot, box, **settings):
    box.setValue(ClusterConfig(**{"radius_nm": 50.0, "min_points": 5, **settings}))
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.button.click()


@pytest.mark.parametrize(
    "config",
    [
        ClusterConfig(radius_nm=100 / 3),
        ClusterConfig(radius_nm=70.5, min_points=1234, z_weight=1 / 3),
        ClusterConfig(method="hdbscan", min_points=2),
    ],
)
def test_what_is_set_is_got(box, config):
    box.setValue(config)
    assert box.value() == config
    assert box.radius.isEnabled() == (config.method == "dbscan")


def test_hdbscan_says_why_it_has_no_radius_and_keeps_it(box):
    box.radius.setValue(77)
    box.method.setCurrentIndex(box.method.findData("hdbscan"))
    assert "no radius" in box.radius.toolTip()
    assert box.value().radius_nm is None
    box.method.setCurrentIndex(box.method.findData("dbscan"))
    assert box.value().radius_nm == 77


def test_clusters_lie_where_the_molecules_are(qtbot, box, result):
    lone = len(result.store) - 3 * EACH
    find(qtbot, box)
    assert box.worker.state is State.DONE
    found = box.shown.found
    share = 100 * lone / len(result.store)
    assert box.figures.text().startswith(f"3 clusters, {share:.0f} % of {len(result.store)} loc")
    centres = box.shown.centres
    world = np.array([centres.data_to_world(place) for place in centres.data])
    expected = PLACES * 100 + np.array([500, -300])
    for place, count in zip(world, centres.features["count"], strict=True):
        assert np.linalg.norm(expected - place, axis=1).min() < 8  # nm
        assert count == EACH
    for number, colour in zip(centres.features["cluster"], centres.border_color, strict=True):
        np.testing.assert_allclose(colour, box.shown.labels.get_color(number + 1), atol=0.01)
    assert centres.features["radius_of_gyration_nm"].mean() == pytest.approx(15 * 2**0.5, rel=0.1)
    assert (centres.features["density_per_um2"] > 1000).all()
    # each pixel of the labels under a clustered localization is of its cluster
    labels = box.shown.labels
    table = found.kept.store.table()
    for y, x, number in zip(table.y, table.x, table.extra["cluster"], strict=True):
        world = np.array([y, x]) * 100 + np.array([500, -300])
        value = labels.get_value(world, world=True)
        if number >= 0:
            assert value == number + 1
            assert labels.features.loc[value, "cluster"] == number
    assert np.count_nonzero(labels.data) <= 3 * EACH
    assert set(np.unique(labels.data)) == {0, 1, 2, 3}
    assert result.viewer.layers.selection.active is not labels


def test_undo_brings_the_clusters_before_back(qtbot, box, result):
    assert not box.undo_button.isEnabled()
    find(qtbot, box)
    first = box.shown
    find(qtbot, box, radius_nm=30.0)
    second = box.shown
    assert second is not first
    assert not first.labels.visible
    box.undo_button.click()
    assert box.shown is first
    assert first.labels.visible
    assert second.labels not in result.viewer.layers
    assert box.value().radius_nm == 50
    box.undo_button.click()
    assert box.shown is None
    assert first.centres not in result.viewer.layers
    assert box.undo_button.toolTip() == "Find clusters first."
    assert box.figures.isHidden()


def test_the_table_of_clusters_is_written(qtbot, box, tmp_path):
    assert not box.save_button.isEnabled()
    find(qtbot, box)
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.save_to(tmp_path / "c.csv")
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert [int(row["count"]) for row in rows] == [EACH] * 3
    assert box.line.label.text() == f"Wrote 3 clusters to {tmp_path / 'c.csv'}."
    assert float(rows[0]["z_nm"]) == 80


def test_the_filter_counts_and_a_later_one_is_said(qtbot, box, result):
    table = result.store.table()
    mask = table.x < 15
    config = FilterConfig(ranges={"x": (None, 15.0)})
    result.filter(config, mask)
    find(qtbot, box)
    assert len(box.shown.found.clusters) == 2
    kept = box.kept
    assert [step.name for step in kept.info.recipe] == ["filter", "cluster"]
    assert len(kept.store) == mask.sum()
    assert (kept.store.table().extra["cluster"] >= 0).sum() == 2 * EACH
    result.filter(FilterConfig(), None)
    box.show_result(result)
    assert box.kept is None
    assert "another filter" in box.doubt.text()
    result.filter(config, mask)
    box.show_result(result)
    assert box.kept is kept
    assert box.doubt.isHidden()


def test_they_are_hidden_with_their_result_and_go_with_it(qtbot, box, result):
    find(qtbot, box)
    shown = box.shown
    shown.centres.visible = False  # by the user
    result.show(False)
    assert not shown.labels.visible
    result.show(True)
    assert shown.labels.visible
    assert not shown.centres.visible
    result.viewer.layers.remove(shown.centres)
    result.remove()
    assert shown.labels not in result.viewer.layers


def test_nothing_found_is_said(qtbot, box):
    find(qtbot, box, min_points=1000)
    assert box.figures.text().startswith("No clusters in")
    assert not box.shown.labels.data.any()
    assert box.save_button.toolTip() == "Find clusters first: the last search found none."


def test_what_cannot_be_done_is_one_sentence(qtbot, box, result, monkeypatch):
    bare = LiveResult(
        result.viewer, "flat", result.placement, (20, 30), TableInfo(100.0, (20, 30), 20), {}
    )
    bare.append(0, 20, Localizations.from_columns(frame=[0, 1], x=[3, 4], y=[5, 6]))
    box.show_result(bare)
    find(qtbot, box, z_weight=1.0)
    assert "z" in box.line.error
    assert box.shown is None
    assert box.button.isEnabled()
    monkeypatch.setattr(cluster_child, "COMMAND", "import os; os._exit(9)")
    find(qtbot, box)
    assert "ended unexpectedly (code 9)" in box.line.error


def test_cancelling_ends_the_process_and_changes_nothing(qtbot, box, result, monkeypatch):
    started = []
    popen = cluster_job.subprocess.Popen

    def noted(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(cluster_job.subprocess, "Popen", noted)
    monkeypatch.setattr(cluster_child, "COMMAND", "import time; time.sleep(600)")
    box.button.click()
    qtbot.waitUntil(lambda: bool(started), timeout=TIMEOUT)
    assert box.button.text() == "Cancel"
    assert box.undo_button.toolTip().startswith("Wait until")
    with qtbot.waitSignal(box.worker.finished, timeout=20_000):
        box.button.click()
    assert box.worker.state is State.CANCELLED
    assert started[0].poll() is not None
    assert box.shown is None
    assert box.line.label.text() == "Cancelled; nothing was changed."
    assert box.button.text() == "Find clusters"


def test_without_scikit_learn_the_box_says_what_to_do(qtbot, monkeypatch, result):
    monkeypatch.setattr(cluster_box, "find_spec", lambda _name: None)
    made = ClusterBox()
    qtbot.addWidget(made)
    made.show_result(result)
    assert not made.button.isEnabled()
    assert "pip install 'napari-dilatedloc[sklearn]'" in made.button.toolTip()
    assert "pip install" in made.doubt.text()
    assert not made.doubt.isHidden()


def test_a_pixel_is_of_the_cluster_that_most_in_it_are_of():
    table = Localizations.from_columns(
        frame=np.zeros(7), x=[0, 0, 0, 1, 1, 2, 90], y=[0, 0, 0, 0, 0, 0, 0]
    )
    labels = np.array([4, 1, 4, -1, 2, -1, 0], np.int32)
    picture = cluster_picture(table, labels, (2, 3), 1)
    assert picture.tolist() == [[5, 3, 0], [0, 0, 0]]
    assert not cluster_picture(table, labels * 0 - 1, (2, 3), 1).any()
