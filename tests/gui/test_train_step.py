import threading

import numpy as np
import psutil
import pytest

from napari_dilatedloc.config import (
    GaussianPSFConfig,
    ModelInfo,
    SCMOSConfig,
    SimulationConfig,
    TrainingConfig,
)
from napari_dilatedloc.gui import train_job
from napari_dilatedloc.gui.dock import DilatedLocDock
from napari_dilatedloc.gui.match_view import Picture
from napari_dilatedloc.gui.psf_job import ChosenPSF
from napari_dilatedloc.gui.train_form import default_settings
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.matching import estimate
from napari_dilatedloc.network.checkpoint import load_model, save_model
from napari_dilatedloc.network.output import scaling_for
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.structure import simulate_structure
from napari_dilatedloc.training.places import checkpoint_path
from napari_dilatedloc.training.start import fresh_network
from napari_dilatedloc.training.state import read_settings

TIMEOUT = 180_000
PSF = GaussianPSF(GaussianPSFConfig(roi_size=11))
CHOSEN = ChosenPSF(PSF, "tiny spot", "made for a test")
TINY = TrainingConfig(
    simulation=SimulationConfig(density_per_um2=(0.3, 0.6), photons=(3000, 6000), bg=(10, 20)),
    batch=1,
    patch=32,
    frames=3,
    steps=4,
    validate_every=2,
    validation_frames=10,
    validation_per_plane=1,
    test_emitters=20,
)
ENDLESS = TINY.replace(steps=1_000_000)


@pytest.fixture
def processes(monkeypatch):
    """Training processes that were started."""
    started, start = [], train_job._training_process
    monkeypatch.setattr(
        train_job, "_training_process", lambda said: started.append(start(said)) or started[-1]
    )
    return started


@pytest.fixture
def start_path(tmp_path):
    """Model with fresh weights."""
    path, low_high = tmp_path / "start.safetensors", PSF.config.z_range_nm
    info = ModelInfo(
        network=TINY.network,
        scaling=scaling_for(TINY.simulation, low_high),
        camera=TINY.camera,
        psf=PSF.config,
        simulation=TINY.simulation,
    )
    save_model(path, fresh_network(TINY.network, 1), info, {})
    return path


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy()


def open_dock(viewer) -> DilatedLocDock:
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    return dock


def prepare(dock, out, config=TINY, start="none"):
    """Choose everything, as a user does, but for the PSF, which would need a file."""
    step = dock.train_step
    step.set_psf(CHOSEN)
    if step.form.start.findData(start) < 0:
        step.form.start.addItem("mine", start)
    step.form.start.setCurrentIndex(step.form.start.findData(start))
    step.form.setValue(config)
    step.form.set_out(out)
    return step


def wait(qtbot, condition):
    qtbot.waitUntil(condition, timeout=TIMEOUT)


def test_buttons_that_are_off_say_why(qtbot, viewer):
    dock = open_dock(viewer)
    step = dock.train_step
    assert not step.train_button.isEnabled()
    assert "Choose a PSF" in step.train_button.toolTip()
    assert "Open a movie" in step.match_button.toolTip()
    viewer.add_image(np.zeros((5, 20, 20)), name="movie")
    assert "pixel size" in step.match_button.toolTip()
    dock.movie_step.pixel_size.setValue(100)
    assert "Choose a PSF" in step.match_button.toolTip()
    dock.psf_step.choose_preset("astigmatism")
    wait(qtbot, step.train_button.isEnabled)
    assert step.match_button.isEnabled()
    assert step.form.out.name == "astigmatism-tuned.safetensors"
    assert step.train_button.text() == "Fine-tune for this PSF"
    step.form.ranges["bg"].low.setValue(1e5)
    assert "bg must be (low, high)" in step.train_button.toolTip().lower()
    assert step.pause_button.isHidden()


def test_fine_tuning_gives_a_model_that_is_chosen(qtbot, viewer, start_path, tmp_path):
    dock = open_dock(viewer)
    out = tmp_path / "tuned.safetensors"
    step = prepare(dock, out, start=str(start_path))
    with qtbot.waitSignal(step.trained, timeout=TIMEOUT) as told:
        step.train_button.click()
        assert step.train_button.text() == "Stop and keep the best"
        assert not step.form.isEnabled()
        assert "Wait" in step.match_button.toolTip()
    assert told.args == [str(out)]
    wait(qtbot, lambda: not step.worker.state.busy)
    assert step.worker.state is State.DONE
    assert dock.model_step.model == str(out)
    info = load_model(out).info
    assert info.psf == PSF.config
    assert info.simulation == TINY.simulation
    assert step.log.before is not None
    assert step.accuracy.text().startswith("Accuracy before → after: Jaccard ")
    assert "tuned.safetensors is saved and chosen above" in step.status.label.text()
    assert not step.plots.isHidden()
    assert step.bar.isHidden()
    assert step.form.isEnabled()
    # a second one begins with another file
    assert step.form.out.name == "tiny-spot-tuned.safetensors"
    assert step.train_button.isEnabled()
    assert step.resume_button.isHidden()


def asleep(qtbot, process):
    """Whether a process waits for something, however busy the machine is."""
    for _ in range(10):
        if psutil.Process(process.pid).status() != psutil.STATUS_SLEEPING:
            return False
        qtbot.wait(20)
    return True


def test_pause_stop_and_the_best_is_kept(qtbot, viewer, tmp_path, processes):
    dock = open_dock(viewer)
    out = tmp_path / "stopped.safetensors"
    step = prepare(dock, out, ENDLESS)
    assert step.train_button.text() == "Train for this PSF"
    step.train_button.click()
    wait(qtbot, lambda: step.log.best is not None)
    assert not step.bar.isHidden()
    assert "left" in step.figures.text()
    seen = []
    step.worker.yielded.connect(seen.append)
    began = step.log.last.step
    qtbot.wait(1000)
    assert len(seen) <= 11  # however fast the steps come
    wait(qtbot, lambda: step.log.last.step > began)
    step.pause_button.click()
    assert step.pause_button.text() == "Go on"
    wait(qtbot, lambda: asleep(qtbot, processes[0]))
    before = psutil.Process(processes[0].pid).cpu_times().user
    qtbot.wait(400)
    assert psutil.Process(processes[0].pid).cpu_times().user - before < 0.1
    stood = step.log.last.step
    step.pause_button.click()
    assert step.pause_button.text() == "Pause"
    wait(qtbot, lambda: step.log.last.step > stood)
    step.pause_button.click()  # it stops out of a pause too
    with qtbot.waitSignal(step.worker.finished, timeout=TIMEOUT):
        step.train_button.click()
        assert step.train_button.text() == "Stopping…"
        assert not step.train_button.isEnabled()
    assert step.worker.state is State.CANCELLED
    assert step.status.label.text().startswith("Stopped after ")
    assert dock.model_step.model == str(out)
    assert load_model(out).info.steps <= step.log.last.step
    assert step.pause_button.isHidden()
    assert not step.resume_button.isHidden()


def test_stopped_before_the_first_check(qtbot, viewer, tmp_path):
    dock = open_dock(viewer)
    step = prepare(dock, tmp_path / "none.safetensors", ENDLESS.replace(validate_every=10**6))
    before = dock.model_step.model
    step.train_button.click()
    wait(qtbot, lambda: step.log.last is not None)
    step.train_button.click()
    wait(qtbot, lambda: not step.worker.state.busy)
    assert "no model yet" in step.status.label.text()
    assert dock.model_step.model == before
    assert not step.resume_button.isHidden()
    assert step.train_button.isEnabled()


def test_closing_while_training_leaves_nothing_behind(
    qtbot, make_napari_viewer, tmp_path, processes
):
    viewer = make_napari_viewer()
    dock = open_dock(viewer)
    before = threading.active_count()
    out = tmp_path / "closed.safetensors"
    step = prepare(dock, out, ENDLESS)
    step.train_button.click()
    wait(qtbot, lambda: step.log.best is not None)
    step.pause_button.click()
    viewer.close()
    assert not step.worker.state.busy
    assert processes[0].returncode is not None
    assert load_model(out).info.psf == PSF.config
    assert read_settings(checkpoint_path(out)) == ENDLESS
    wait(qtbot, lambda: threading.active_count() <= before)


def test_taking_the_dock_out_while_training_stops_it(qtbot, viewer, tmp_path, processes):
    dock = open_dock(viewer)
    step = prepare(dock, tmp_path / "out.safetensors", ENDLESS)
    step.train_button.click()
    wait(qtbot, lambda: len(processes) == 1)
    viewer.window.remove_dock_widget(dock)
    assert step.worker.state is State.CANCELLED
    assert processes[0].returncode is not None
    dock.deleteLater()


def test_a_process_that_dies_loses_little_and_can_be_gone_on_with(
    qtbot, viewer, tmp_path, processes
):
    dock = open_dock(viewer)
    out = tmp_path / "died.safetensors"
    step = prepare(dock, out, ENDLESS)
    step.train_button.click()
    wait(qtbot, lambda: step.log.best is not None)
    assert step.resume_button.isHidden()
    processes[0].kill()
    wait(qtbot, lambda: not step.worker.state.busy)
    assert step.worker.state is State.FAILED
    said = step.status.label.text()
    assert said.startswith("The training process was ended")
    assert said.endswith(
        "died.safetensors holds the best model so far; 'Resume' goes on from the last check"
    )
    assert dock.model_step.model == str(out)
    stood = load_model(out).info.steps

    dock.train_step.set_psf(None)  # it travels in the model
    assert step.form.out == out
    assert not step.resume_button.isHidden()
    assert "died.safetensors" in step.resume_button.toolTip()
    step.form.ranges["bg"].low.setValue(1.0)  # its own settings count
    step.resume_button.click()
    assert step.train_button.text() == "Stop and keep the best"
    wait(qtbot, lambda: step.log.last is not None)
    assert stood < step.log.last.step <= stood + 3
    assert step.status.label.text() == "Training goes on."
    step.train_button.click()
    wait(qtbot, lambda: not step.worker.state.busy)
    assert step.worker.state is State.CANCELLED
    assert step.status.label.text().endswith("chosen above. 'Resume' goes on from there.")
    dock.train_step.set_psf(CHOSEN)
    assert "'Resume' goes on with it" in step.train_button.toolTip()
    assert read_settings(checkpoint_path(out)) == ENDLESS


def test_errors_are_sentences(qtbot, viewer, tmp_path, start_path):
    (tmp_path / "file").touch()
    step = prepare(
        open_dock(viewer), tmp_path / "file" / "model.safetensors", start=str(start_path)
    )
    step.train_button.click()
    wait(qtbot, lambda: step.worker.state is State.FAILED)
    assert str(tmp_path / "file") in step.status.label.text()
    assert "Unexpected" not in step.status.label.text()

    step.form.set_out(tmp_path / "model.safetensors")
    start_path.unlink()  # which the process finds
    step.train_button.click()
    wait(qtbot, lambda: not step.worker.state.busy)
    assert step.worker.state is State.FAILED
    assert "start.safetensors" in step.status.label.text()
    assert "Unexpected" not in step.status.label.text()
    assert step.train_button.isEnabled()


def test_it_fits_into_a_narrow_dock(qtbot, viewer):
    dock = open_dock(viewer)
    step = dock.train_step
    step.camera.kind.setCurrentIndex(1)
    step.pause_button.show()
    step.resume_button.show()
    step.plots.draw(step.log)
    assert step.minimumSizeHint().width() <= dock.minimumWidth() - 40  # margins, scroll bar


@pytest.fixture(scope="module")
def blinking():
    """75 frames of 40 x 40 px of what the tiny spots would give."""
    frames, _ = simulate_structure(PSF, SCMOSConfig(), frames=75, size=(40, 40), seed=2)
    return frames


def open_matching(qtbot, viewer, frames, monkeypatch):
    """Everything chosen for a match that is quick."""
    monkeypatch.setattr(estimate, "SIMULATED_PIXELS", 1)
    viewer.add_image(frames, name="blinking", scale=(1, 100, 100), units=("pixel", "nm", "nm"))
    dock = open_dock(viewer)
    dock.train_step.set_psf(CHOSEN)
    assert dock.train_step.match_button.isEnabled()
    return dock.train_step


def test_matching_fills_in_the_form(qtbot, viewer, blinking, monkeypatch):
    step = open_matching(qtbot, viewer, blinking, monkeypatch)
    before = step.form.value()
    with qtbot.waitSignal(step.worker.finished, timeout=TIMEOUT):
        step.match_button.click()
        assert step.match_button.text() == "Cancel"
        assert "Wait" in step.train_button.toolTip()
        assert step.match_view.isHidden()
    assert step.worker.state is State.DONE
    after = step.form.value()
    found = after.simulation
    # the structure blinks with these; the form is to cover them with some room
    assert found.bg[0] < 36 < found.bg[1] < 150
    assert found.photons[0] < 4000 < found.photons[1]
    assert step.form.ranges["photons"].value() == found.photons
    assert after.camera == before.camera
    # and fine-tuning still sees that nobody stated a learning rate
    assert after.for_fine_tuning().learning_rate == TrainingConfig().for_fine_tuning().learning_rate
    assert "checks without complaint" in step.match_view.verdicts.text()
    assert "100 nm pixels" in step.match_view.verdicts.toolTip()
    assert "spots in 75 frames" in step.match_view.summary.text()

    step.match_view.button.click()
    window = step.match_view.comparison
    assert window.isVisible()
    picture = window.findChild(Picture)
    assert picture.pixmap().width() > 500
    step.match_view.clear()
    assert step.match_view.comparison is None


def test_a_movie_without_spots_gives_a_sentence(qtbot, viewer, monkeypatch):
    dark = np.random.default_rng(0).poisson(130, (40, 32, 32)).astype(np.uint16)
    step = open_matching(qtbot, viewer, dark, monkeypatch)
    step.match_button.click()
    wait(qtbot, lambda: not step.worker.state.busy)
    assert step.worker.state is State.FAILED
    assert step.status.label.text().startswith("Expected spots")
    assert step.form.value() == default_settings()


def test_a_cancelled_match_changes_nothing(qtbot, viewer, blinking, monkeypatch):
    step = open_matching(qtbot, viewer, blinking, monkeypatch)
    step.match_button.click()
    step.match_button.click()
    assert step.match_button.text() == "Stopping…"
    wait(qtbot, lambda: not step.worker.state.busy)
    assert "Cancelled" in step.status.label.text()
    assert step.form.value() == default_settings()
    assert step.match_view.isHidden()
