"""The shell of the dock: what it says of each field, its settings, its keys."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QSlider,
)

from napari_dilatedloc.config import (
    BeadSettings,
    CameraConfig,
    EMCCDConfig,
    LocalizeConfig,
    PSFSettings,
    SCMOSConfig,
    Settings,
    TrainingConfig,
    load_yaml,
    save_yaml,
)
from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.gui.dock import DilatedLocDock
from napari_dilatedloc.gui.dock_settings import apply_settings, defaults, read_settings
from napari_dilatedloc.gui.shortcuts import ALL
from napari_dilatedloc.gui.step_box import Mark
from napari_dilatedloc.gui.style import SHADES, Tone
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.io.movie import write_movie
from napari_dilatedloc.io.tables import write_table
from napari_dilatedloc.table import Localizations, TableInfo

TIMEOUT = 120_000
NM = {"scale": (1, 100, 100), "units": ("pixel", "nm", "nm")}
INPUTS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider)
CHANGED = Settings(
    camera=EMCCDConfig(em_gain=55.5),
    psf=PSFSettings(origin="beads", beads=BeadSettings(z_step_nm=12.5, roi_size=31)),
    localize=LocalizeConfig(threshold=0.35, frames=(2, 9), tile_size=256, device="cpu"),
    init="none",
    training=TrainingConfig(minutes=3.5, seed=8),
    filter=FilterConfig(where="photons>500", edge_px=2.0),
    drift=DriftConfig(method="rcc", segments=12, rcc_bin_nm=15.0),
    link=LinkingConfig(dark_frames=3),
    cluster=ClusterConfig(radius_nm=33.25, min_points=7, z_weight=0.4),
)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy()


@pytest.fixture
def dock(viewer) -> DilatedLocDock:
    return viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")[1]


def inputs(dock):
    """What a user can click or type into, without the parts that Qt builds boxes from."""
    for widget in dock.findChildren(INPUTS[0]) + [
        w for k in INPUTS[1:] for w in dock.findChildren(k)
    ]:
        if not isinstance(widget.parentWidget(), (QAbstractSpinBox, QComboBox)):
            yield widget


def test_every_field_explains_itself(dock):
    found = list(inputs(dock))
    assert len(found) > 40
    mute = [
        f"{type(w).__name__} in {type(w.parentWidget()).__name__}" for w in found if not w.toolTip()
    ]
    assert mute == []


def test_lengths_and_counts_have_their_unit(dock):
    """In the box, or else in its tooltip."""
    units = ("nm", "px", "ADU", "e⁻", "min", "electron", "photon", "0-1", "0 to 1", "frame", "gain")
    units += ("refractive", "aperture", "micromet", "steps", "um")
    for box in dock.findChildren(QAbstractSpinBox):
        said = box.toolTip() + (box.suffix() if hasattr(box, "suffix") else "")
        assert any(unit.lower() in said.lower() for unit in units), said


def test_a_button_that_is_off_says_why(dock):
    off = [w for w in inputs(dock) if isinstance(w, QAbstractButton) and not w.isEnabled()]
    assert dock.panel.button in off
    reasons = ("first", "Wait", "Only", "Correct", "Choose", "Open a ")
    for button in off:
        assert any(word in button.toolTip() for word in reasons), button.toolTip()


def test_steps_stand_in_the_order_of_the_work(dock):
    titles = [box.header.title.text() for box in dock.steps.boxes]
    assert titles == ["Movie & camera", "PSF", "Model", "Localize", "Results & export"]
    heights = [box.mapTo(dock.steps.widget(), box.rect().topLeft()).y() for box in dock.steps.boxes]
    assert heights == sorted(heights)


def test_headers_follow_the_work(qtbot, viewer, dock, model_path, movie):
    steps = dock.steps
    assert [box.state.mark for box in steps.boxes] == [
        Mark.NOTHING,
        Mark.NOTHING,
        Mark.DONE,
        Mark.NOTHING,
        Mark.NOTHING,
    ]
    viewer.add_image(movie[:40], name="movie")
    assert steps.movie.state.mark is Mark.ATTENTION
    assert "pixel size" in steps.movie.state.tip
    dock.movie_step.pixel_size.setValue(100)
    assert steps.movie.state.mark is Mark.DONE
    assert steps.movie.state.summary == "32 × 24 px, 40 frames, 100 nm"
    dock.model_step.set_model(str(model_path))
    assert steps.model.state.summary == "tiny.safetensors, 100 nm, z -700 to 700 nm"
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.panel.button.click()
        assert steps.localize.state.mark is Mark.BUSY
    assert steps.localize.state.summary == "40 frames done"
    assert steps.results.state.mark is Mark.DONE
    assert "localizations" in steps.results.state.summary


def test_the_chosen_camera_is_used(qtbot, viewer, dock, model_path, movie):
    """Twice the electrons per ADU are twice the photons; the network then finds other things."""
    viewer.add_image(movie[:30], name="movie", **NM)
    dock.model_step.set_model(str(model_path))
    tables = []
    for e_per_adu in (0.47, 0.94):
        dock.camera_box.set_camera(SCMOSConfig(e_per_adu=e_per_adu))
        assert dock.asked.camera.e_per_adu == e_per_adu
        with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
            dock.start()
        assert dock.worker.state is State.DONE
        tables.append(dock.result.store.table())
    assert len(tables[0]) != len(tables[1]) or not np.array_equal(*(t.photons for t in tables))


def test_all_fields_are_saved_reset_and_loaded(viewer, dock, movie, tmp_path):
    viewer.add_image(movie[:40], name="movie")
    fresh = read_settings(dock)
    apply_settings(dock, CHANGED)
    dock.movie_step.pixel_size.setValue(109.37)
    dock.model_step.set_model("tetrapod-3um" if _offered(dock, "tetrapod-3um") else "astigmatism")
    changed = read_settings(dock)
    assert changed.camera == CHANGED.camera
    assert changed.psf == CHANGED.psf
    assert changed.localize == CHANGED.localize
    assert changed.init == "none"
    for section in ("filter", "drift", "link"):
        assert getattr(changed, section) == getattr(CHANGED, section)
    assert changed.training == CHANGED.training.replace(camera=CHANGED.camera)
    assert changed.movie.pixel_size_nm == 109.37
    path = tmp_path / "all.yaml"
    dock.save_settings_to(path)
    assert str(path) in dock.panel.status.text()
    # the command line takes the same file
    assert load_yaml(LocalizeConfig, path) == changed.localize
    assert load_yaml(TrainingConfig, path) == changed.training
    assert load_yaml(CameraConfig, path) == changed.camera

    dock.reset()
    assert read_settings(dock) == fresh
    dock.load_settings_from(path)
    assert read_settings(dock) == changed


def _offered(dock, name):
    return dock.model_step.combo.findData(name) >= 0


def test_a_file_of_one_step_changes_that_step_only(dock, tmp_path):
    apply_settings(dock, CHANGED)
    before = read_settings(dock)
    save_yaml(LocalizeConfig(threshold=0.8), tmp_path / "run.yaml")
    dock.load_settings_from(tmp_path / "run.yaml")
    after = read_settings(dock)
    assert after.localize.threshold == 0.8
    assert after.model_copy(update={"localize": before.localize}) == before


def test_a_wrong_file_is_said_and_changes_nothing(dock, tmp_path):
    before = read_settings(dock)
    (tmp_path / "bad.yaml").write_text("dilatedloc: 1\nlocalize: {threshold: 7}\nmodel: other")
    dock.load_settings_from(tmp_path / "bad.yaml")
    assert "localize.threshold" in dock.panel.line.error
    assert read_settings(dock) == before
    dock.save_settings_to(tmp_path / "no" / "folder.yaml")
    assert "folder" in dock.panel.line.error


def test_fields_that_contradict_each_other_are_said(dock, tmp_path):
    dock.train_step.form.ranges["photons"].low.setValue(1e6)
    dock.save_settings_to(tmp_path / "all.yaml")
    assert dock.panel.line.error.startswith("Photons must be (low, high)")
    assert not (tmp_path / "all.yaml").exists()


def test_the_pixel_size_comes_with_the_camera(viewer, dock, movie):
    dock.camera_box.set_camera(SCMOSConfig(qe=0.77))
    dock.movie_step.pixel_size.setValue(103)
    dock.camera_box.save_as("mine")
    viewer.add_image(movie, name="bare")
    assert dock.movie_step.pixel_size_nm == 103
    viewer.add_image(movie, name="knows", **NM)
    dock.select_movie(viewer.layers["knows"])
    assert dock.movie_step.pixel_size_nm == 100


def test_the_camera_used_last_is_chosen_next_time(dock, make_napari_viewer_proxy):
    dock.camera_box.choose("EMCCD, SMLM Challenge 2016")
    viewer = make_napari_viewer_proxy()
    _, later = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    assert later.camera_box.camera == EMCCDConfig()
    assert read_settings(later).training.camera == EMCCDConfig()
    later.reset()
    assert later.camera_box.camera is None


def test_commands_are_copied(qtbot, viewer, dock, tmp_path):
    path = tmp_path / "a movie.tif"
    write_movie(path, np.full((9, 20, 30), 100, np.uint16), pixel_size_nm=110.0)
    dock.copy_localize_command()
    assert dock.panel.line.error.startswith("The command line needs a movie from a file")
    viewer.open(str(path), plugin="napari")
    apply_settings(dock, CHANGED)
    dock.copy_localize_command()
    arguments = shlex.split(QApplication.clipboard().text())
    assert arguments[:5] == ["dilatedloc", "localize", str(path), "--model", "astigmatism"]
    file = Path(arguments[arguments.index("--config") + 1])
    assert load_yaml(LocalizeConfig, file) == read_settings(dock).localize
    assert load_yaml(CameraConfig, file) == CHANGED.camera
    dock.copy_train_command()
    assert "save it first" in dock.panel.line.error
    dock.psf_step.setValue(PSFSettings(preset="astigmatism"))
    dock.copy_train_command()
    arguments = shlex.split(QApplication.clipboard().text())
    assert arguments[:4] == ["dilatedloc", "train", "--psf", "astigmatism"]
    file = Path(arguments[arguments.index("--config") + 1])
    assert load_yaml(TrainingConfig, file) == read_settings(dock).training
    assert yaml.safe_load(file.read_text())["dilatedloc"] == 1
    qtbot.waitUntil(lambda: dock.psf_step.psf is not None, timeout=TIMEOUT)


def test_the_command_for_clusters_reads_what_was_exported(qtbot, viewer, dock, tmp_path):
    dock.copy_cluster_command()
    assert dock.panel.line.error.startswith("The command line needs a table from a file")
    path = tmp_path / "a movie.tif"
    write_movie(path, np.full((9, 20, 30), 100, np.uint16), pixel_size_nm=110.0)
    viewer.open(str(path), plugin="napari")
    dock.copy_cluster_command()
    arguments = shlex.split(QApplication.clipboard().text())
    assert arguments[:3] == ["dilatedloc", "cluster", str(tmp_path / "a movie-localizations.csv")]
    assert arguments[-2:] == ["--pixel-size-nm", "110"]
    table = Localizations.from_columns(frame=[0, 1], x=[3, 4], y=[5, 6])
    write_table(tmp_path / "read.h5", table, TableInfo(120.0, (20, 30), 9))
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.open_table(str(tmp_path / "read.h5"))
    with qtbot.waitSignal(dock.results.worker.finished, timeout=TIMEOUT):
        dock.results.export_to(tmp_path / "written.parquet")
    dock.copy_cluster_command()
    arguments = shlex.split(QApplication.clipboard().text())
    assert arguments[2] == str(tmp_path / "written.parquet")
    assert arguments[-2:] == ["--pixel-size-nm", "120"]


def test_the_preferences_give_the_defaults(make_napari_viewer_proxy, tmp_path):
    from napari.settings import get_plugin_settings

    settings = get_plugin_settings("napari-dilatedloc")
    settings.compute.device = "cpu"
    settings.folders.models = str(tmp_path)
    viewer = make_napari_viewer_proxy()
    (tmp_path / "old.safetensors").touch()
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    assert dock.form.value().device == "cpu"
    assert defaults().training.device == "cpu"
    assert _offered(dock, str(tmp_path / "old.safetensors"))
    assert dock.train_step.form.out.parent == tmp_path


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_follow_the_theme(viewer, dock, theme):
    viewer.theme = "dark" if theme == "light" else "light"
    viewer.theme = theme
    dock.panel.show_error("Something is wrong.")
    label = next(found for found in dock.panel.findChildren(QLabel) if "wrong" in found.text())
    label.ensurePolished()
    assert label.palette().windowText().color() == QColor(SHADES[theme][Tone.ERROR])


def test_keys_work_wherever_the_focus_is(qtbot, viewer, dock, model_path, movie):
    viewer.add_image(np.tile(movie, (20, 1, 1)), name="long", **NM)
    dock.model_step.set_model(str(model_path))
    window = dock.window()
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=10_000)
    canvas = window.centralWidget()
    qtbot.keyClick(canvas, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert dock.worker.state is State.RUNNING
    assert not dock.settings_bar.reset_action.isEnabled()
    assert "Wait" in dock.settings_bar.reset_action.toolTip()
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    assert dock.worker.state is State.CANCELLED
    assert not dock.cancel_key.isEnabled()
    assert dock.settings_bar.reset_action.isEnabled()


def test_the_keys_are_named(dock):
    for keys in ALL:
        assert f"{keys.shown} - {keys.does}" in dock.settings_bar.settings_button.toolTip()


def test_keys_are_none_of_naparis():
    from napari.utils.action_manager import action_manager

    taken = {str(keys).lower() for action in action_manager._shortcuts.values() for keys in action}
    for keys in ALL:
        assert keys.keys.lower() not in taken


def test_what_is_missing_is_asked_for(viewer, dock, movie):
    viewer.add_image(movie[:30], name="bare")
    for box in dock.steps.boxes:
        box.collapse()
    dock.start()
    assert dock.worker.state is State.IDLE
    assert "pixel size" in dock.panel.line.error
    assert dock.steps.movie.opened
    assert not dock.steps.model.opened


def test_the_dock_is_no_wider_than_it_must_be(dock):
    for box in (*dock.steps.boxes, dock.steps.train, dock.camera_box.numbers):
        box.expand()
    assert dock.minimumSizeHint().width() <= 400
