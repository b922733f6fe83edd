"""The looks of the PSF step: fields, buttons, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dilatedloc.gui.bead_form import BeadForm
from napari_dilatedloc.gui.crlb_view import CrlbView
from napari_dilatedloc.gui.psf_file_form import PSFFileForm
from napari_dilatedloc.gui.status_line import StatusLine
from napari_dilatedloc.gui.style import Tone, field_label, make_form, narrow, set_tone
from napari_dilatedloc.gui.verdict_view import VerdictView
from napari_dilatedloc.gui.worker import State

if TYPE_CHECKING:
    from napari_dilatedloc.gui.psf_job import ChosenPSF

NOTE = "Used for training and checks; a trained model brings its own PSF."
_NO_PSF = "Choose a PSF first: a built-in one, a file, or beads."
_BUSY = "Wait until the work at hand is done."


class PSFPanel(QWidget):
    """All widgets of the step; `psf_step.PSFStep` fills them with life."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make_choice(viewer)
        self._make_outcome()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.choice, self.preset_row, self.file, self.bead_box):
            column.addWidget(widget)
        for widget in (self.bar, self.status, self.about, self.verdicts):
            column.addWidget(widget)
        column.addWidget(self.show_button)
        row = QHBoxLayout()
        row.addWidget(self.save_button, 1)
        row.addWidget(self.report_button, 1)
        column.addLayout(row)
        column.addWidget(self.curve)
        column.addWidget(self.note)
        self.show_origin()

    def list_presets(self, names: tuple[str, ...]) -> None:
        """Offer built-in PSFs; none is chosen yet."""
        with QSignalBlocker(self.presets):
            self.presets.clear()
            self.presets.addItems(names)
            self.presets.setCurrentIndex(-1)
        self.presets.setPlaceholderText("choose…")

    def show_origin(self) -> None:
        """Show the fields of the chosen origin only."""
        origin = self.origin.currentData()
        self.preset_row.setVisible(origin == "preset")
        self.file.setVisible(origin == "file")
        self.bead_box.setVisible(origin == "beads")

    def show_chosen(self, chosen: ChosenPSF) -> None:
        """Say what the PSF is."""
        self.about.setText(chosen.about())
        self.about.show()
        self.verdicts.show_verdicts(chosen)
        place = self.presets.findText(chosen.name)
        if self.origin.currentData() == "preset" and place >= 0:
            with QSignalBlocker(self.presets):
                self.presets.setCurrentIndex(place)

    def forget(self) -> None:
        """Show that there is no PSF."""
        for widget in (self.about, self.verdicts, self.curve):
            widget.hide()
        self.status.show_status("")
        with QSignalBlocker(self.presets):
            self.presets.setCurrentIndex(-1)

    def show_state(self, state: State, calibrating: bool, chosen: ChosenPSF | None) -> None:
        """Switch the buttons; one that is off says why."""
        cancelling = calibrating and state is State.CANCELLING
        self.bar.setVisible(calibrating and state.busy)
        if cancelling:
            self.calibrate_button.setText("Cancelling…")
        else:
            self.calibrate_button.setText("Cancel" if calibrating else "Calibrate")
        trouble = "" if calibrating else self.beads.trouble
        self.calibrate_button.setEnabled(not trouble and not cancelling)
        self.calibrate_button.setToolTip(
            trouble or "Finds the beads, averages those that agree, and says what is wrong."
        )
        why = _NO_PSF if chosen is None else _BUSY if state.busy else ""
        no_report = ""
        if not why and chosen is not None and chosen.calibration is None:
            no_report = "Only a calibration has a report: calibrate from beads first."
        for button, reason, use in (
            (self.show_button, why, "Adds the PSF as a z-stack layer, and plots its precision."),
            (self.save_button, why, "Writes the PSF: ours (.h5), or .mat for SMAP and DECODE."),
            (
                self.report_button,
                why or no_report,
                "Writes page (.html), picture (.png) and numbers (.json) of the calibration: "
                "measured beside modelled, widths, residuals, precision, every bead.",
            ),
        ):
            button.setEnabled(not reason)
            button.setToolTip(reason or use)

    def _make_choice(self, viewer: Any) -> None:
        self.origin = QComboBox()
        for text, data in (
            ("built-in", "preset"),
            ("file", "file"),
            ("beads in a layer", "beads"),
        ):
            self.origin.addItem(text, data)
        self.origin.setToolTip(
            "Where the PSF is from: one that comes with the program, a calibration file (ours, "
            "SMAP, uiPSF, Picasso, DECODE, Li-lab), or a z-stack of beads measured now."
        )
        self.choice = QWidget()
        make_form(self.choice).addRow(field_label("PSF from"), self.origin)
        self.presets = QComboBox()
        self.presets.setPlaceholderText("loading…")
        self.presets.setToolTip(
            "Computed PSFs for a high-NA objective: astigmatism and saddle-point cover 1.4 um of "
            "z, tetrapod-3um and tetrapod-6um 3 and 6 um."
        )
        for combo in (self.origin, self.presets):
            narrow(combo)
        self.preset_row = QWidget()
        make_form(self.preset_row).addRow(field_label("Name"), self.presets)
        self.file = PSFFileForm()
        self.beads = BeadForm(viewer)
        self.calibrate_button = QPushButton("Calibrate")
        self.bead_box = QWidget()
        column = QVBoxLayout(self.bead_box)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.beads)
        column.addWidget(self.calibrate_button)

    def _make_outcome(self) -> None:
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)  # nobody knows how long
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.bar.hide()
        self.status = StatusLine()
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.hide()
        self.verdicts = VerdictView()
        self.show_button = QPushButton("Show PSF")
        self.save_button = QPushButton("Save PSF…")
        self.report_button = QPushButton("Save report…")
        self.curve = CrlbView()
        self.curve.hide()
        self.note = QLabel(NOTE)
        self.note.setWordWrap(True)
        set_tone(self.note, Tone.MUTED)
