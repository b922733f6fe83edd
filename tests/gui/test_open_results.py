"""Tables and runs of before, shown again as a result."""

import numpy as np
import pytest

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.kept_runs import KeptRuns
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.io.tables import write_table
from napari_dilatedloc.table import Localizations, TableInfo

TIMEOUT = 120_000


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy()


def open_dock(viewer):
    return viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")[1]


def menu_of(dock):
    dock.results.open_menu.aboutToShow.emit()
    return [action for action in dock.results.open_menu.actions() if not action.isSeparator()]


def test_a_run_of_before_is_shown_again(qtbot, viewer, movie, model_path):
    placed = {"scale": (1, 100, 100), "translate": (0, 300, 500), "units": ("pixel", "nm", "nm")}
    viewer.add_image(movie, name="cells", **placed)
    dock = open_dock(viewer)
    assert [action.text() for action in menu_of(dock)] == ["Table…"]
    dock.model_step.set_model(str(model_path))
    dock.form.setValue(LocalizeConfig(block_frames=16, frames=(4, 40)))
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.start()
    found = dock.result.store.table()
    first_image = dock.result.image_layer
    assert len(found) > 0
    (kept,) = KeptRuns().recent()
    _, recent = menu_of(dock)
    assert recent.text() == kept.about.said
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        recent.trigger()
    assert dock.worker.state is State.DONE
    assert dock.panel.status.text() == f"cells: {len(found):,} localizations."
    again = dock.result.store.table()
    for name in Localizations.column_names():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    # over the movie it came from, and the result before gives way
    assert dock.result.image_layer.translate.tolist() == first_image.translate.tolist()
    assert not first_image.visible
    assert dock.results.export_button.isEnabled()
    np.testing.assert_array_equal(dock.result.image_layer.data, first_image.data)


def test_a_table_of_any_format_is_a_result(qtbot, viewer, tmp_path):
    generator = np.random.default_rng(3)
    table = Localizations.from_columns(
        frame=generator.integers(0, 50, 500),
        x=generator.uniform(0, 40, 500),
        y=generator.uniform(0, 30, 500),
    )
    write_table(tmp_path / "mine.h5", table, TableInfo(80.0, shape=(32, 48), n_frames=50))
    dock = open_dock(viewer)
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.results.table_chosen.emit(str(tmp_path / "mine.h5"))
    assert dock.results.localizations == 500
    assert dock.result.info.n_frames == 50
    assert dock.result.image_layer.data.sum() == 500
    assert dock.result.image_layer.scale.tolist() == [10, 10]
    assert dock.results.export_button.isEnabled()


def test_a_table_that_cannot_be_read_is_said_in_one_sentence(qtbot, viewer, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    dock = open_dock(viewer)
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.open_table(str(tmp_path / "other.csv"))
    assert dock.worker.state is State.FAILED
    assert "other.csv" in dock.panel.line.error
    assert dock.result is None
    assert dock.panel.button.text() == "Localize"


def test_a_run_cut_short_is_not_forgotten(qtbot, viewer, movie, model_path):
    viewer.add_image(
        np.tile(movie, (40, 1, 1)), name="long", scale=(1, 100, 100), units=("pixel", "nm", "nm")
    )
    dock = open_dock(viewer)
    dock.model_step.set_model(str(model_path))
    dock.form.setValue(LocalizeConfig(block_frames=16))
    dock.start()
    qtbot.waitUntil(lambda: dock.results.localizations > 0, timeout=TIMEOUT)
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    again = open_dock(viewer)
    assert "'Open' has a run that was cut short: long, " in again.results.summary.text()
