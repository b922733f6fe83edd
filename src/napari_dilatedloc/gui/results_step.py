"""What came out, and where it goes."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_dilatedloc.gui.layers import POINTS_CAP

TABLE_FILTER = (
    "ThunderSTORM table (*.csv);;Picasso table with .yaml beside (*.hdf5);;"
    "DilatedLoc table, full precision (*.h5)"
)


class ResultsStep(QWidget):
    """Summary of the last run and its exits.

    Signals
    -------
    export_clicked, points_clicked
    """

    export_clicked = Signal()
    points_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.export_button = QPushButton("Export…")
        self.points_button = QPushButton("To Points layer")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.summary)
        row = QHBoxLayout()
        row.addWidget(self.export_button)
        row.addWidget(self.points_button)
        layout.addLayout(row)
        self.export_button.clicked.connect(self.export_clicked)
        self.points_button.clicked.connect(self.points_clicked)
        self.show_result("No result yet.", 0, running=False)

    def show_result(self, summary: str, localizations: int, *, running: bool) -> None:
        """Say what there is; the buttons are on when there is something that stands still."""
        self.summary.setText(summary)
        why = ""
        if running:
            why = "Wait until the run has ended, or cancel it."
        elif localizations == 0:
            why = "There are no localizations yet: run Localize first."
        for button in (self.export_button, self.points_button):
            button.setEnabled(not why)
        self.export_button.setToolTip(
            why or "Writes the table: ThunderSTORM CSV, Picasso HDF5, or ours in full precision."
        )
        self.points_button.setToolTip(
            why
            or "Adds all localizations as a Points layer (frame, y, x) with their features; "
            f"above {POINTS_CAP:,} an even sample, since napari would no longer be fluid."
        )
