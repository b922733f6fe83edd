"""Results that are made of others: drift taken off, blinks merged, undone."""

import numpy as np
import pytest

from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui import runner
from napari_dilatedloc.gui.step_box import Mark
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.io.tables import write_table
from napari_dilatedloc.table import Localizations, TableInfo

TIMEOUT = 120_000
FRAMES = 200


def drifting():
    """Twenty molecules that come back all the time, 1.5 px of drift in x, none in y."""
    generator = np.random.default_rng(1)
    places = generator.uniform(4, 28, (20, 2))
    frame = np.repeat(np.arange(FRAMES), 10)
    which = generator.integers(0, 20, len(frame))
    y, x = places[which].T + generator.normal(0, 0.05, (2, len(frame)))
    n = len(frame)
    return Localizations.from_columns(
        frame=frame,
        x=x + 1.5 * frame / FRAMES,
        y=y,
        photons=np.full(n, 1000.0),
        sigma_x=np.full(n, 0.05),
        sigma_y=np.full(n, 0.05),
    )


@pytest.fixture
def dock(qtbot, make_napari_viewer_proxy, tmp_path):
    viewer = make_napari_viewer_proxy()
    info = TableInfo(100.0, shape=(32, 32), n_frames=FRAMES)
    write_table(tmp_path / "cells.h5", drifting(), info)
    _, made = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    with qtbot.waitSignal(made.worker.finished, timeout=TIMEOUT):
        made.open_table(str(tmp_path / "cells.h5"))
    return made


def test_drift_is_taken_off_and_comes_back(qtbot, dock):
    before = dock.result
    process = dock.results.process
    assert process.drift_button.isEnabled()
    assert not process.undo_button.isEnabled()
    process.segments.setValue(10)
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        process.drift_button.click()
    assert dock.worker.state is State.DONE
    after = dock.result
    assert after is not before
    assert not before.image_layer.visible
    moved = before.store.table().x - after.store.table().x
    frame = after.store.table().frame
    np.testing.assert_allclose(moved - moved[0], 1.5 * frame / FRAMES, atol=0.1)
    assert [step.name for step in after.info.recipe] == ["drift"]
    assert after.image_layer.name == "cells without drift super-resolution"
    assert process.plot.isVisibleTo(process)

    dock.results.show_run(dock.runner.run, running=False, undo=True)
    assert process.plot.isVisibleTo(process)
    process.undo_button.click()
    assert not process.plot.isVisibleTo(process)
    assert dock.result is before
    assert before.image_layer.visible
    assert after.image_layer not in dock._viewer.layers
    assert not process.undo_button.isEnabled()
    assert dock.results.localizations == 2000


def test_blinks_are_merged_after_a_filter_and_the_recipe_tells_both(qtbot, dock, tmp_path):
    filters = dock.results.filter
    dock.results.filter_step.expand()
    qtbot.waitUntil(filters.form.isEnabled, timeout=TIMEOUT)
    with qtbot.waitSignal(filters.changed, timeout=TIMEOUT):
        filters.form.rows["frame"].changed.emit("frame", 0.0, 49.0)
    kept = dock.results.localizations
    assert kept == 500
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.results.process.link_button.click()
    merged = dock.result.store.table()
    assert len(merged) < kept
    assert merged.photons.sum() == pytest.approx(500 * 1000.0)
    assert merged.extra["linked"].sum() == 500
    assert [step.name for step in dock.result.info.recipe] == ["filter", "link"]
    assert filters.config.ranges == {}


def test_what_cannot_be_corrected_is_said_and_nothing_is_lost(qtbot, dock, tmp_path):
    one_frame = Localizations.from_columns(frame=[0, 0, 0], x=[1.0, 5, 9], y=[2.0, 6, 10])
    write_table(tmp_path / "short.h5", one_frame, TableInfo(100.0, shape=(32, 32), n_frames=1))
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.open_table(str(tmp_path / "short.h5"))
    before = dock.result
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.results.process.drift_button.click()
    assert dock.worker.state is State.FAILED
    assert dock.panel.line.error
    assert dock.result is before
    assert before.image_layer.visible
    assert dock.results.process.drift_button.isEnabled()


def test_meanwhile_every_button_says_why_it_waits_and_cancelling_changes_nothing(
    qtbot, dock, monkeypatch
):
    def slow(_result, _kept, _config, stop):
        stop.wait()
        yield from ()

    monkeypatch.setattr(runner, "drift_job", slow)
    before, results = dock.result, dock.results
    process = results.process
    process.drift_button.click()
    for button in (process.drift_button, process.link_button, results.open_button):
        assert not button.isEnabled()
        assert button.toolTip().startswith("Wait until")
    assert process.undo_button.toolTip() == "Correct drift or merge blinks first."
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.worker.cancel()
    assert dock.panel.status.text() == "Cancelled; nothing was changed."
    assert dock.result is before
    assert process.drift_button.isEnabled()
    assert results.open_button.isEnabled()


def test_a_filter_that_keeps_nothing_is_named_as_the_reason(dock):
    dock.result.filter(FilterConfig(where="photons>1e9"), np.zeros(2000, bool))
    dock.results.filter.changed.emit()
    for button in (dock.results.export_button, dock.results.process.link_button):
        assert not button.isEnabled()
        assert button.toolTip() == "The filter keeps no localization: widen it."
    header = dock.steps.results.state
    assert header.summary == "the filter keeps nothing: widen it"
    assert header.mark is Mark.ATTENTION
    assert header.tip.startswith("None of 2,000 localizations passes the filter")
    dock.result.filter(FilterConfig(), None)
    dock.results.filter.changed.emit()
    assert dock.steps.results.state.summary.startswith("2,000 localizations")
