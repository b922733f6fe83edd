"""Settings of the whole dock: save, load, reset, and the command line that does the same."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QPushButton, QWidget

from napari_dilatedloc.gui.shortcuts import ALL

SETTINGS_FILTER = "Settings (*.yaml *.yml);;All files (*)"
BUSY = "Wait until the run at hand has ended, or cancel it."


class SettingsBar(QWidget):
    """Two menus at the top of the dock.

    Signals
    -------
    load_chosen, save_chosen : str
        A file to read or to write.
    reset_chosen, localize_command_chosen, train_command_chosen
    """

    load_chosen = Signal(str)
    save_chosen = Signal(str)
    reset_chosen = Signal()
    localize_command_chosen = Signal()
    train_command_chosen = Signal()
    cluster_command_chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.settings_button = QPushButton("Settings")
        self.settings_button.setToolTip(
            "Saves all fields of the dock to a file that the command line takes too, loads them "
            "again, or brings back the defaults. Keys that work in the whole window: "
            + ", ".join(f"{keys.shown} - {keys.does}" for keys in ALL)
            + "."
        )
        self.command_button = QPushButton("Copy command")
        self.command_button.setToolTip(
            "Copies the command line that does the same as this dock, for a script or a cluster."
        )
        settings, command = QMenu(self), QMenu(self)
        self.load_action = settings.addAction("Load settings…")
        self.save_action = settings.addAction("Save settings…")
        settings.addSeparator()
        self.reset_action = settings.addAction("Reset all fields")
        self.localize_action = command.addAction("Copy 'dilatedloc localize …'")
        self.train_action = command.addAction("Copy 'dilatedloc train …'")
        self.cluster_action = command.addAction("Copy 'dilatedloc cluster …'")
        for menu, button in ((settings, self.settings_button), (command, self.command_button)):
            menu.setToolTipsVisible(True)
            button.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.settings_button, 1)
        row.addWidget(self.command_button, 1)
        self.load_action.triggered.connect(self._ask_load)
        self.save_action.triggered.connect(self._ask_save)
        self.reset_action.triggered.connect(self.reset_chosen)
        self.localize_action.triggered.connect(self.localize_command_chosen)
        self.train_action.triggered.connect(self.train_command_chosen)
        self.cluster_action.triggered.connect(self.cluster_command_chosen)
        self.set_busy(False)

    def set_busy(self, busy: bool) -> None:
        """Nothing but copies can be made while a run is at work."""
        for action, use in (
            (self.load_action, "Takes all fields from a file: of this dock, of one step, a camera"),
            (self.reset_action, "Every field returns to its default; layers and results stay"),
        ):
            action.setEnabled(not busy)
            action.setToolTip(BUSY if busy else f"{use}.")
        _explain(self.save_action, "Writes all fields as YAML; commands take it as --config")
        _explain(self.localize_action, "Localizes the movie's file with these settings")
        _explain(self.train_action, "Trains for this PSF and camera with these settings")
        _explain(self.cluster_action, "Finds clusters in the exported table with these settings")

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load settings", "", SETTINGS_FILTER)
        if path:
            self.load_chosen.emit(path)

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save settings", "dilatedloc.yaml", SETTINGS_FILTER
        )
        if path:
            self.save_chosen.emit(path if "." in path.rsplit("/", 1)[-1] else f"{path}.yaml")


def _explain(action: QAction, use: str) -> None:
    action.setToolTip(f"{use}.")
