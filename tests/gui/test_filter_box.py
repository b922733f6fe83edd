import numpy as np
import pytest
from qtpy.QtCore import QLocale, QPointF, Qt
from qtpy.QtTest import QTest

from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui.colours import ColourBy
from napari_dilatedloc.gui.filter_box import FilterBox
from napari_dilatedloc.gui.filter_form import COLUMNS, FilterRow
from napari_dilatedloc.gui.layers import Placement
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.range_histogram import RangeHistogram
from napari_dilatedloc.gui.store import LocalizationStore
from napari_dilatedloc.table import Localizations, TableInfo

TIMEOUT = 60_000
INFO = TableInfo(100.0, shape=(20, 30), n_frames=20)


def some(start, stop, seed=0):
    generator = np.random.default_rng(seed + start)
    n = 50 * (stop - start)
    return Localizations.from_columns(
        frame=np.sort(generator.integers(start, stop, n)),
        x=generator.uniform(0, 29, n),
        y=generator.uniform(0, 19, n),
        z_nm=generator.uniform(-500, 500, n),
        photons=generator.uniform(200, 5000, n),
        sigma_x=generator.uniform(0.05, 0.3, n),
        sigma_y=generator.uniform(0.05, 0.3, n),
    )


@pytest.fixture
def result(movie_viewer):
    placed = Placement.from_layer(movie_viewer.layers["movie"])
    made = LiveResult(movie_viewer, "movie", placed, (20, 30), INFO, {})
    made.append(0, 10, some(0, 10))
    made.append(10, 20, some(10, 20))
    made.finish(partial=False)
    return made


@pytest.fixture
def box(qtbot, result):
    made = FilterBox()
    qtbot.addWidget(made)
    made.resize(300, 600)
    made.show_result(result)
    with qtbot.waitSignal(made.changed, timeout=TIMEOUT):
        made.prepare()
    qtbot.waitUntil(lambda: made.form.isEnabled(), timeout=TIMEOUT)
    return made


def drawn(table):
    from napari_dilatedloc.render import histogram

    return histogram(table, (20, 30), 10)


def test_a_masked_store_tells_of_what_is_kept_only():
    store = LocalizationStore()
    store.append(0, some(0, 10))
    store.append(10, some(10, 20))
    everything = store.everything()
    mask = everything.photons > 2000
    store.keep(mask)
    kept = everything[mask]
    assert (len(store), store.total) == (mask.sum(), len(mask))
    np.testing.assert_array_equal(store.table().x, kept.x)
    for frame in (0, 9, 10, 19):
        np.testing.assert_array_equal(store.at_frame(frame).x, kept.x[kept.frame == frame])
    sample = store.sample(40)
    assert len(sample) == 40
    assert (sample.photons > 2000).all()
    with pytest.raises(RuntimeError, match="cannot grow"):
        store.append(20, some(20, 21))
    with pytest.raises(ValueError, match="mask of 1000 rows"):
        store.keep(mask[1:])
    store.keep(None)
    assert len(store) == len(everything)


def test_image_circles_and_counts_follow_a_range(qtbot, box, result):
    everything = result.store.everything()
    with qtbot.waitSignal(box.changed, timeout=TIMEOUT):
        box.form.rows["photons"].changed.emit("photons", 1500.0, None)
    kept = everything[everything.photons >= 1500]
    assert box.form.count.text() == f"{len(kept)} of 1,000 localizations are kept."
    np.testing.assert_array_equal(result.image_layer.data, drawn(kept))
    here = (kept.frame == result.points.frame).sum()
    qtbot.waitUntil(lambda: len(result.points.layer.data) == here, timeout=TIMEOUT)
    with qtbot.waitSignal(box.changed, timeout=TIMEOUT):
        box.form.rows["z_nm"].changed.emit("z_nm", -100.0, 100.0)
    kept = kept[np.abs(kept.z_nm) <= 100]
    np.testing.assert_array_equal(result.image_layer.data, drawn(kept))
    step = result.written_info.recipe[-1]
    assert step.rows == len(kept) == len(result.store.table())
    assert step.settings["ranges"] == {"photons": [1500.0, None], "z_nm": [-100.0, 100.0]}


def test_colours_follow_too(qtbot, box, result):
    result.colour(ColourBy.Z)
    qtbot.waitUntil(lambda: not result.hue.busy, timeout=TIMEOUT)
    with qtbot.waitSignal(box.changed, timeout=TIMEOUT):
        box.form.rows["z_nm"].changed.emit("z_nm", 200.0, None)
    qtbot.waitUntil(lambda: not result.hue.busy, timeout=TIMEOUT)
    shown = result.hue.layer.data[result.image_layer.data > 0]
    assert shown.min() >= 200


def test_undo_and_show_all(qtbot, box, result):
    assert not box.form.undo_button.isEnabled()
    for low in (1000.0, 2000.0):
        box.form.rows["photons"].changed.emit("photons", low, None)
        qtbot.waitUntil(lambda: box.form.undo_button.isEnabled(), timeout=TIMEOUT)
        qtbot.wait(250)  # it rests: a step of its own
    two = len(result.store)
    assert box.form.rows["photons"].low.text() == "2000"
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.form.undo_button.click()
    assert box.config.ranges == {"photons": (1000.0, None)}
    assert len(result.store) > two
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.form.clear_button.click()
    assert len(result.store) == 1000
    assert result.written_info.recipe == ()
    np.testing.assert_array_equal(result.image_layer.data, drawn(result.store.everything()))


def test_undo_goes_back_step_by_step_and_says_when_it_cannot(qtbot, box, result):
    undo = box.form.undo_button
    assert undo.toolTip() == "Change a filter first."
    assert box.form.clear_button.toolTip() == "Filter something first."
    for config in (FilterConfig(where="photons>1000"), FilterConfig(where="photons>2000")):
        with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
            box.set_config(config)
    for where in ("photons>1000", None):
        with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
            undo.click()
        assert box.config.where == where
    assert not undo.isEnabled()
    assert len(result.store) == 1000


def test_a_range_of_just_now_outlives_another_filter(qtbot, box, result):
    box.form.rows["photons"].changed.emit("photons", 1500.0, None)
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.form.edge.setValue(2.0)  # at once, before the drag rests
    assert box.config == FilterConfig(ranges={"photons": (1500.0, None)}, edge_px=2.0)
    assert result.store.table().photons.min() >= 1500


def test_a_result_that_comes_back_is_filtered_as_it_was(qtbot, box, result):
    with qtbot.waitSignal(box.changed, timeout=TIMEOUT):
        box.form.rows["photons"].changed.emit("photons", 1500.0, None)
    config, kept = box.config, len(result.store)
    box.show_result(None)
    box.show_result(result)
    assert box.config == config
    assert box.form.rows["photons"].low.text() == "1500"
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.prepare()
    assert (box.config, len(result.store)) == (config, kept)


def test_closing_begins_nothing(qtbot, result, movie_viewer):
    """While the columns of a former result are looked at."""
    box = FilterBox()
    qtbot.addWidget(box)
    box.show_result(result)
    box.prepare()
    other = LiveResult(movie_viewer, "other", result.placement, (20, 30), INFO, {})
    other.append(0, 10, some(0, 10, seed=5))
    box.show_result(other)
    box.shut_down()
    assert not box.worker.state.busy


def test_a_snapshot_stands_still_and_copies_nothing():
    store = LocalizationStore()
    store.append(0, some(0, 10))
    store.append(10, some(10, 20))
    table = store.table()
    assert np.shares_memory(store.block(1).x, table.x)
    taken = store.snapshot()
    store.keep(table.photons > 2000)
    assert len(store) < len(taken) == len(taken.table()) == len(table)
    assert np.shares_memory(taken.table().x, table.x)
    store.keep(None)
    store.append(20, some(20, 21))
    assert len(taken.table()) == len(table)
    assert len(store.table()) == len(table) + 50


def type_in(qtbot, field, text):
    field.selectAll()
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Return)


def test_numbers_are_read_as_they_are_written_in_any_country(qtbot):
    QLocale.setDefault(QLocale("de_DE"))
    try:
        row = FilterRow(COLUMNS[0])
        qtbot.addWidget(row)
        type_in(qtbot, row.low, "1.5")
        assert row.histogram.ends == (1.5, None)
        type_in(qtbot, row.low, "1,500")  # the comma is not taken
        assert row.histogram.ends == (1500.0, None)
    finally:
        QLocale.setDefault(QLocale.system())


def test_a_condition_and_one_that_cannot_be_read(qtbot, box, result):
    box.form.where.setText("photons>3000 & z_nm<0")
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.form.where.editingFinished.emit()
    table = result.store.table()
    assert 0 < len(table) < 1000
    assert (table.photons > 3000).all()
    assert (table.z_nm < 0).all()
    box.form.where.setText("photons>>")
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.form.where.editingFinished.emit()
    assert box.line.error
    assert len(result.store) == len(table)
    assert box.form.isEnabled()


def test_edge_and_neighbours(qtbot, box, result):
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.form.edge.setValue(5.0)
    table = result.store.table()
    assert table.x.min() >= 4.5
    assert table.x.max() <= 24.5
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.form.neighbours.setValue(3)
    assert box.config == FilterConfig(edge_px=5.0, min_neighbours=3, radius_nm=50.0)
    assert len(result.store) < len(table)


def test_another_result_begins_unfiltered(qtbot, box, result, movie_viewer):
    with qtbot.waitSignal(box.changed, timeout=TIMEOUT):
        box.form.rows["photons"].changed.emit("photons", 1500.0, None)
    other = LiveResult(movie_viewer, "other", result.placement, (20, 30), INFO, {})
    other.append(0, 10, some(0, 10, seed=5))
    other.finish(partial=False)
    box.show_result(other)
    assert box.config == FilterConfig()
    assert box.form.rows["photons"].low.text() == ""
    assert not box.form.isEnabled()
    assert len(result.store) < 1000  # the former one stays as it was filtered


def test_a_filter_of_settings_waits_for_the_next_result(qtbot, result):
    box = FilterBox()
    qtbot.addWidget(box)
    wanted = FilterConfig(where="photons>2000", ranges={"z_nm": (0.0, None)})
    box.setValue(wanted)
    assert box.value() == wanted
    with qtbot.waitSignal(box.changed, timeout=TIMEOUT):
        box.show_result(result)
    table = result.store.table()
    assert box.config == box.value() == wanted
    assert table.photons.min() > 2000
    assert table.z_nm.min() >= 0
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.setValue(FilterConfig())
    assert len(result.store) == 1000


def test_typed_numbers_are_ends(qtbot, box, result):
    row = box.form.rows["photons"]
    type_in(qtbot, row.low, "4000.5")
    qtbot.waitUntil(lambda: len(result.store) < 1000, timeout=TIMEOUT)
    assert row.histogram.ends == (4000.5, None)
    assert result.store.table().photons.min() >= 4000.5
    row.histogram.dragged.emit(2000.0, None)  # by the mouse, with the cursor still in the field
    assert row.low.text() == "2000"
    row.low.editingFinished.emit()  # and then it leaves
    assert row.histogram.ends == (2000.0, None)
    row.show_range(123456.0, None)
    assert row.low.text() == "123456"
    type_in(qtbot, row.low, "123457")
    assert row.histogram.ends == (123457.0, None)


def test_ends_are_dragged(qtbot):
    histogram = RangeHistogram()
    qtbot.addWidget(histogram)
    histogram.resize(201, 40)
    histogram.show_counts(np.linspace(0, 100, 11), np.arange(10), np.arange(10))
    told = []
    histogram.dragged.connect(lambda low, high: told.append((low, high)))
    at = [QPointF(x, 20).toPoint() for x in (2, 50, 200, 100)]
    QTest.mousePress(histogram, Qt.MouseButton.LeftButton, pos=at[0])
    QTest.mouseMove(histogram, at[1])
    QTest.mouseRelease(histogram, Qt.MouseButton.LeftButton, pos=at[1])
    low, high = histogram.ends
    assert low == pytest.approx(25, abs=1)
    assert high is None
    QTest.mousePress(histogram, Qt.MouseButton.LeftButton, pos=at[2])
    QTest.mouseMove(histogram, at[3])
    assert histogram.ends == (low, pytest.approx(50, abs=1))
    QTest.mouseMove(histogram, at[0])  # it cannot pass the other end
    assert histogram.ends == (low, low)
    QTest.mouseRelease(histogram, Qt.MouseButton.LeftButton, pos=at[0])
    assert told[-1] == histogram.ends
    QTest.mouseDClick(histogram, Qt.MouseButton.LeftButton, pos=at[1])
    assert histogram.ends == (None, None)
    assert told[-1] == (None, None)
