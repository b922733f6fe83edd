"""The looks of the training step: forms, buttons, and what they say."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dilatedloc.gui.camera_form import CameraForm
from napari_dilatedloc.gui.match_view import MatchView
from napari_dilatedloc.gui.status_line import StatusLine
from napari_dilatedloc.gui.style import Tone, set_tone
from napari_dilatedloc.gui.train_form import NOTHING, TrainForm
from napari_dilatedloc.gui.train_plots import TrainPlots
from napari_dilatedloc.gui.worker import State

NOTE = (
    "Trains a model for your PSF and camera, by simulation. Needs a PSF (step above); the ranges "
    "can be taken from your movie."
)
MATCH_USE = (
    "Looks at some frames of the movie, estimates photons, background and density, fills in the "
    "fields below and says where movie, camera and PSF do not fit. Takes about half a minute."
)
TRAIN_USE = "Trains with simulated movies of your PSF and camera; the best model is kept."
STOP_USE = "Ends after the step at hand; the best model so far is kept."
RESUME_USE = (
    "Goes on with the training of '{name}' where it stopped, with the settings and for the length "
    "it was begun with."
)
PAUSE_USE = "Lets the computer do something else meanwhile; the time does not count."


class TrainPanel(QWidget):
    """All widgets of the step; `train_step.TrainStep` fills them with life."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.note = QLabel(NOTE)
        self.note.setWordWrap(True)
        set_tone(self.note, Tone.MUTED)
        self.camera = CameraForm()
        self.match_button = QPushButton()
        self.match_view = MatchView()
        self.form = TrainForm(self.camera)
        self.train_button = QPushButton()
        self.resume_button = QPushButton("Resume")
        self.pause_button = QPushButton()
        self.bar = QProgressBar()
        self.figures = QLabel()
        self.accuracy = QLabel()
        for label in (self.figures, self.accuracy):
            label.setWordWrap(True)
            label.hide()
        self.bar.hide()
        self.plots = TrainPlots()
        self.status = StatusLine()
        self._lay_out()
        self.show_state(State.IDLE, "", paused=False)

    def set_troubles(self, match: str, train: str) -> None:
        """Why the buttons cannot be used now; empty if they can."""
        self._match_trouble, self._train_trouble = match, train
        self._update_buttons()

    def show_state(self, state: State, task: str, *, paused: bool) -> None:
        """Follow the worker, which is at "match", "train" or nothing."""
        self._state, self._task, self._paused = state, task, paused
        self.form.setEnabled(not state.busy)
        self.camera.setEnabled(not state.busy)
        if not state.busy:
            self.bar.hide()
            self.figures.hide()
        self._update_buttons()

    def begin(self, status: str) -> None:
        """Show that something has begun and nobody knows yet how long it takes."""
        self.bar.setRange(0, 0)
        self.bar.setFormat("")
        self.bar.show()
        self.status.show_status(status)

    def show_progress(self, share: float, said: str) -> None:
        """Share done, 0-1, and a line of figures."""
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * share))
        self.bar.setFormat("%p %")
        self.figures.setText(said)
        self.figures.setVisible(bool(said))

    def show_accuracy(self, said: str) -> None:
        """Show the accuracy before and after."""
        self.accuracy.setText(said)
        self.accuracy.setVisible(bool(said))

    def set_resumable(self, name: str) -> None:
        """Offer to go on with the training of a model file; with "" there is none."""
        self._resumable = name
        self._update_buttons()

    _match_trouble = _train_trouble = _resumable = ""

    def _update_buttons(self) -> None:
        for button, task, start, use in (
            (self.match_button, "match", "Match to movie", MATCH_USE),
            (self.train_button, "train", self._train_text(), TRAIN_USE),
        ):
            mine, busy = self._task == task, self._state.busy
            trouble = self._match_trouble if task == "match" else self._train_trouble
            if busy and mine:
                stopping = self._state is State.CANCELLING
                button.setText("Stopping…" if stopping else _STOP[task])
                button.setEnabled(not stopping)
                button.setToolTip(STOP_USE if task == "train" else "Stops; nothing is changed.")
                continue
            why = "Wait until the work at hand is done, or stop it." if busy else trouble
            button.setText(start)
            button.setEnabled(not why)
            button.setToolTip(why or use)
        self.resume_button.setVisible(bool(self._resumable) and not self._state.busy)
        self.resume_button.setToolTip(RESUME_USE.format(name=self._resumable))
        training = self._state is State.RUNNING and self._task == "train"
        self.pause_button.setVisible(training)
        self.pause_button.setText("Go on" if self._paused else "Pause")
        self.pause_button.setToolTip("Goes on training." if self._paused else PAUSE_USE)

    def _train_text(self) -> str:
        if self.form.init == NOTHING:
            return "Train for this PSF"
        return "Fine-tune for this PSF"

    def _lay_out(self) -> None:
        self.train_button.setMinimumHeight(28)
        self.bar.setTextVisible(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.note, self.camera, self.match_button, self.match_view, self.form):
            column.addWidget(widget)
        row = QHBoxLayout()
        row.addWidget(self.train_button, 2)
        row.addWidget(self.resume_button, 1)
        row.addWidget(self.pause_button, 1)
        column.addLayout(row)
        for widget in (self.bar, self.figures, self.accuracy, self.plots, self.status):
            column.addWidget(widget)


_STOP = {"match": "Cancel", "train": "Stop and keep the best"}
