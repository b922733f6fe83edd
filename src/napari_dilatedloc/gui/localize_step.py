"""The Localize step: settings, preview, and the way to a movie that is still being written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_dilatedloc.gui.localize_form import LocalizeForm
from napari_dilatedloc.gui.preview import PreviewBox
from napari_dilatedloc.gui.run import Asked
from napari_dilatedloc.gui.worker import State


class LocalizeStep(QWidget):
    """Settings of a run and what can be tried before it.

    Parameters
    ----------
    viewer : napari.Viewer
    asked : callable
        Gives what is to be localized, or one sentence on what is missing.

    Signals
    -------
    watch_chosen : str
        Folder or first file of a recording that is to be localized while it is written.
    """

    watch_chosen = Signal(str)

    def __init__(
        self, viewer: Any, asked: Callable[[], Asked | str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.form = LocalizeForm(viewer)
        self.preview = PreviewBox(viewer, asked)
        self.watch_button = QPushButton("Watch a folder…")
        menu = QMenu(self.watch_button)
        menu.addAction("Folder of TIFF files…", self.choose_folder)
        menu.addAction("TIFF file that grows…", self.choose_file)
        self.watch_button.setMenu(menu)
        self.watch_button.setToolTip(
            "Localizes a movie while the microscope writes it, frame by frame, with the model and "
            "the settings above; 'Recording is over' ends it."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.form, self.preview, self.watch_button):
            column.addWidget(widget)
        self.form.valueChanged.connect(self.preview.reconsider)
        self.preview.looked.connect(self.form.show_own_threshold)

    @Slot(object)
    def set_state(self, state: State) -> None:
        """Follow the worker of the runs."""
        self.preview.set_running(state.busy)
        self.watch_button.setEnabled(not state.busy)

    @Slot()
    def choose_folder(self) -> None:
        """Ask for the folder that is written into."""
        path = QFileDialog.getExistingDirectory(self, "Folder the microscope writes into")
        if path:
            self.watch_chosen.emit(path)

    @Slot()
    def choose_file(self) -> None:
        """Ask for the first file of the recording."""
        path, _ = QFileDialog.getOpenFileName(
            self, "First file of the recording", str(Path.home()), "TIFF files (*.tif *.tiff)"
        )
        if path:
            self.watch_chosen.emit(path)

    def shut_down(self) -> None:
        """Stop the preview and let go of the viewer."""
        self.preview.shut_down()
        self.form.disconnect_viewer()
