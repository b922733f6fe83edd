"""Which model: a shipped one by name, or a file."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal, Slot
from qtpy.QtWidgets import QComboBox, QFileDialog, QLabel, QWidget

from napari_dilatedloc.gui.style import WARNING_STYLE, field_label, make_form, narrow
from napari_dilatedloc.network.shipped import SUFFIX, available_models

LOAD_FILE = "Load file…"


class ModelStep(QWidget):
    """Choice of a model.

    Signals
    -------
    changed
        Another model.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._last = 0
        self.combo = QComboBox()
        self.combo.setToolTip(
            "The trained network. It must fit your microscope: PSF, pixel size and camera are "
            "part of the training. 'Load file…' takes one made by 'dilatedloc train'."
        )
        narrow(self.combo)
        for name in available_models():
            self.combo.addItem(name, name)
        self.combo.addItem(LOAD_FILE, None)
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.hide()
        self.doubts = QLabel()
        self.doubts.setWordWrap(True)
        self.doubts.setStyleSheet(WARNING_STYLE)
        self.doubts.hide()
        form = make_form(self)
        form.addRow(field_label("Model"), self.combo)
        form.addRow(self.about)
        form.addRow(self.doubts)
        self.combo.activated.connect(self._on_activated)

    @property
    def model(self) -> str | None:
        """Shipped name or path of a file."""
        data = self.combo.currentData()
        return None if data is None else str(data)

    @property
    def trouble(self) -> str:
        """Why there is no model, one sentence; empty if there is."""
        return "" if self.model else "Choose a model: 'Load file…' takes a .safetensors file."

    def set_model(self, name_or_path: str) -> None:
        """Choose a model by shipped name or path."""
        place = self.combo.findData(name_or_path)
        if place < 0:
            place = self.combo.count() - 1
            self.combo.insertItem(place, Path(name_or_path).name, name_or_path)
            self.combo.setItemData(place, name_or_path, Qt.ItemDataRole.ToolTipRole)
        self.combo.setCurrentIndex(place)
        self._last = place
        self.describe("")
        self.changed.emit()

    def describe(self, text: str, doubts: str = "") -> None:
        """Say what the chosen model is for, and why it may not fit the movie."""
        for label, said in ((self.about, text), (self.doubts, doubts)):
            label.setText(said)
            label.setVisible(bool(said))

    def add_doubts(self, doubts: str) -> None:
        """Say more on why the chosen model may not fit the movie."""
        self.doubts.setText(f"{self.doubts.text()} {doubts}".strip())
        self.doubts.setVisible(bool(self.doubts.text()))

    @Slot(int)
    def _on_activated(self, place: int) -> None:
        if self.combo.itemData(place) is not None:
            self._last = place
            self.describe("")
            self.changed.emit()
            return
        path, _ = QFileDialog.getOpenFileName(
            self, "Load a model", "", f"DilatedLoc models (*{SUFFIX});;All files (*)"
        )
        if path:
            self.set_model(path)
        else:  # back to what was chosen before the dialog
            self.combo.setCurrentIndex(min(self._last, self.combo.count() - 1))
            self.changed.emit()
