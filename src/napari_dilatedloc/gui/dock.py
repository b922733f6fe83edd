"""The dock: wires the steps, the runs and the layers. No science in here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.utils.theme import get_theme
from pydantic import ValidationError
from qtpy.QtCore import QEvent, QObject, Slot
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dilatedloc.config import load_settings, save_settings
from napari_dilatedloc.gui.camera_box import CameraBox
from napari_dilatedloc.gui.camera_form import first_sentence
from napari_dilatedloc.gui.camera_presets import CameraPresets
from napari_dilatedloc.gui.dock_settings import (
    apply_settings,
    cluster_line,
    defaults,
    localize_line,
    read_settings,
    train_line,
)
from napari_dilatedloc.gui.kept_runs import KeptRun
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.localize_step import LocalizeStep
from napari_dilatedloc.gui.model_step import ModelStep
from napari_dilatedloc.gui.movie_step import MovieStep
from napari_dilatedloc.gui.plot_theme import ThemedPlot
from napari_dilatedloc.gui.preferences import config_folder
from napari_dilatedloc.gui.psf_step import PSFStep
from napari_dilatedloc.gui.results_step import ResultsStep
from napari_dilatedloc.gui.run import Asked
from napari_dilatedloc.gui.run_panel import RunPanel
from napari_dilatedloc.gui.runner import Runner
from napari_dilatedloc.gui.settings_bar import SettingsBar
from napari_dilatedloc.gui.shortcuts import CANCEL, EXPORT, LOCALIZE, PREVIEW, add_shortcut
from napari_dilatedloc.gui.step_states import show_states
from napari_dilatedloc.gui.steps import Steps
from napari_dilatedloc.gui.style import style_sheet
from napari_dilatedloc.gui.train_step import TrainStep
from napari_dilatedloc.gui.worker import GeneratorWorker, describe

MINIMUM_WIDTH = 330  # px


class DilatedLocDock(QWidget):
    """Localize a movie layer, in steps: Movie & camera, PSF, Model, Localize, Results & export.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Given by napari.
    """

    # on the class, because Qt still sends events while Python takes the instance apart
    _main_window: QObject | None = None

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer
        self.movie_step = MovieStep(napari_viewer)
        self.psf_step = PSFStep(napari_viewer)
        self.model_step = ModelStep()
        self.train_step = TrainStep()
        presets = CameraPresets(config_folder() / "cameras")
        self.camera_box = CameraBox(self.train_step.camera, presets)
        self.localize_step = LocalizeStep(napari_viewer, self.ask)
        self.form = self.localize_step.form
        self.results = ResultsStep()
        self.panel = RunPanel()
        self.settings_bar = SettingsBar()
        self.runner = Runner(napari_viewer, self.panel, self.results, self)
        self._lay_out()
        self._connect()
        apply_settings(self, defaults().model_copy(update={"camera": self.camera_box.camera}))
        self._on_movie_changed()
        self._paint()

    @property
    def trouble(self) -> str:
        """What is missing before a run can start, one sentence; empty if nothing is."""
        camera = self.camera_box.trouble
        return self.movie_step.trouble or camera or self.model_step.trouble or self.form.trouble

    @property
    def worker(self) -> GeneratorWorker:
        """What localizes."""
        return self.runner.worker

    @property
    def result(self) -> LiveResult | None:
        """Table and layers of the last run."""
        return self.runner.result

    def select_movie(self, layer: Any) -> bool:
        """Choose the movie layer; False, and a sentence in the panel, if it is none."""
        try:
            self.movie_step.select(layer)
        except ValueError as error:
            self.panel.show_error(*describe(error))
            return False
        return True

    @Slot()
    def start(self) -> None:
        """Localize with what is chosen; what is missing is said, and its step opened."""
        if self.worker.state.busy:
            return
        if self.trouble:
            self.panel.show_error(self.trouble)
            self._reveal_trouble()
            return
        self.movie_step.scale_movie()
        self._watch_window()
        asked = self.asked
        if asked is not None:
            self.runner.localize(asked)

    @property
    def asked(self) -> Asked | None:
        """What a run or a preview would work on; None while something is missing."""
        movie, size = self.movie_step.movie, self.movie_step.pixel_size_nm
        model = self.model_step.model
        if self.trouble or movie is None or size is None or model is None:
            return None
        return Asked(movie, size, model, self.form.value(), self.camera_box.camera)

    def ask(self) -> Asked | str:
        """What a run or a preview would work on, or one sentence on what is missing."""
        return self.asked or self.trouble

    @Slot(str)
    def watch(self, path: str) -> None:
        """Localize what is being written into a folder or file; needs no movie layer."""
        if self.worker.state.busy:
            return
        model = self.model_step.model
        trouble = self.camera_box.trouble or self.model_step.trouble or self.form.trouble
        if trouble or model is None:
            self.panel.show_error(trouble)
            return
        self._watch_window()
        size, camera = self.movie_step.pixel_size_nm, self.camera_box.camera
        self.runner.watch(Path(path), size, model, self.form.value(), camera)

    @Slot(str)
    def open_table(self, path: str) -> None:
        """Show a table as the result; the movie's pixel size counts where it knows none."""
        if not self.worker.state.busy:
            self._watch_window()
            self.runner.open_table(Path(path), self.movie_step.pixel_size_nm)

    @Slot(object)
    def open_kept(self, run: KeptRun) -> None:
        """Show one of the last runs again."""
        if not self.worker.state.busy:
            self._watch_window()
            self.runner.open_kept(run)

    def calibrate_from(self, layer: Any) -> None:
        """Open the PSF step on a bead stack."""
        self.psf_step.origin.setCurrentIndex(self.psf_step.origin.findData("beads"))
        self.psf_step.beads.stack_combo.select(layer)
        self.steps.reveal(self.steps.psf, self.psf_step.beads.z_step)

    @Slot()
    def export(self) -> None:
        """Ask for a file and write the table of the last run, or say that there is none."""
        if self.results.ready:
            self.results.export()
        else:
            self.panel.show_error(self.results.export_button.toolTip())

    @Slot(str)
    def save_settings_to(self, path: str | Path) -> None:
        """Write all fields as YAML, which the command line takes too."""
        if self._tried(lambda: save_settings(read_settings(self), path)):
            self.panel.show_status(f"Wrote {path}; for the command line: --config {path}")

    @Slot(str)
    def load_settings_from(self, path: str | Path) -> None:
        """Take the fields a YAML file states: of the dock, of one step, or a camera's."""
        if self._tried(lambda: apply_settings(self, load_settings(path))):
            self.panel.show_status(f"Took the settings of {Path(path).name}.")

    @Slot()
    def reset(self) -> None:
        """Return every field to its default; layers and results stay."""
        apply_settings(self, defaults())
        self.panel.show_status(self.trouble or "All fields have their defaults again.")

    @Slot()
    def copy_localize_command(self) -> None:
        """Put the command that localizes like this onto the clipboard."""
        self._copy(localize_line)

    @Slot()
    def copy_train_command(self) -> None:
        """Put the command that trains like this onto the clipboard."""
        self._copy(train_line)

    @Slot()
    def copy_cluster_command(self) -> None:
        """Put the command that finds clusters like this onto the clipboard."""
        self._copy(cluster_line)

    def event(self, event: QEvent) -> bool:
        """Stop the workers when napari takes the dock out or closes."""
        if event.type() == QEvent.Type.Show:
            self._watch_window()
        elif event.type() == QEvent.Type.ParentChange and self._taken_out():
            self._shut_down()
        return super().event(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stop the workers when napari's window closes."""
        if watched is self._main_window and event.type() == QEvent.Type.Close:
            self._shut_down()
        return super().eventFilter(watched, event)

    def _lay_out(self) -> None:
        self.steps = Steps(
            movie=self.movie_step,
            camera=self.camera_box,
            psf=self.psf_step,
            model=self.model_step,
            train=self.train_step,
            localize=self.localize_step,
            results=self.results,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.settings_bar)
        layout.addWidget(self.steps, 1)
        layout.addWidget(self.panel)
        self.setMinimumWidth(MINIMUM_WIDTH)
        add_shortcut(self, LOCALIZE, self.start)
        add_shortcut(self, PREVIEW, self.localize_step.preview.button.click)
        add_shortcut(self, EXPORT, self.export)
        self.cancel_key = add_shortcut(self, CANCEL, self.worker.cancel)

    def _connect(self) -> None:
        self.movie_step.changed.connect(self._on_movie_changed)
        self.camera_box.changed.connect(self._on_camera_changed)
        self.steps.psf.toggled.connect(self.psf_step.prepare)
        self.psf_step.changed.connect(self.movie_step.reread)
        self.psf_step.changed.connect(self._on_psf_changed)
        self.train_step.trained.connect(self.model_step.set_model)
        self.model_step.changed.connect(self._on_model_changed)
        self.form.valueChanged.connect(self._update)
        self.results.changed.connect(self._update_steps)
        self.results.table_chosen.connect(self.open_table)
        self.results.kept_chosen.connect(self.open_kept)
        self.results.process.drift_clicked.connect(self.runner.correct_drift)
        self.results.process.link_clicked.connect(self.runner.link)
        self.results.process.undo_clicked.connect(self.runner.undo)
        self.panel.start_clicked.connect(self.start)
        self.localize_step.watch_chosen.connect(self.watch)
        self.worker.state_changed.connect(self.localize_step.set_state)
        self.runner.described.connect(self.model_step.describe)
        self.runner.doubted.connect(self.model_step.add_doubts)
        self.worker.state_changed.connect(self._on_run_state)
        bar = self.settings_bar
        bar.load_chosen.connect(self.load_settings_from)
        bar.save_chosen.connect(self.save_settings_to)
        bar.reset_chosen.connect(self.reset)
        bar.localize_command_chosen.connect(self.copy_localize_command)
        bar.train_command_chosen.connect(self.copy_train_command)
        bar.cluster_command_chosen.connect(self.copy_cluster_command)
        for worker in (self.psf_step.worker, self.train_step.worker):
            worker.state_changed.connect(self._watch_window)
        # the headers, last: what they show has been brought up to date by then
        for worker in (self.worker, self.psf_step.worker, self.train_step.worker):
            worker.state_changed.connect(self._update_steps)
            worker.yielded.connect(self._update_steps)
            worker.finished.connect(self._update_steps)
        self._viewer.events.theme.connect(self._paint)

    @Slot()
    def _on_movie_changed(self) -> None:
        movie = self.movie_step.movie
        good = movie is not None and not self.movie_step.trouble
        self.form.set_movie(movie if good else None)
        size, trouble = self.movie_step.pixel_size_nm, self.movie_step.trouble
        self.camera_box.current_pixel_size_nm = size
        self.train_step.set_movie(movie, size, trouble)
        self._update()

    @Slot()
    def _on_camera_changed(self) -> None:
        self.movie_step.set_usual_pixel_size(self.camera_box.pixel_size_nm)
        self._update()

    @Slot()
    def _on_model_changed(self) -> None:
        info = self.model_step.info
        self.camera_box.set_model_camera(None if info is None else info.camera)
        self.form.show_own_threshold(0.0 if info is None else info.threshold)
        self._update()

    @Slot()
    def _on_psf_changed(self) -> None:
        self.train_step.set_psf(self.psf_step.chosen)
        self._update_steps()

    @Slot()
    def _on_run_state(self) -> None:
        busy = self.worker.state.busy
        self.cancel_key.setEnabled(busy)
        self.settings_bar.set_busy(busy)
        run = self.runner.run
        found = not busy and run is not None and run.result is not None
        if found:
            self.steps.show_results()

    @Slot()
    def _update(self) -> None:
        self.panel.set_trouble(self.trouble)
        self.localize_step.preview.reconsider()
        if not self.worker.state.busy:
            self.panel.show_status(self.trouble or "Ready.")
        self._update_steps()

    @Slot()
    def _update_steps(self) -> None:
        show_states(self)

    def _reveal_trouble(self) -> None:
        """Open the step where something is missing."""
        if self.movie_step.trouble:
            missing = self.movie_step.movie is None
            field = self.movie_step.layer_combo if missing else self.movie_step.pixel_size
            self.steps.reveal(self.steps.movie, field)
        elif self.camera_box.trouble:
            self.camera_box.numbers.expand()
            self.steps.reveal(self.steps.movie, self.camera_box.form.baseline)
        elif self.model_step.trouble:
            self.steps.reveal(self.steps.model, self.model_step.combo)
        else:
            self.steps.reveal(self.steps.localize, self.form)

    def _copy(self, line_of: Callable[[DilatedLocDock], str]) -> None:
        lines: list[str] = []
        if self._tried(lambda: lines.append(line_of(self))):
            QGuiApplication.clipboard().setText(lines[0])
            self.panel.show_status(f"Copied: {lines[0]}")

    def _tried(self, act: Callable[[], object]) -> bool:
        """Do it, or say why it cannot be done."""
        try:
            act()
        except ValidationError as error:  # of pydantic, which says it in many lines
            self.panel.show_error(first_sentence(error))
            return False
        except (ValueError, OSError) as error:
            self.panel.show_error(*describe(error))
            return False
        return True

    @Slot()
    def _paint(self, _event: Any = None) -> None:
        """Colours of napari's theme."""
        kind = get_theme(self._viewer.theme).type
        self.setStyleSheet(style_sheet(kind))
        for plot in self.findChildren(ThemedPlot):
            plot.set_theme(kind)

    @Slot()
    def _watch_window(self) -> None:
        """Watch the main window for its closing: Qt does not tell the widgets inside."""
        window: QWidget = self
        while window.parentWidget() is not None:  # also out of a floating dock
            window = window.parentWidget()
        if window is not self and window is not self._main_window:
            self._main_window = window
            window.installEventFilter(self)

    def _taken_out(self) -> bool:
        return self._main_window is not None and self.parentWidget() is None

    def _shut_down(self) -> None:
        """Stop the workers, keep what they found, and let go of the viewer."""
        self.runner.shut_down()
        self.results.shut_down()
        self.localize_step.shut_down()
        self.psf_step.shut_down()
        self.train_step.shut_down()
        self.movie_step.disconnect_viewer()
        self._viewer.events.theme.disconnect(self._paint)
        if self._main_window is not None:  # last: a worker that stops looks for the window again
            self._main_window.removeEventFilter(self)
            self._main_window = None
