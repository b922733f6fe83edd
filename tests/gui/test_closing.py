"""Closing while something is at work: a process of its own, since Qt aborts the whole of it."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from qtpy.QtCore import QThread
from qtpy.QtWidgets import QApplication

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.worker import State

TIMEOUT = 120_000

SCRIPT = """
import sys, time
import napari, numpy as np
from qtpy.QtWidgets import QApplication
from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.kept_runs import KeptRuns

what, model = sys.argv[1:]
viewer = napari.Viewer(show=True)
movie = np.random.default_rng(1).poisson(130, (6000, 24, 32)).astype(np.uint16)
viewer.add_image(movie, name="long", scale=(1, 100, 100), units=("pixel", "nm", "nm"))
_, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
dock.model_step.set_model(model)
dock.form.setValue(LocalizeConfig(block_frames=16, device="cpu", engine="exact"))
if what == "preview":
    dock.localize_step.preview.button.click()
    busy = dock.localize_step.preview.worker
else:
    dock.start()
    busy = dock.worker
end = time.monotonic() + 200
while time.monotonic() < end:
    QApplication.processEvents()
    if what == "run" and dock.result is not None and len(dock.result.store):
        break
    if what != "run" and busy.state.busy:
        break
    time.sleep(0.01)
assert busy.state.busy, busy.state
result = dock.result
if what == "run-deleted":
    dock.deleteLater()
    del dock
    QApplication.sendPostedEvents(None, 0)
viewer.close()
if what == "run":
    assert busy.state.value == "cancelled", busy.state
    assert len(result.store) > 0
    kept = KeptRuns().recent()[0]
    assert kept.about.movie == "long" and not kept.about.ended
    assert sum(len(part) for part in kept.parts()) >= len(result.store)
QApplication.processEvents()
sys.stderr.write("closed\\n")
"""


@pytest.mark.parametrize("what", ["run", "preview", "run-loading", "run-deleted"])
def test_a_process_that_closes_at_work_ends_quietly(model_path, tmp_path, what):
    script = tmp_path / "close.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), what, str(model_path)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "closed" in done.stderr
    for word in ("QThread", "Traceback", "destroyed", "core dumped"):
        assert word not in done.stderr


def widgets_of_ours():
    return {
        type(widget).__name__
        for widget in QApplication.allWidgets()
        if type(widget).__module__.startswith("napari_dilatedloc")
    }


def running_threads():
    children = QApplication.instance().findChildren(QThread)
    return [thread for thread in children if thread.isRunning()]


def put_to_work(qtbot, viewer, model_path):
    """Dock with a frame looked at and a run under way; its runner."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    dock.model_step.set_model(str(model_path))
    dock.form.setValue(LocalizeConfig(block_frames=16, device="cpu", engine="exact"))
    dock.localize_step.preview.button.click()
    qtbot.waitUntil(lambda: dock.localize_step.preview.look is not None, timeout=TIMEOUT)
    dock.start()
    qtbot.waitUntil(lambda: dock.result is not None, timeout=TIMEOUT)
    return dock


def test_nothing_is_left_of_a_dock_that_was_at_work(qtbot, make_napari_viewer, model_path, movie):
    viewer = make_napari_viewer()
    layer = viewer.add_image(
        np.tile(movie, (20, 1, 1)), name="long", scale=(1, 100, 100), units=("pixel", "nm", "nm")
    )
    before = set(threading.enumerate())
    dims_followers = len(viewer.dims.events.current_step.callbacks)
    removed_followers = len(viewer.layers.events.removed.callbacks)
    scale_followers = len(layer.events.scale.callbacks)
    dock = put_to_work(qtbot, viewer, model_path)
    assert running_threads()
    worker, result = dock.worker, dock.result
    gone = []
    dock.destroyed.connect(lambda: gone.append(True))
    viewer.window.remove_dock_widget(dock)
    assert worker.state is State.CANCELLED
    assert len(result.store) > 0  # what was found is kept, and its layers stay
    assert any("super-resolution" in item.name for item in viewer.layers)
    assert "long preview" not in viewer.layers
    dock.deleteLater()
    del dock, worker
    qtbot.waitUntil(lambda: bool(gone), timeout=TIMEOUT)
    qtbot.waitUntil(lambda: not running_threads(), timeout=TIMEOUT)
    ours = {thread for thread in threading.enumerate() if thread.name.startswith("dilatedloc")}
    assert ours <= before
    assert widgets_of_ours() == set()
    # the points of the current frame still follow the slider; nobody else listens
    assert len(viewer.dims.events.current_step.callbacks) == dims_followers + 1
    assert len(viewer.layers.events.removed.callbacks) == removed_followers + 1
    assert len(layer.events.scale.callbacks) == scale_followers
