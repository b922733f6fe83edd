"""The dock: wires the steps, the worker and the layers. No science in here."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Slot
from qtpy.QtWidgets import QFileDialog, QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_dilatedloc.gui.layers import Placement, movie_array, points_layer
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.localize_form import LocalizeForm
from napari_dilatedloc.gui.localize_job import RunJudged, RunStarted, localize_job
from napari_dilatedloc.gui.model_step import ModelStep
from napari_dilatedloc.gui.movie_step import MovieStep
from napari_dilatedloc.gui.psf_step import PSFStep
from napari_dilatedloc.gui.results_step import TABLE_FILTER, ResultsStep
from napari_dilatedloc.gui.run import Run
from napari_dilatedloc.gui.run_panel import RunPanel
from napari_dilatedloc.gui.style import Column, Section
from napari_dilatedloc.gui.train_step import TrainStep
from napari_dilatedloc.gui.worker import GeneratorWorker, State, describe
from napari_dilatedloc.io.tables import write_table

REFRESH_INTERVAL_MS = 700
_NOTHING_FOUND = "Done, but no molecule was found: try a lower threshold or another model."


class DilatedLocDock(QWidget):
    """Localize a movie layer: Movie, PSF, Model, Train, Localize, Results, and one button.

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
        self._run: Run | None = None
        self.movie_step = MovieStep(napari_viewer)
        self.psf_step = PSFStep(napari_viewer)
        self.psf_section = Section("PSF", self.psf_step, opened=False)
        self.model_step = ModelStep()
        self.train_step = TrainStep()
        self.train_section = Section("Match and fine-tune", self.train_step, opened=False)
        self.form = LocalizeForm()
        self.results = ResultsStep()
        self.panel = RunPanel()
        self.worker = GeneratorWorker(self)
        self._refresh_timer = QTimer(self)
        self._refresh_timer.setInterval(REFRESH_INTERVAL_MS)
        self._lay_out()
        self._connect()
        self._on_movie_changed()

    @property
    def trouble(self) -> str:
        """What is missing before a run can start, one sentence; empty if nothing is."""
        return self.movie_step.trouble or self.model_step.trouble or self.form.trouble

    @property
    def result(self) -> LiveResult | None:
        """Table and layers of the last run."""
        return None if self._run is None else self._run.result

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
        """Localize with what is chosen; what is missing is said in the panel."""
        if self.worker.state.busy:
            return
        if self.trouble:
            self.panel.show_error(self.trouble)
            return
        self.movie_step.scale_movie()
        self._watch_window()
        movie, size = self.movie_step.movie, self.movie_step.pixel_size_nm
        if movie is None or size is None or self.model_step.model is None:
            return
        if self.result is not None:
            self.result.hide()  # the new result comes to lie over the same movie
        self._run = Run(self._viewer, movie, size)
        self.model_step.describe("")
        self.panel.show_status("Loading the model…")
        self.results.show_result("", 0, running=True)
        model, config = self.model_step.model, self.form.value()
        self.worker.start(partial(localize_job, self._run.array, size, model, config))
        self._refresh_timer.start()

    @Slot()
    def export(self) -> None:
        """Ask for a file and write the table."""
        name = "localizations" if self._run is None else self._run.movie.name
        path, chosen = QFileDialog.getSaveFileName(
            self, "Export localizations", f"{name}.csv", TABLE_FILTER
        )
        if path:
            if not Path(path).suffix:
                path += chosen.rpartition("*")[2].rstrip(")")
            self.export_to(path)

    def export_to(self, path: str | Path) -> None:
        """Write the table of the last run; the suffix decides the format."""
        if self.result is None:
            self.panel.show_error("There is no result to export: run Localize first.")
            return
        try:
            written = write_table(path, self.result.store.table(), self.result.info)
        except (ValueError, OSError) as error:
            self.panel.show_error(*describe(error))
            return
        self.panel.show_status("Wrote " + " and ".join(str(item) for item in written) + ".")

    @Slot()
    def add_points(self) -> None:
        """Add all localizations of the last run as one Points layer."""
        if self._run is None or self.result is None:
            return
        data, keywords, _ = points_layer(
            self.result.store.table(),
            self.result.info,
            f"{self._run.movie.name} localizations",
            placement=self.result.placement,
        )
        self._viewer.add_points(data, **keywords)

    def event(self, event: QEvent) -> bool:
        """Stop the worker when napari takes the dock out or closes."""
        if event.type() == QEvent.Type.Show:
            self._watch_window()
        elif event.type() == QEvent.Type.ParentChange and self._taken_out():
            self._shut_down()
        return super().event(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stop the worker when napari's window closes."""
        if watched is self._main_window and event.type() == QEvent.Type.Close:
            self._shut_down()
        return super().eventFilter(watched, event)

    def _lay_out(self) -> None:
        self.sections = (
            Section("Movie", self.movie_step),
            self.psf_section,
            Section("Model", self.model_step),
            self.train_section,
            Section("Localize", self.form),
            Section("Results", self.results),
        )
        scroll = QScrollArea()
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(Column(self.sections))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.panel)
        self.setMinimumWidth(320)

    def _connect(self) -> None:
        self.movie_step.changed.connect(self._on_movie_changed)
        self.psf_section.toggled.connect(self.psf_step.prepare)
        self.psf_step.worker.state_changed.connect(self._watch_window)
        self.psf_step.changed.connect(self.movie_step.reread)
        self.psf_step.changed.connect(self._on_psf_changed)
        self.train_step.worker.state_changed.connect(self._watch_window)
        self.train_step.trained.connect(self.model_step.set_model)
        self.model_step.changed.connect(self._update_trouble)
        self.form.valueChanged.connect(self._update_trouble)
        self.panel.start_clicked.connect(self.start)
        self.panel.cancel_clicked.connect(self.worker.cancel)
        self.results.export_clicked.connect(self.export)
        self.results.points_clicked.connect(self.add_points)
        self.worker.state_changed.connect(self.panel.set_state)
        self.worker.yielded.connect(self._on_yielded)
        self.worker.failed.connect(self.panel.show_error)
        self.worker.finished.connect(self._on_finished)
        self._refresh_timer.timeout.connect(self._refresh)

    @Slot()
    def _on_movie_changed(self) -> None:
        movie = self.movie_step.movie
        good = movie is not None and not self.movie_step.trouble
        self.form.set_movie_length(len(movie_array(movie)) if good else None)
        size, trouble = self.movie_step.pixel_size_nm, self.movie_step.trouble
        self.train_step.set_movie(movie, size, trouble)
        self._update_trouble()

    @Slot()
    def _on_psf_changed(self) -> None:
        self.train_step.set_psf(self.psf_step.chosen)

    @Slot()
    def _update_trouble(self) -> None:
        self.panel.set_trouble(self.trouble)
        if not self.worker.state.busy:
            self.panel.show_status(self.trouble or "Ready.")

    @Slot(list)
    def _on_yielded(self, items: list[Any]) -> None:
        if self._run is None:
            return
        for item in items:
            if isinstance(item, RunStarted):
                self.model_step.describe(self._run.begin(item), " ".join(item.doubts))
                self.panel.show_status(f"Localizing on {item.device}.")
            elif isinstance(item, RunJudged):
                self.model_step.add_doubts(" ".join(item.doubts))
            else:
                self._run.take(item)
        if self._run.total:
            self.panel.show_progress(self._run.done, self._run.total, self._run.figures())
            self.results.show_result(self._run.summary(), 0, running=True)

    @Slot()
    def _refresh(self) -> None:
        if self.result is not None:
            self.result.refresh()

    @Slot()
    def _on_finished(self) -> None:
        self._refresh_timer.stop()
        run = self._run
        if run is None:
            return
        run.finish()
        self.results.show_result(run.summary(), run.localizations, running=False)
        if self.worker.state is State.DONE or run.complete:
            self.panel.show_status(run.conclusion() if run.localizations else _NOTHING_FOUND)
        elif self.worker.state is State.CANCELLED:
            kept = f" {run.done:,} of {run.total:,} frames are kept." if run.done else ""
            self.panel.show_status(f"Cancelled.{kept}")
        if run.result is not None and Placement.from_layer(run.movie).units[1] != "pixel":
            self._viewer.canvas.overlays.scale_bar.visible = True

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
        if self._main_window is not None:
            self._main_window.removeEventFilter(self)
            self._main_window = None
        self.worker.stop_and_wait()
        self.psf_step.shut_down()
        self.train_step.shut_down()
        self.movie_step.disconnect_viewer()
