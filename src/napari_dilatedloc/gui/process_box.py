"""What is done to a whole result: drift taken off, blinks merged, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_dilatedloc.config.drift import DriftConfig, DriftMethod
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.gui.plot_theme import ThemedPlot
from napari_dilatedloc.gui.style import Tone, field_label, make_form, narrow, set_tone

if TYPE_CHECKING:
    from napari_dilatedloc.gui.process_job import DriftFound

PLOT_HEIGHT = 150
COLOURS = ("tab:blue", "tab:orange", "tab:red")
METHODS: dict[DriftMethod, str] = {
    "aim": "AIM (any structure, quick)",
    "rcc": "RCC (images of segments)",
    "fiducials": "fiducials (beads in the field)",
}
_NO_UNDO = "Correct drift or merge blinks first."
_DRIFT_USE = "Measures how the sample moved, in x, y and z, and takes it off: a new result."
_LINK_USE = (
    "Rows of one molecule in consecutive frames become one: photons summed, position and precision "
    "combined. How far apart they may be follows from their precision."
)
_UNDO_USE = "Shows the result before."


class DriftPlot(ThemedPlot):
    """Drift over frames."""

    def show_drift(self, found: DriftFound) -> None:
        """Draw it."""
        axis = self.clear(PLOT_HEIGHT)
        nm = found.drift.to_nm(found.pixel_size_nm)
        for name, colour, values in zip("xyz", COLOURS, nm.T, strict=True):
            if name != "z" or values.any():
                axis.plot(values, color=colour, linewidth=1.2, label=name)
        axis.set_xlabel("frame", fontsize=8)
        axis.set_title("Drift (nm)", fontsize=8, loc="left")
        axis.tick_params(labelsize=7)
        axis.grid(visible=True)
        axis.legend(fontsize=8, ncols=3, frameon=False, handlelength=1, loc="best")
        self.show_drawn()


class ProcessBox(QWidget):
    """Buttons that turn the result on show into another one.

    Signals
    -------
    drift_clicked : DriftConfig
    link_clicked : LinkingConfig
    undo_clicked
        The result before shall come back.
    """

    drift_clicked = Signal(object)
    link_clicked = Signal(object)
    undo_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._drift, self._linking = DriftConfig(), LinkingConfig()
        self.method = QComboBox()
        for name, label in METHODS.items():
            self.method.addItem(label, name)
        narrow(self.method)
        self.method.setToolTip(
            "AIM compares where localizations of the movie's parts coincide; RCC correlates images "
            "of them; fiducials follows beads that are on in nearly all frames."
        )
        self.segments = QSpinBox()
        self.segments.setMaximum(10_000)
        self.segments.setSpecialValueText("automatic")
        self.segments.setToolTip(
            "Parts the frames are cut into; more follow a faster drift and need more localizations."
        )
        self.drift_button = QPushButton("Correct drift")
        self.dark = QSpinBox()
        self.dark.setMaximum(1000)
        self.dark.setValue(LinkingConfig().dark_frames)
        self.dark.setToolTip("Frames in which a molecule may be missing and still be the same one.")
        self.link_button = QPushButton("Merge blinks")
        self.undo_button = QPushButton("Undo the last step")
        self.plot = DriftPlot()
        self._shown: DriftFound | None = None
        self.doubt = QLabel()
        self.doubt.setWordWrap(True)
        self.doubt.hide()
        set_tone(self.doubt, Tone.WARNING)
        self._lay_out()
        self.drift_button.clicked.connect(self._on_drift)
        self.link_button.clicked.connect(self._on_link)
        self.undo_button.clicked.connect(self.undo_clicked)
        self.set_trouble("")

    @property
    def drift(self) -> DriftConfig:
        """How drift would be measured: what the fields say, and what has none as it was set."""
        segments = self.segments.value()
        return self._drift.replace(
            method=self.method.currentData(), segments=max(2, segments) if segments else None
        )

    @property
    def linking(self) -> LinkingConfig:
        """How blinks would be merged."""
        return self._linking.replace(dark_frames=self.dark.value())

    def set_drift(self, config: DriftConfig) -> None:
        """Show settings of drift."""
        self._drift = config
        self.method.setCurrentIndex(max(0, self.method.findData(config.method)))
        self.segments.setValue(config.segments or 0)

    def set_linking(self, config: LinkingConfig) -> None:
        """Show settings of merging."""
        self._linking = config
        self.dark.setValue(config.dark_frames)

    def show_drift(self, found: DriftFound | None) -> None:
        """Show what was taken off the result on show, and whether to trust it; None: nothing."""
        if found is None:
            self.plot.hide()
        elif found is not self._shown:
            self.plot.show_drift(found)
        self._shown = found
        self.doubt.setText("" if found is None else found.doubt)
        self.doubt.setVisible(bool(self.doubt.text()))

    def set_trouble(self, trouble: str, *, no_undo: str | None = None) -> None:
        """Say why nothing can be done to the result, and why nothing undone; empty if it can.

        `no_undo` None: there is no step to undo.
        """
        no_undo = _NO_UNDO if no_undo is None else no_undo
        for button, use, why in (
            (self.drift_button, _DRIFT_USE, trouble),
            (self.link_button, _LINK_USE, trouble),
            (self.undo_button, _UNDO_USE, no_undo),
        ):
            button.setEnabled(not why)
            button.setToolTip(why or use)

    def _lay_out(self) -> None:
        fields = QWidget()
        form = make_form(fields)
        form.addRow(field_label("Drift"), self.method)
        form.addRow(field_label("Segments"), _beside(self.segments, self.drift_button))
        form.addRow(field_label("Dark frames"), _beside(self.dark, self.link_button))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (fields, self.undo_button, self.doubt, self.plot):
            layout.addWidget(widget)

    @Slot()
    def _on_drift(self) -> None:
        self.drift_clicked.emit(self.drift)

    @Slot()
    def _on_link(self) -> None:
        self.link_clicked.emit(self.linking)


def _beside(*widgets: QWidget) -> QWidget:
    line = QWidget()
    row = QHBoxLayout(line)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget, 1)
    return line
