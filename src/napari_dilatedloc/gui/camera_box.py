"""Which camera: that of the model, a preset, or numbers entered by hand."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from qtpy.QtCore import QSignalBlocker, Signal, Slot
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dilatedloc.config import BUILT_IN_CAMERAS, CameraConfig
from napari_dilatedloc.gui.camera_form import CameraForm
from napari_dilatedloc.gui.camera_presets import CameraPresets, read_camera
from napari_dilatedloc.gui.status_line import StatusLine
from napari_dilatedloc.gui.step_box import StepBox
from napari_dilatedloc.gui.style import field_label, make_form, narrow

OF_MODEL, ENTERED = "\0model", "\0entered"
"""Entries that no file can be named like."""
NO_PRESET = "Only a camera of yours can be deleted: choose one you saved."
WRONG_NUMBERS = "Correct the numbers of the camera first."


class CameraBox(QWidget):
    """Choice of a camera over the form with its numbers.

    Parameters
    ----------
    form : CameraForm
        Shows the numbers; may be edited by others too.
    presets : CameraPresets
        Where cameras are kept.

    Signals
    -------
    changed
        Another camera.
    """

    changed = Signal()

    def __init__(
        self, form: CameraForm, presets: CameraPresets, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.form = form
        self._presets = presets
        self._shown: CameraConfig = form.value()
        self._model_camera: CameraConfig | None = None
        self._pixel_size_nm: float | None = None
        self.current_pixel_size_nm: float | None = None  # of the movie, saved with the camera
        self._make_widgets()
        self._lay_out()
        self._fill(OF_MODEL)
        last = presets.last
        if last is not None:
            self.choose(last)
        self.combo.activated.connect(self._on_activated)
        self.form.changed.connect(self._on_form_changed)
        self.save_button.clicked.connect(self._ask_name)
        self.load_button.clicked.connect(self._ask_file)
        self.delete_button.clicked.connect(self.delete)

    @property
    def camera(self) -> CameraConfig | None:
        """The camera; None for that of the model.

        Raises
        ------
        pydantic.ValidationError
            If its numbers contradict each other; see `trouble`.
        """
        return None if self._entry == OF_MODEL else self.form.value()

    @property
    def name(self) -> str:
        """The choice in words."""
        return self.combo.currentText()

    @property
    def preset_path(self) -> Path | None:
        """File of the chosen camera; None if there is none with these numbers."""
        saved = self._entry in self._presets.names()
        return self._presets.path(self._entry) if saved else None

    @property
    def pixel_size_nm(self) -> float | None:
        """Pixel size that was saved with the camera, nm."""
        return self._pixel_size_nm

    @property
    def trouble(self) -> str:
        """Why there is no such camera, one sentence; empty if there may be."""
        return self.form.trouble

    def set_camera(self, camera: CameraConfig | None) -> None:
        """Show a camera, as a preset if there is one with these numbers; None: the model's."""
        self._pixel_size_nm = None
        if camera is None:
            self._show(OF_MODEL, self._model_camera)
            return
        last = self._presets.last  # first, for two of them may differ in pixel size alone
        names = [*([last] if last else []), *self._presets.names(), *BUILT_IN_CAMERAS]
        for name in names:
            try:
                known, size = self._presets.load(name)
            except (ValueError, OSError):  # somebody's broken file is no reason to stop here
                continue
            if known == camera:
                self._pixel_size_nm = size
                self._show(name, camera)
                return
        self._show(ENTERED, camera)

    def set_model_camera(self, camera: CameraConfig | None) -> None:
        """Take the camera of the chosen model, which counts while no other is chosen."""
        self._model_camera = camera
        if self._entry == OF_MODEL:
            self._show(OF_MODEL, camera)

    def choose(self, name: str) -> None:
        """Choose a preset and remember it for the next time."""
        try:
            camera, self._pixel_size_nm = self._presets.load(name)
        except (ValueError, OSError) as error:
            self._show(ENTERED, None)
            self.status.show_error(str(error))
            return
        self._remember(name)
        self._show(name, camera)

    def save_as(self, name: str) -> None:
        """Keep the numbers on show, and the pixel size, under a name."""
        try:
            name = self._presets.save(name, self.form.value(), self.current_pixel_size_nm)
        except (ValueError, OSError) as error:
            self.status.show_error(str(error))
            return
        self._fill(name)
        self.choose(name)
        self.status.show_status(f"Saved; for the command line: --camera {self.preset_path}")

    def load(self, path: str | Path) -> None:
        """Show the camera of a YAML file, or say why it cannot be read."""
        try:
            camera, size = read_camera(Path(path))
        except (ValueError, OSError) as error:
            self.status.show_error(str(error))
            return
        self._pixel_size_nm = size
        self._show(ENTERED, camera)

    @Slot()
    def delete(self) -> None:
        """Forget the chosen preset; its numbers stay on show."""
        if self.preset_path is None:
            return
        try:
            self._presets.delete(self._entry)
        except OSError as error:
            self.status.show_error(str(error))
            return
        self._show(ENTERED, None)
        self._remember(None)

    @property
    def _entry(self) -> str:
        return str(self.combo.currentData())

    def _make_widgets(self) -> None:
        self.combo = QComboBox()
        narrow(self.combo)
        self.combo.setToolTip(
            "The camera that turned photons into grey levels (ADU). Localizing and training use "
            "its numbers; a wrong one makes all photon numbers wrong. The one chosen last is "
            "chosen again next time."
        )
        self.save_button = QPushButton("Save as…")
        self.load_button = QPushButton("Load…")
        self.load_button.setToolTip(
            "Takes all numbers from a YAML file, such as the one given to 'dilatedloc --camera'; "
            "it may name per-pixel maps of the chip."
        )
        self.delete_button = QPushButton("Delete")
        self.status = StatusLine()

    def _lay_out(self) -> None:
        top = QWidget()
        make_form(top).addRow(field_label("Camera"), self.combo)
        buttons = QWidget()
        row = QHBoxLayout(buttons)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.save_button, self.load_button, self.delete_button):
            row.addWidget(button, 1)
        self.numbers = StepBox("Camera settings", self.form, buttons, opened=False)
        self.numbers.header.setToolTip("Baseline, gain, efficiency and noise; save as a preset.")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (top, self.numbers, self.status):
            column.addWidget(widget)

    def _fill(self, entry: str) -> None:
        """List the cameras and choose one, without telling."""
        names = self._presets.names()
        with QSignalBlocker(self.combo):
            self.combo.clear()
            self.combo.addItem("as the model's", OF_MODEL)
            for name in [*names, *(name for name in BUILT_IN_CAMERAS if name not in names)]:
                self.combo.addItem(name, name)
            self.combo.addItem("as entered below", ENTERED)
            self.combo.setCurrentIndex(max(0, self.combo.findData(entry)))

    def _show(self, entry: str, camera: CameraConfig | None) -> None:
        """Choose an entry and show its numbers; None leaves those on show."""
        self.status.show_status("")
        self._fill(entry)
        if camera is not None:
            self._shown = camera
            with QSignalBlocker(self):
                self.form.setValue(camera)  # tells all who use the form
        self._update_buttons()
        self.changed.emit()

    def _update_buttons(self) -> None:
        wrong = bool(self.trouble)
        self.save_button.setEnabled(not wrong)
        self.save_button.setToolTip(
            WRONG_NUMBERS
            if wrong
            else "Keeps these numbers and the pixel size under a name, to be chosen above."
        )
        mine = self.preset_path is not None
        self.delete_button.setEnabled(mine)
        self.delete_button.setToolTip(
            f"Forgets the camera '{self.name}'; its numbers stay on show." if mine else NO_PRESET
        )

    def _remember(self, name: str | None) -> None:
        try:
            self._presets.remember(name)
        except OSError as error:
            self.status.show_error(str(error))

    @Slot()
    def _on_activated(self) -> None:
        entry = self._entry
        if entry == OF_MODEL:
            self._remember(None)
            self.set_camera(None)
        elif entry == ENTERED:
            self._pixel_size_nm = None
            self._show(ENTERED, None)
            self.numbers.expand()
        else:
            self.choose(entry)

    @Slot()
    def _on_form_changed(self) -> None:
        """Numbers that are not those of the chosen camera are the user's own."""
        try:
            edited = self.form.value() != self._shown
        except ValidationError:
            edited = True
        if edited and self._entry != ENTERED:
            with QSignalBlocker(self.combo):
                self.combo.setCurrentIndex(self.combo.findData(ENTERED))
        self._update_buttons()
        self.changed.emit()

    @Slot()
    def _ask_name(self) -> None:
        suggested = self.name if self.preset_path is not None else ""
        name, accepted = QInputDialog.getText(
            self, "Save the camera", "Name of the camera and microscope:", text=suggested
        )
        if accepted and name:
            self.save_as(name)

    @Slot()
    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Load camera settings", "", "Settings (*.yaml *.yml);;All files (*)"
        )
        if path:
            self.load(path)
