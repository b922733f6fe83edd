"""Which model: a shipped one by name, or a file."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal, Slot
from qtpy.QtWidgets import QComboBox, QFileDialog, QLabel, QWidget

from napari_dilatedloc.config import ModelInfo
from napari_dilatedloc.gui.preferences import preferences
from napari_dilatedloc.gui.style import Tone, field_label, make_form, narrow, set_tone
from napari_dilatedloc.network.shipped import SUFFIX, ModelFileError, available_models, read_info

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
        self._info: ModelInfo | None = None
        self.combo = QComboBox()
        self.combo.setToolTip(
            "The trained network. It must fit your microscope: PSF, pixel size and camera are "
            "part of the training. 'Load file…' takes one made by 'dilatedloc train'."
        )
        narrow(self.combo)
        for name in available_models():
            self.combo.addItem(name, name)
        self.combo.addItem(LOAD_FILE, None)
        for path in _own_models():
            self._add(path)
        self.about = QLabel()
        self.about.setWordWrap(True)
        set_tone(self.about, Tone.MUTED)
        self.about.hide()
        self.doubts = QLabel()
        self.doubts.setWordWrap(True)
        set_tone(self.doubts, Tone.WARNING)
        self.doubts.hide()
        form = make_form(self)
        form.addRow(field_label("Model"), self.combo)
        form.addRow(self.about)
        form.addRow(self.doubts)
        self.combo.activated.connect(self._on_activated)
        self._take(self.combo.currentIndex())

    @property
    def model(self) -> str | None:
        """Shipped name or path of a file."""
        data = self.combo.currentData()
        return None if data is None else str(data)

    @property
    def info(self) -> ModelInfo | None:
        """What the chosen model was trained for; None if there is none or it cannot be read."""
        return self._info

    @property
    def trouble(self) -> str:
        """Why there is no model, one sentence; empty if there is."""
        return "" if self.model else "Choose a model: 'Load file…' takes a .safetensors file."

    def set_model(self, name_or_path: str | None) -> None:
        """Choose a model by shipped name or path; None for the first one."""
        place = 0 if name_or_path is None else self._add(name_or_path)
        self.combo.setCurrentIndex(place)
        self._take(place)

    def describe(self, text: str, doubts: str = "") -> None:
        """Say what the chosen model is for, and why it may not fit the movie."""
        for label, said in ((self.about, text), (self.doubts, doubts)):
            label.setText(said)
            label.setVisible(bool(said))

    def add_doubts(self, doubts: str) -> None:
        """Say more on why the chosen model may not fit the movie."""
        self.doubts.setText(f"{self.doubts.text()} {doubts}".strip())
        self.doubts.setVisible(bool(self.doubts.text()))

    def _add(self, name_or_path: str) -> int:
        """Place of a model in the list, to which it is added if it is new."""
        place = self.combo.findData(name_or_path)
        if place < 0:
            place = self.combo.count() - 1
            self.combo.insertItem(place, Path(name_or_path).name, name_or_path)
            self.combo.setItemData(place, name_or_path, Qt.ItemDataRole.ToolTipRole)
        return place

    @Slot(int)
    def _on_activated(self, place: int) -> None:
        if self.combo.itemData(place) is not None:
            self._take(place)
            return
        path, _ = QFileDialog.getOpenFileName(
            self, "Load a model", "", f"DilatedLoc models (*{SUFFIX});;All files (*)"
        )
        if path:
            self.set_model(path)
        else:  # back to what was chosen before the dialog
            self.combo.setCurrentIndex(min(self._last, self.combo.count() - 1))
            self.changed.emit()

    def _take(self, place: int) -> None:
        """Read what the model at a place of the list is for."""
        self._last = place
        try:
            self._info = None if self.model is None else read_info(self.model)
        except ModelFileError:  # said in full when it is used
            self._info = None
        self.describe("")
        self.changed.emit()


def _own_models() -> list[str]:
    """Models in the folder of the preferences, the newest first."""
    folder = preferences().models_folder
    if folder is None or not folder.is_dir():
        return []
    paths = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [str(path) for path in paths]
