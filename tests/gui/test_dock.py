import sys
import time
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.dock import DilatedLocDock
from napari_dilatedloc.gui.hooks import localize_stack
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.io.tables import read_table
from napari_dilatedloc.network.shipped import available_models

TIMEOUT = 120_000
NM = {"scale": (1, 100, 100), "units": ("pixel", "nm", "nm")}


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy()


def open_dock(viewer, model_path=None) -> DilatedLocDock:
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    if model_path is not None:
        dock.model_step.set_model(str(model_path))
    # small blocks: the first result comes soon, also on a busy machine
    dock.form.setValue(LocalizeConfig(block_frames=16))
    return dock


def run(qtbot, dock):
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.panel.button.click()


def running_threads():
    """Threads at work in Python; `threading` also lists Qt's that have ended, as dummies."""
    return len(sys._current_frames())


def export(qtbot, dock, path):
    with qtbot.waitSignal(dock.results.worker.finished, timeout=TIMEOUT):
        dock.results.export_to(path)


def test_the_shipped_models_are_offered(viewer):
    dock = open_dock(viewer)
    offered = [dock.model_step.combo.itemText(i) for i in range(dock.model_step.combo.count())]
    assert offered[:-1] == available_models()


def test_localize_then_export_then_reopen(qtbot, viewer, model_path, tmp_path):
    viewer.open_sample("napari-dilatedloc", "blinking")
    dock = open_dock(viewer, model_path)
    assert dock.trouble == ""
    assert dock.movie_step.pixel_size_nm == 100
    dock.form.setValue(dock.form.value().replace(frames=(0, 40)))
    run(qtbot, dock)
    assert dock.worker.state is State.DONE
    assert dock.panel.status.text().startswith("Done: 40 frames in")
    table = dock.result.store.table()
    assert len(table) > 100
    assert dock.result.frames == (0, 40)

    image = viewer.layers["Blinking filaments super-resolution"]
    assert image.data.sum() == len(table)
    assert image.scale.tolist() == [10, 10]
    assert image.translate.tolist() == [-45, -45]
    assert [str(unit) for unit in image.units] == ["nanometer"] * 2
    points = viewer.layers["Blinking filaments localizations (this frame)"]
    assert points.scale.tolist() == [100, 100]
    viewer.dims.set_current_step(0, 17)
    np.testing.assert_allclose(points.data[:, 1], table.x[table.frame == 17])
    assert viewer.canvas.overlays.scale_bar.visible

    export(qtbot, dock, tmp_path / "locs.h5")
    again, info = read_table(tmp_path / "locs.h5")
    assert info.pixel_size_nm == 100
    assert info.shape == (64, 64)
    np.testing.assert_array_equal(again.x, table.x)
    export(qtbot, dock, tmp_path / "locs.csv")
    assert "locs.csv" in dock.results.line.label.text()
    reopened = viewer.open(str(tmp_path / "locs.csv"), plugin="napari-dilatedloc")[1]
    np.testing.assert_allclose(reopened.data[:, 2], table.x, atol=0.01)

    dock.results.points_button.click()
    sent = viewer.layers["Blinking filaments localizations"]
    assert sent.ndim == 3
    assert len(sent.data) == len(table)


def test_the_real_tetrapod_movie_runs_on_its_raw_frames(qtbot, viewer, data_dir):
    viewer.open(data_dir / "tetrapod-real" / "mitochondria_frames01-25.tif", plugin="napari")
    dock = open_dock(viewer)
    dock.model_step.set_model("astigmatism")
    dock.movie_step.pixel_size.setValue(110.0)
    assert dock.trouble == ""
    dock.form.setValue(LocalizeConfig(frames=(4, 6)))
    run(qtbot, dock)
    assert dock.worker.state is State.DONE
    table = dock.result.store.table()
    assert set(table.frame) == {4, 5}
    image = next(layer for layer in viewer.layers if layer.name.endswith("super-resolution"))
    assert image.data.shape[0] / image.data.shape[1] == pytest.approx(332 / 492)
    assert image.extent.world[1].tolist() == pytest.approx([331.5 * 110, 491.5 * 110], rel=0.01)


def test_cancel_keeps_a_labelled_part_and_a_second_run_works(qtbot, viewer, model_path, movie):
    viewer.add_image(np.tile(movie, (40, 1, 1)), name="long", **NM)
    dock = open_dock(viewer, model_path)
    dock.panel.button.click()
    assert dock.panel.button.text() == "Cancel"
    qtbot.waitUntil(lambda: dock.result is not None, timeout=TIMEOUT)
    assert not dock.results.export_button.isEnabled()
    assert dock.panel.bar.isVisibleTo(dock)
    assert "frames/s" in dock.panel.figures.text()
    began = time.perf_counter()
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.panel.button.click()
        assert dock.panel.button.text() == "Cancelling…"
    assert time.perf_counter() - began < 5  # under 1 s alone; this machine may be busy
    assert dock.worker.state is State.CANCELLED
    done = dock.result.frames[1]
    assert 0 < done < 6000
    assert dock.result.store.table().frame.max() < done
    assert f"long super-resolution (frames 0-{done - 1})" in viewer.layers
    assert "Cancelled" in dock.panel.status.text()
    assert dock.results.export_button.isEnabled()

    first = dock.result
    dock.form.setValue(dock.form.value().replace(frames=(100, 140)))
    run(qtbot, dock)
    assert dock.result is not first
    assert dock.result.frames == (100, 140)
    assert dock.result.store.table().frame.min() >= 100
    assert "long super-resolution" in viewer.layers
    assert not first.image_layer.visible
    assert len(first.store) > 0


def test_close_viewer_mid_run_leaves_no_thread(qtbot, make_napari_viewer, model_path, movie):
    viewer = make_napari_viewer()
    viewer.add_image(np.tile(movie, (40, 1, 1)), name="long", **NM)
    before = running_threads()
    dock = open_dock(viewer, model_path)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: dock.result is not None, timeout=TIMEOUT)
    assert dock.worker.state is State.RUNNING
    viewer.close()
    assert dock.worker.state is State.CANCELLED
    assert len(dock.result.store) > 0
    qtbot.waitUntil(lambda: running_threads() <= before, timeout=5000)


def test_taking_the_dock_out_mid_run_stops_it(qtbot, viewer, model_path, movie):
    viewer.add_image(np.tile(movie, (40, 1, 1)), name="long", **NM)
    dock = open_dock(viewer, model_path)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: dock.result is not None, timeout=TIMEOUT)
    viewer.window.remove_dock_widget(dock)
    assert dock.worker.state is State.CANCELLED
    viewer.add_image(np.zeros((3, 4, 5)))  # nobody listens any more, nothing breaks
    dock.deleteLater()


def test_the_disabled_button_says_why(qtbot, viewer, movie):
    dock = open_dock(viewer)
    assert not dock.panel.button.isEnabled()
    assert "Open a movie" in dock.panel.button.toolTip()
    viewer.add_image(movie, name="bare")
    assert "pixel size" in dock.panel.button.toolTip()
    assert dock.panel.status.text() == dock.panel.button.toolTip()
    dock.movie_step.pixel_size.setValue(110)
    assert "pixel size" not in dock.panel.button.toolTip()


def test_a_movie_without_unit_gets_one_only_when_ticked(qtbot, viewer, model_path, movie):
    layer = viewer.add_image(movie[:20], name="bare")
    dock = open_dock(viewer, model_path)
    dock.movie_step.pixel_size.setValue(110)
    dock.movie_step.apply_scale.setChecked(False)
    run(qtbot, dock)
    assert layer.scale.tolist() == [1, 1, 1]
    # results lie over the movie as it is
    np.testing.assert_allclose(viewer.layers["bare super-resolution"].scale, 1 / 11)
    assert dock.result.info.pixel_size_nm == 110
    dock.movie_step.apply_scale.setChecked(True)
    run(qtbot, dock)
    assert layer.scale.tolist() == [1, 110, 110]
    assert [str(unit) for unit in layer.units] == ["pixel", "nanometer", "nanometer"]
    np.testing.assert_allclose(viewer.layers["bare super-resolution [1]"].scale, 10)


def test_a_scale_of_the_users_is_read_and_left_alone(qtbot, viewer, model_path, movie):
    layer = viewer.add_image(
        movie[:20], name="um", scale=(1, 0.12, 0.12), units=("pixel", "um", "um")
    )
    dock = open_dock(viewer, model_path)
    assert dock.movie_step.pixel_size_nm == pytest.approx(120)
    assert dock.movie_step.apply_scale.isHidden()
    run(qtbot, dock)
    assert layer.scale.tolist() == [1, 0.12, 0.12]
    image = viewer.layers["um super-resolution"]
    np.testing.assert_allclose(image.scale, 0.01)
    assert image.units[0] == layer.units[1]
    # the model is made for 100 nm pixels, and the dock says so
    assert "trained for 100 nm" in dock.model_step.doubts.text()
    assert not dock.model_step.doubts.isHidden()


def test_an_rgb_movie_gives_one_sentence(qtbot, viewer, model_path):
    viewer.add_image(np.zeros((5, 32, 32, 3), np.uint8), rgb=True, name="colour", **NM)
    dock = open_dock(viewer, model_path)
    assert "RGB" in dock.panel.status.text()
    assert dock.panel.button.toolTip() == dock.panel.status.text()
    assert not dock.panel.button.isEnabled()
    assert len(viewer.layers) == 1


def test_a_2d_image_gives_one_sentence(qtbot, viewer):
    viewer.add_image(np.zeros((32, 32)), name="flat")
    dock = open_dock(viewer)
    localize_stack(viewer)
    assert "got 'flat', a 2-D Image layer" in dock.panel.status.text()
    assert dock.worker.state is State.IDLE


def test_a_bad_model_file_gives_a_sentence_and_details(qtbot, viewer, movie, tmp_path):
    viewer.add_image(movie, name="movie", **NM)
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a model at all")
    dock = open_dock(viewer, bad)
    run(qtbot, dock)
    assert dock.worker.state is State.FAILED
    assert "bad.safetensors is not a model file" in dock.panel.status.text()
    assert "Traceback" not in dock.panel.status.text()
    assert len(viewer.layers) == 1  # no empty layers
    assert dock.panel.button.isEnabled()  # try again
    dock.panel.details_button.click()
    assert "Traceback" in QApplication.clipboard().text()


def test_a_movie_with_nan_fails_with_one_sentence(qtbot, viewer, model_path, movie):
    broken = movie.astype(np.float32)
    broken[3] = np.nan
    viewer.add_image(broken, name="broken", **NM)
    dock = open_dock(viewer, model_path)
    run(qtbot, dock)
    assert dock.worker.state is State.FAILED
    assert "NaN" in dock.panel.status.text()


def test_the_menu_action_starts_when_nothing_is_missing(qtbot, viewer, model_path, movie):
    viewer.add_image(movie[:30], name="other", **NM)
    layer = viewer.add_image(movie[:30], name="chosen", **NM)
    dock = open_dock(viewer, model_path)
    viewer.layers.selection.active = layer
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        localize_stack(viewer)
        assert dock.worker.state is State.RUNNING
    assert "chosen super-resolution" in viewer.layers


def test_the_menu_action_asks_for_what_is_missing(qtbot, viewer, model_path, movie):
    viewer.add_image(movie[:30], name="bare")
    dock = open_dock(viewer, model_path)
    localize_stack(viewer)
    assert dock.worker.state is State.IDLE
    assert "pixel size" in dock.panel.status.text()


def test_the_layer_list_follows_the_viewer(viewer, movie):
    dock = open_dock(viewer)
    combo = dock.movie_step.layer_combo
    first = viewer.add_image(movie, name="first")
    viewer.add_image(movie[0], name="flat")
    second = viewer.add_image(movie, name="second")
    assert {combo.itemText(i) for i in range(combo.count())} == {"first", "second"}
    dock.select_movie(second)
    second.name = "renamed"
    assert combo.currentText() == "renamed"
    viewer.layers.remove(second)
    assert dock.movie_step.movie == first


def test_the_pixel_size_is_taken_from_the_file(viewer, movie, tmp_path):
    from napari_dilatedloc.io.movie import write_movie

    path = tmp_path / "movie.tif"
    write_movie(path, movie[:10], pixel_size_nm=137.0)
    viewer.open(str(path), plugin="napari")
    dock = open_dock(viewer)
    assert dock.movie_step.pixel_size_nm == pytest.approx(137, abs=0.1)


def test_nothing_is_printed_or_left_open_in_the_gui_room():
    folder = Path(__file__).parents[2] / "src" / "napari_dilatedloc" / "gui"
    for path in folder.glob("*.py"):
        assert "print(" not in path.read_text(encoding="utf-8"), path.name
