"""One sentence of status, and the details of an error behind a button."""

from __future__ import annotations

from qtpy.QtCore import Slot
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_dilatedloc.gui.style import Tone, set_tone, tone_of


class StatusLine(QWidget):
    """A label that turns red for errors, and "Copy details" below it when there are some."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._details = ""
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.hide()
        self.details_button = QPushButton("Copy details")
        self.details_button.setToolTip(
            "Copies the full error and the versions to the clipboard, for a report."
        )
        self.details_button.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.details_button)
        layout.addLayout(row)
        self.details_button.clicked.connect(self._copy_details)
        self.hide()  # else it takes the space between two lines

    @property
    def error(self) -> str:
        """The sentence on show if it is an error, else empty."""
        return self.label.text() if tone_of(self.label) is Tone.ERROR else ""

    def show_status(self, sentence: str) -> None:
        """One plain sentence."""
        self._show(sentence, "", Tone.PLAIN)

    def show_error(self, sentence: str, details: str = "") -> None:
        """One plain sentence in the colour of errors; details behind the button."""
        self._show(sentence, details, Tone.ERROR)

    def _show(self, sentence: str, details: str, tone: Tone) -> None:
        self._details = details
        set_tone(self.label, tone)
        self.label.setText(sentence)
        self.label.setVisible(bool(sentence))
        self.setVisible(bool(sentence))
        self.details_button.setVisible(bool(details))

    @Slot()
    def _copy_details(self) -> None:
        QGuiApplication.clipboard().setText(f"{self.label.text()}\n\n{self._details}")
