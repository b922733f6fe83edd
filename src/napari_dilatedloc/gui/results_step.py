"""What came out, its colours, and where it goes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dilatedloc.gui.cluster_box import ClusterBox
from napari_dilatedloc.gui.colours import ColourBy
from napari_dilatedloc.gui.export_job import export_job
from napari_dilatedloc.gui.filter_box import FilterBox
from napari_dilatedloc.gui.kept_runs import KeptRuns
from napari_dilatedloc.gui.layers import POINTS_CAP
from napari_dilatedloc.gui.measure_box import MeasureBox
from napari_dilatedloc.gui.process_box import ProcessBox
from napari_dilatedloc.gui.quality_box import QualityBox
from napari_dilatedloc.gui.run import Run
from napari_dilatedloc.gui.sharp_view import SharpView
from napari_dilatedloc.gui.shortcuts import EXPORT, with_keys
from napari_dilatedloc.gui.status_line import StatusLine
from napari_dilatedloc.gui.step_box import StepBox
from napari_dilatedloc.gui.style import field_label, make_form, narrow
from napari_dilatedloc.gui.volume_button import VolumeButton
from napari_dilatedloc.gui.worker import GeneratorWorker, describe

TABLE_FILTER = (
    "ThunderSTORM table (*.csv);;Picasso table with .yaml beside (*.hdf5);;"
    "DilatedLoc table, full precision (*.h5);;Parquet table, full precision (*.parquet);;"
    "SMAP table (*.mat)"
)
_OPEN_FILTER = "Localizations (*.csv *.hdf5 *.h5 *.parquet *.mat *.txt);;All files (*)"
_NONE = "No result yet."
_NO_RUN = "There are no localizations yet: run Localize first."
_RUNNING = "Wait until the run has ended, or cancel it."
_WRITING = "Wait until the table is written."
_NONE_KEPT = "The filter keeps no localization: widen it."
_WAITING = "Wait until the table is read or made, or cancel that."
_OPEN_USE = (
    "Shows a table of any format as a result, or one of the last runs again: their tables are kept "
    "while they are made, so that neither closing napari nor a crash loses them."
)
_EXPORT_USE = "Writes the table: ThunderSTORM CSV, Picasso HDF5, SMAP, Parquet, or ours, exact."


class ResultsStep(QWidget):
    """Summary of the last run, its colours and its exits.

    Signals
    -------
    changed
        There is another result, or the one there is stands still or is filtered now.
    table_chosen : str
        Path of a table that shall be shown.
    kept_chosen : KeptRun
        Run of before that shall be shown again.
    """

    changed = Signal()
    table_chosen = Signal(str)
    kept_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._run: Run | None = None
        self._running = self._undo = self._waiting = False
        self.exported: Path | None = None
        """File that the result on show was written to last."""
        self.worker = GeneratorWorker(self)
        self._make_fields()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.summary)
        layout.addWidget(self.colour_row)
        for pair in (
            (self.open_button, self.export_button),
            (self.points_button, self.volume_button),
        ):
            row = QHBoxLayout()
            for button in pair:
                row.addWidget(button, 1)
            layout.addLayout(row)
        layout.addWidget(self.line)
        for step in self.boxes:
            layout.addWidget(step)
        self.colour.activated.connect(self._on_colour)
        self.export_button.clicked.connect(self.export)
        self.points_button.clicked.connect(self.add_points)
        self.filter_step.toggled.connect(self._on_filter_opened)
        self.filter.changed.connect(self._on_filtered)
        self.sharp_box.toggled.connect(self._on_sharp)
        self.worker.state_changed.connect(self._update)
        self.worker.yielded.connect(self._on_written)
        self.worker.failed.connect(self.line.show_error)
        self.volume_button.said.connect(self.line.show_status)
        self.volume_button.failed.connect(self.line.show_error)
        self._update()

    @property
    def localizations(self) -> int:
        """Localizations of the last run so far."""
        return 0 if self._run is None else self._run.localizations

    @property
    def total(self) -> int:
        """Localizations of the last run so far, whatever the filter keeps."""
        there = None if self._run is None else self._run.result
        return 0 if there is None else there.store.total

    @property
    def ready(self) -> bool:
        """Whether there are localizations and no run is adding to them."""
        return not self._trouble

    @property
    def boxes(self) -> tuple[StepBox, ...]:
        """What can be done with a result that has ended."""
        return (
            self.filter_step,
            self.process_step,
            self.quality_step,
            self.measure_step,
            self.cluster_step,
        )

    @property
    def _trouble(self) -> str:
        """Why nothing can be done with the localizations; empty if it can."""
        if self._running:
            return _RUNNING
        if not self.total:
            return _NO_RUN
        return "" if self.localizations else _NONE_KEPT

    def show_run(self, run: Run, *, running: bool, undo: bool = False) -> None:
        """Take the run on show, which has begun, got its layers, or ended.

        `undo` says whether it was made of another one.
        """
        if run is not self._run:
            self.line.show_status("")
            self.exported = None
        self._run, self._running, self._undo = run, running, undo
        self.filter.show_result(None if running else run.result)
        self.quality.show_result(None if running else run.result)
        self.measure.show_result(None if running else run.result)
        self.process.show_drift(run.drift)
        self._on_filter_opened()
        self._on_sharp()
        if run.result is not None and self.colour_by is not ColourBy.NOTHING:
            run.result.colour(self.colour_by, later=running)
        self._update()
        self.changed.emit()

    def set_waiting(self, waiting: bool) -> None:
        """Whether another result is being read or made; that on show is not touched by it."""
        self._waiting = waiting
        self._update()

    def show_summary(self, run: Run) -> None:
        """Say what a run has found so far."""
        self.summary.setText(run.summary())

    @property
    def colour_by(self) -> ColourBy:
        """What gives the colours."""
        chosen: ColourBy = self.colour.currentData()
        return chosen

    @Slot()
    def export(self) -> None:
        """Ask for a file and write the table."""
        name = "localizations" if self._run is None else self._run.name
        path, chosen = QFileDialog.getSaveFileName(
            self, "Export localizations", f"{name}.csv", TABLE_FILTER
        )
        if path:
            if not Path(path).suffix:
                path += chosen.rpartition("*")[2].rstrip(")")
            self.export_to(path)

    def export_to(self, path: str | Path) -> None:
        """Write the table of the last run in the background; the suffix decides the format."""
        if self.worker.state.busy:
            return
        if self._run is None or self._run.result is None or self._running:
            self.line.show_error(_RUNNING if self._running else _NO_RUN)
            return
        kept = self.clusters.kept or self._run.result.kept
        self._writing = (self._run, Path(path))
        self.worker.start(partial(export_job, Path(path), kept.store, kept.info))
        self.line.show_status(f"Writing {Path(path).name}…")

    @Slot()
    def add_points(self) -> None:
        """Add the localizations of the last run as one Points layer."""
        if self._run is None or self._run.result is None:
            self.line.show_error(_NO_RUN)
            return
        try:
            self.line.show_status(self._run.result.add_points(self.colour_by))
        except (ValueError, OSError) as error:
            self.line.show_error(*describe(error))

    def shut_down(self) -> None:
        """Stop writing (closing time); a table that is not whole leaves no file."""
        self.worker.stop_and_wait()
        self.filter.shut_down()
        self.quality.shut_down()
        self.clusters.shut_down()
        self.volume_button.shut_down()
        if self._sharp is not None:
            self._sharp.worker.stop_and_wait()
        self._end_sharp()

    def _make_fields(self) -> None:
        self.summary = QLabel(_NONE)
        self.summary.setWordWrap(True)
        self.colour = QComboBox()
        for by in ColourBy:
            self.colour.addItem("density" if by is ColourBy.NOTHING else by.label, by)
        narrow(self.colour)
        self.colour.setToolTip(
            "What colours say, in the image and in the circles: density, z, photons, precision "
            "(predicted, rms of x and y) or frame. Brightness stays density; drag the contrast "
            "limits of the colour layer to spread its colours."
        )
        self.sharp_box = QCheckBox("sharp where zoomed in")
        self.sharp_box.setToolTip(
            "Draws what is on show anew at the resolution of the screen, each localization as a "
            "Gaussian as wide as its predicted precision."
        )
        self._sharp: SharpView | None = None
        self.colour_row = QWidget()
        form = make_form(self.colour_row)
        form.addRow(field_label("Colour by"), self.colour)
        form.addRow(field_label(""), self.sharp_box)
        self.filter = FilterBox()
        self.filter_step = StepBox("Filter", self.filter, opened=False)
        self.filter_step.header.setToolTip("Which localizations are shown and exported.")
        self.process = ProcessBox()
        self.process_step = StepBox("Drift, blinks", self.process, opened=False)
        self.process_step.header.setToolTip("Take the drift off, merge the rows of one blink.")
        self.quality = QualityBox()
        self.quality_step = StepBox("Quality", self.quality, opened=False)
        self.quality_step.header.setToolTip("How good the result is, and what is odd about it.")
        self.measure = MeasureBox()
        self.measure_step = StepBox("Profiles, regions", self.measure, opened=False)
        self.measure_step.header.setToolTip("Measure lines and regions drawn in a Shapes layer.")
        self.clusters = ClusterBox()
        self.cluster_step = StepBox("Clusters", self.clusters, opened=False)
        self.cluster_step.header.setToolTip("Number the clusters, show and measure them.")
        self.open_button = QPushButton("Open…")
        self.open_menu = QMenu(self.open_button)
        self.open_menu.aboutToShow.connect(self._fill_open_menu)
        self.open_button.setMenu(self.open_menu)
        self.export_button = QPushButton("Export…")
        self.points_button = QPushButton("To Points layer")
        self.volume_button = VolumeButton()
        self.line = StatusLine()

    @Slot()
    def _update(self) -> None:
        self.summary.setText(self._none() if self._run is None else self._run.summary())
        there = None if self._run is None else self._run.result
        self.colour_row.setVisible(there is not None)
        for step in self.boxes:
            step.setVisible(there is not None and not self._running)
        why, busy = self._trouble, _RUNNING if self._running else _WAITING if self._waiting else ""
        self.process.set_trouble(why or busy, no_undo=busy if self._undo else None)
        self.clusters.show_result(None if self._running else there, why)
        self.volume_button.show_result(None if self._running else there, why)
        writing = _WRITING if self.worker.state.busy else ""
        self.open_button.setEnabled(not busy)
        self.open_button.setToolTip(busy or _OPEN_USE)
        self.export_button.setEnabled(not why and not writing)
        self.points_button.setEnabled(not why)
        self.export_button.setToolTip(why or writing or with_keys(_EXPORT_USE, EXPORT))
        self.points_button.setToolTip(
            why
            or "Adds all localizations as a Points layer (frame, y, x) with their features; "
            f"above {POINTS_CAP:,} an even sample, since napari would no longer be fluid."
        )

    @Slot()
    def _on_filtered(self) -> None:
        self.quality.forget()
        if self._sharp is not None:
            self._sharp.renew()
        self._update()
        self.changed.emit()

    @Slot()
    def _on_sharp(self) -> None:
        """Follow the box and the result: a sharp view is of one result that has ended."""
        self._end_sharp()
        result = None if self._run is None or self._running else self._run.result
        if self.sharp_box.isChecked() and result is not None:
            self._sharp = SharpView(result, self)

    def _end_sharp(self) -> None:
        sharp, self._sharp = self._sharp, None
        if sharp is not None:
            sharp.end()
            sharp.deleteLater()

    @Slot()
    def _on_filter_opened(self) -> None:
        if self.filter_step.opened:
            self.filter.prepare()

    def _none(self) -> str:
        """Nothing yet; but a run that was cut short is not forgotten."""
        kept = KeptRuns().recent()
        if kept and not kept[0].about.ended:
            return f"{_NONE} 'Open' has a run that was cut short: {kept[0].about.said}."
        return _NONE

    @Slot()
    def _fill_open_menu(self) -> None:
        self.open_menu.clear()
        self.open_menu.addAction("Table…", self._ask_table)
        kept = KeptRuns().recent()
        if kept:
            self.open_menu.addSection("Last runs")
        for run in kept:
            self.open_menu.addAction(run.about.said, partial(self.kept_chosen.emit, run))

    @Slot()
    def _ask_table(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open localizations", "", _OPEN_FILTER)
        if path:
            self.table_chosen.emit(path)

    @Slot(int)
    def _on_colour(self, _place: int) -> None:
        if self._run is not None and self._run.result is not None:
            self._run.result.colour(self.colour_by)
            self._on_sharp()  # a new colour layer has to lie over it

    @Slot(list)
    def _on_written(self, sentences: list[str]) -> None:
        run, path = self._writing
        if run is self._run:
            self.exported = path
        self.line.show_status(sentences[-1])
