"""Clusters of the result on show: how they are found, how many there are, and their table."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.gui.cluster_job import Clustered, cluster_job, save_job
from napari_dilatedloc.gui.cluster_layers import ClusterLayers
from napari_dilatedloc.gui.exact_box import ExactBox
from napari_dilatedloc.gui.live import Kept, LiveResult
from napari_dilatedloc.gui.status_line import StatusLine
from napari_dilatedloc.gui.style import Tone, field_label, make_form, narrow, set_tone
from napari_dilatedloc.gui.worker import GeneratorWorker, State

DEFAULT = ClusterConfig(radius_nm=50.0)
"""First offer; the config itself has no radius, since that is the user's question."""
METHODS = {"dbscan": "DBSCAN (one density for all)", "hdbscan": "HDBSCAN (any densities)"}
NO_SKLEARN = (
    "Clusters need scikit-learn, which is not installed: run "
    "pip install 'napari-dilatedloc[sklearn]' first, then start napari again."
)
_NO_RADIUS = "HDBSCAN has no radius: it finds the density of each cluster. Choose DBSCAN for one."
_RADIUS_USE = "How far, in nm, the neighbours of a localization may lie from it."
_FIND_USE = "Numbers the clusters in the background: coloured pixels, a ring and figures for each."
_FIND_FIRST = "Find clusters first."
_NO_CLUSTERS = "Find clusters first: the last search found none."
_WAIT = "Wait until the clusters are found, or cancel that."
_OF_ANOTHER = "These are the clusters of another filter; find them again, or undo the filter."


def has_sklearn() -> bool:
    """Whether scikit-learn can be loaded; loads nothing."""
    return find_spec("sklearn") is not None


class ClusterBox(QWidget):
    """Finds clusters among what a result keeps, and shows them over it.

    Signals
    -------
    changed
        Other clusters are on show.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._result: LiveResult | None = None
        self._looked_at: LiveResult | None = None  # by the worker
        self._trouble = ""
        self.worker = GeneratorWorker(self)
        self._make_fields()
        self._lay_out()
        self.method.currentIndexChanged.connect(self._update)
        self.button.clicked.connect(self._on_button)
        self.save_button.clicked.connect(self._ask)
        self.undo_button.clicked.connect(self.undo)
        self.worker.yielded.connect(self._on_yielded)
        self.worker.failed.connect(self.line.show_error)
        self.worker.state_changed.connect(self._on_state)
        self.setValue(DEFAULT)

    @property
    def shown(self) -> ClusterLayers | None:
        """Clusters on show."""
        mine = self._mine()
        return mine[-1] if mine else None

    @property
    def kept(self) -> Kept | None:
        """The localizations with the number of their cluster; None unless those are on show."""
        shown, result = self.shown, self._result
        if shown is None or result is None or shown.found.filter != result.filter_config:
            return None
        return shown.found.kept

    def value(self) -> ClusterConfig:
        """What the fields say."""
        method = self.method.currentData()
        return ClusterConfig(
            method=method,
            radius_nm=self.radius.value() if method == "dbscan" else None,
            min_points=self.points.value(),
            z_weight=self.z_weight.value(),
        )

    def setValue(self, config: ClusterConfig) -> None:
        """Show settings; HDBSCAN leaves the radius as it is."""
        self.method.setCurrentIndex(self.method.findData(config.method))
        if config.radius_nm is not None:
            self.radius.setValue(config.radius_nm)
        self.points.setValue(config.min_points)
        self.z_weight.setValue(config.z_weight)
        self._update()

    def show_result(self, result: LiveResult | None, trouble: str = "") -> None:
        """Take another result, as it is filtered now; None: there is none, or it still grows.

        `trouble` says why nothing can be done with it.
        """
        if result is not self._result:
            self.worker.cancel()
            self.line.show_status("")
        self._result, self._trouble = result, trouble
        self._update()

    @Slot()
    def find(self) -> None:
        """Find clusters in the background."""
        if self._result is None or self.worker.state.busy:
            return
        self._looked_at = result = self._result
        shape = (int(result.image_layer.data.shape[0]), int(result.image_layer.data.shape[1]))
        self.line.show_status("Looking for clusters…")
        self.worker.start(
            partial(
                cluster_job,
                result.kept,
                result.filter_config,
                self.value(),
                shape,
                result.magnification,
            )
        )

    @Slot()
    def undo(self) -> None:
        """Take the clusters on show away; those before, if any, come back."""
        mine = self._mine()
        if self._result is None or not mine or self.worker.state.busy:
            return
        self._result.attached.remove(mine[-1])
        mine[-1].remove()
        if len(mine) > 1:
            mine[-2].show(True)
            self.setValue(mine[-2].found.config)
        self.line.show_status("")
        self._update()
        self.changed.emit()

    @Slot()
    def _ask(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the table of clusters", "clusters.csv", "Table (*.csv)"
        )
        if path:
            self.save_to(path if Path(path).suffix else f"{path}.csv")

    def save_to(self, path: str | Path) -> None:
        """Write the table of the clusters on show, .csv."""
        if self.shown is not None and not self.worker.state.busy:
            self.worker.start(partial(save_job, self.shown.found.clusters, Path(path)))

    def shut_down(self) -> None:
        """Stop the worker (closing time)."""
        self._looked_at = None
        self.worker.stop_and_wait()

    def _mine(self) -> list[ClusterLayers]:
        there = [] if self._result is None else self._result.attached
        return [one for one in there if isinstance(one, ClusterLayers)]

    def _make_fields(self) -> None:
        self.method = QComboBox()
        for name, label in METHODS.items():
            self.method.addItem(label, name)
        narrow(self.method)
        self.method.setToolTip(
            "DBSCAN: clusters are wherever enough localizations lie within one radius. HDBSCAN: "
            "needs no radius and finds dense and loose clusters at once, but takes minutes from "
            "100,000 localizations on."
        )
        self.radius = ExactBox(0.1, 100_000, 1, 5, " nm")
        self.points = QSpinBox()
        self.points.setRange(2, 1_000_000)
        self.points.setToolTip(
            "DBSCAN: number of localizations within the radius, itself counted, that makes one the "
            "core of a cluster. HDBSCAN: number of localizations of the smallest cluster."
        )
        self.z_weight = ExactBox(0.0, 1000, 2, 0.5)
        self.z_weight.setSpecialValueText("not at all")
        self.z_weight.setToolTip(
            "How much a distance of 1 nm in z counts beside one in x or y: 1 as much, 0.5 half; "
            "less where z is less precise."
        )
        self.button, self.save_button = QPushButton(), QPushButton("Save table…")
        self.undo_button = QPushButton("Undo")
        self.figures, self.doubt = QLabel(), QLabel()
        for label in (self.figures, self.doubt):
            label.setWordWrap(True)
        set_tone(self.doubt, Tone.WARNING)
        self.line = StatusLine()

    def _lay_out(self) -> None:
        fields = QWidget()
        form = make_form(fields)
        form.addRow(field_label("Method"), self.method)
        form.addRow(field_label("Radius"), self.radius)
        form.addRow(field_label("Min. points"), self.points)
        form.addRow(field_label("z counts"), self.z_weight)
        row = QHBoxLayout()
        for button in (self.button, self.save_button, self.undo_button):
            row.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(fields)
        layout.addLayout(row)
        for widget in (self.figures, self.doubt, self.line):
            layout.addWidget(widget)

    @Slot()
    def _on_button(self) -> None:
        if self.worker.state.busy:
            self.worker.cancel()
        else:
            self.find()

    @Slot(list)
    def _on_yielded(self, items: list[Clustered | str]) -> None:
        for item in items:
            if isinstance(item, str):
                self.line.show_status(item)
            elif self._looked_at is not None and self._looked_at is self._result:
                self._show(self._looked_at, item)

    def _show(self, result: LiveResult, found: Clustered) -> None:
        for before in self._mine():
            before.show(False)
        result.attached.append(ClusterLayers(result, found))
        self.line.show_status("")
        self._update()
        self.changed.emit()

    @Slot(object)
    def _on_state(self, state: State) -> None:
        if state is State.CANCELLED:
            self.line.show_status("Cancelled; nothing was changed.")
        self._update()

    @Slot()
    def _update(self) -> None:
        shown, busy = self.shown, self.worker.state.busy
        one_density = self.method.currentData() == "dbscan"
        self.radius.setEnabled(one_density)
        self.radius.setToolTip(_RADIUS_USE if one_density else _NO_RADIUS)
        why = self._trouble or ("" if has_sklearn() else NO_SKLEARN)
        cancelling = self.worker.state is State.CANCELLING
        self.button.setText("Cancel" if busy else "Find clusters")
        self.button.setEnabled(not cancelling if busy else not why)
        self.button.setToolTip("Stops at once; nothing is changed." if busy else why or _FIND_USE)
        why = _WAIT if busy else _FIND_FIRST if shown is None else ""
        self.undo_button.setEnabled(not why)
        self.undo_button.setToolTip(why or "Takes these clusters away; those before come back.")
        if shown is not None and not shown.found.clusters:
            why = why or _NO_CLUSTERS
        self.save_button.setEnabled(not why)
        self.save_button.setToolTip(
            why or "Writes a CSV with count, centre (nm), area (µm²) and density of each cluster."
        )
        self.figures.setText("" if shown is None else said(shown.found))
        self.figures.setVisible(shown is not None)
        outdated = shown is not None and self.kept is None
        self.doubt.setText(NO_SKLEARN if not has_sklearn() else _OF_ANOTHER if outdated else "")
        self.doubt.setVisible(bool(self.doubt.text()))


def said(found: Clustered) -> str:
    """A few lines."""
    if not found.clusters:
        return f"{found.said} Try a larger radius or fewer points."
    names = ("count", "radius_of_gyration_nm", "area_um2", "density_per_um2")
    columns = [np.array([getattr(one, name) for one in found.clusters], float) for name in names]
    # those of two places have no density
    known = [column[np.isfinite(column)] for column in columns]
    count, radius, area, density = (float(np.median(k)) if k.size else np.nan for k in known)
    lines = [
        found.said,
        f"median {count:,.0f} localizations, radius of gyration {radius:.0f} nm",
    ]
    if area > 0:
        lines.append(f"area {area:.3g} µm², {density:,.0f} per µm²")
    return "\n".join(lines)
