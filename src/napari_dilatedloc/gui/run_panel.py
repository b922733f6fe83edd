"""The button, how far the run is, and what went wrong."""

from __future__ import annotations

from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_dilatedloc.gui.shortcuts import CANCEL, LOCALIZE, with_keys
from napari_dilatedloc.gui.status_line import StatusLine
from napari_dilatedloc.gui.style import PRIMARY_STYLE
from napari_dilatedloc.gui.worker import State

START_TEXT = "Localize"
_START_USE = "Finds the molecules of every frame."
_CANCEL_USE = "Stops after the frames at hand; what was found so far is kept."


class RunPanel(QWidget):
    """One button that starts and cancels, a bar, figures, and one sentence of status.

    Signals
    -------
    start_clicked, cancel_clicked
    over_clicked
        The recording that is watched is over.
    """

    start_clicked = Signal()
    cancel_clicked = Signal()
    over_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = State.IDLE
        self._trouble = ""
        self.button = QPushButton(START_TEXT)
        self.button.setMinimumHeight(32)
        self.button.setStyleSheet(PRIMARY_STYLE)
        self.over_button = QPushButton("Recording is over")
        self.over_button.setToolTip(
            "Localizes the frames that are there and ends; until then it waits for more."
        )
        self.over_button.hide()
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.bar.hide()
        self.figures = QLabel()
        self.figures.setWordWrap(True)
        self.figures.hide()
        self.line = StatusLine()
        self.status, self.details_button = self.line.label, self.line.details_button
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.button, self.over_button, self.bar, self.figures, self.line):
            layout.addWidget(widget)
        self.button.clicked.connect(self._on_clicked)
        self.over_button.clicked.connect(self.over_clicked)

    def set_trouble(self, sentence: str) -> None:
        """Why the button cannot be used now; empty if it can."""
        self._trouble = sentence
        self._update_button()

    @Slot(object)
    def set_state(self, state: State) -> None:
        """Follow the worker."""
        self._state = state
        if state is State.RUNNING:
            self.details_button.hide()
            self.bar.setRange(0, 0)  # busy until the first block says how many frames there are
            self.bar.setFormat("")
            self.bar.show()
            self.figures.hide()
        elif not state.busy:
            self.bar.hide()
            self.figures.hide()
        self._update_button()

    def show_recording(self, recording: bool) -> None:
        """Show the button that ends a recording, while one is watched."""
        self.over_button.setVisible(recording)

    def show_progress(self, done: int, total: int, text: str, figures: str) -> None:
        """Frames done of all, the text of the bar, and the figures below it."""
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)
        self.bar.setFormat(text)
        self.figures.setText(figures)
        self.figures.setVisible(bool(figures))

    def show_status(self, sentence: str) -> None:
        """One plain sentence."""
        self.line.show_status(sentence)

    def show_error(self, sentence: str, details: str = "") -> None:
        """One plain sentence in the colour of errors; details behind a button."""
        self.line.show_error(sentence, details)

    def add_error(self, sentence: str) -> None:
        """One more sentence behind the error on show."""
        self.line.label.setText(f"{self.line.label.text()} {sentence}".strip())

    def _update_button(self) -> None:
        if self._state is State.CANCELLING:
            self.button.setText("Cancelling…")
            self.button.setEnabled(False)
            self.button.setToolTip("The frames at hand are being finished.")
        elif self._state is State.RUNNING:
            self.button.setText("Cancel")
            self.button.setEnabled(True)
            self.button.setToolTip(with_keys(_CANCEL_USE, CANCEL))
        else:
            self.button.setText(START_TEXT)
            self.button.setEnabled(not self._trouble)
            self.button.setToolTip(self._trouble or with_keys(_START_USE, LOCALIZE))

    @Slot()
    def _on_clicked(self) -> None:
        if self._state is State.RUNNING:
            self.cancel_clicked.emit()
        elif not self._state.busy:
            self.start_clicked.emit()
