"""Match the simulation to a movie, and train a model for a PSF."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal, Slot
from qtpy.QtWidgets import QScrollArea, QWidget

from napari_dilatedloc.gui.layers import movie_array
from napari_dilatedloc.gui.match_job import Matched, match_job
from napari_dilatedloc.gui.run import duration
from napari_dilatedloc.gui.train_job import RemotePause, train_job
from napari_dilatedloc.gui.train_panel import TrainPanel
from napari_dilatedloc.gui.training_log import TrainingLog
from napari_dilatedloc.gui.worker import GeneratorWorker, State
from napari_dilatedloc.training.child import TrainingStarted
from napari_dilatedloc.training.places import checkpoint_path

if TYPE_CHECKING:
    from napari_dilatedloc.gui.psf_job import ChosenPSF

PLOT_INTERVAL_MS = 2000
_NO_PSF = "Choose a PSF first, in the step 'PSF' above."
_NOTHING_KEPT = "Stopped before the first check of the accuracy: there is no model yet."
_GO_ON = (
    "{name} is there already: 'Resume' goes on with it; choose another name under 'Save as' to "
    "train anew."
)
_RESUME = " 'Resume' goes on from there."


class TrainStep(TrainPanel):
    """Matching and training.

    Signals
    -------
    trained : str
        Path of a new model file.
    """

    trained = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._chosen: ChosenPSF | None = None
        self._movie: Any = None
        self._pixel_size_nm: float | None = None
        self._movie_trouble = ""
        self._task = ""
        self._pause = RemotePause()
        self._out, self._resumed = Path(), False
        self._suggested = Path()
        self._began_with = ""
        self.log = TrainingLog()
        self.worker = GeneratorWorker(self)
        self._plot_timer = QTimer(self)
        self._plot_timer.setInterval(PLOT_INTERVAL_MS)
        self._laid_out = QTimer(self)  # a child: without the step it does not fire
        self._laid_out.setSingleShot(True)
        self._laid_out.timeout.connect(self._reveal)
        self._drawn: Any = None  # step the plots show
        self._suggest()
        self._connect()
        self._update()

    @Slot(object)
    def set_psf(self, chosen: ChosenPSF | None) -> None:
        """Take the PSF of the step above."""
        self._chosen = chosen
        self._suggest()
        self._update()

    def set_movie(self, layer: Any, pixel_size_nm: float | None, trouble: str) -> None:
        """Take the movie layer and its pixel size, or why there is none that can be used."""
        self._movie, self._pixel_size_nm, self._movie_trouble = layer, pixel_size_nm, trouble
        if not self.worker.state.busy:
            self._suggest()
        self._update()

    @Slot()
    def match(self) -> None:
        """Estimate the ranges from the movie; while that runs: cancel it."""
        if self.worker.state.busy:
            if self._task == "match":
                self.worker.cancel()
            return
        if self._match_trouble or self._chosen is None:
            self.status.show_error(self._match_trouble)
            return
        self.match_view.clear()
        config, array = self.form.value(), movie_array(self._movie)
        job = partial(match_job, array, self._pixel_size_nm, self._chosen.psf, config)
        self._start("match", job)
        self.begin("Looking at the movie…")

    @Slot()
    def train(self) -> None:
        """Train; while that runs: stop it and keep the best."""
        if self.worker.state.busy:
            if self._task == "train":
                self.worker.cancel()
                self._update()
            return
        if self._train_trouble or self._chosen is None:
            self.status.show_error(self._train_trouble)
            return
        self._begin_training("Preparing: the PSF is compiled, test movies are simulated…")

    @Slot()
    def resume(self) -> None:
        """Go on with the training whose model file is chosen."""
        if self.worker.state.busy or not self._resumable_name():
            return
        self._begin_training("Preparing to go on where it stopped…", resume=True)

    def _begin_training(self, said: str, *, resume: bool = False) -> None:
        self._pause, self._out, self.log = RemotePause(), self.form.out, TrainingLog()
        self._drawn, self._resumed, self._began_with = None, resume, ""
        self.plots.hide()
        self.show_accuracy("")
        config, init = self.form.value(), self.form.init
        psf = None if self._chosen is None else self._chosen.psf
        job = partial(train_job, config, psf, self._out, init, self._pause, resume=resume)
        self._start("train", job)
        self.begin(said)
        self._plot_timer.start()

    @Slot()
    def toggle_pause(self) -> None:
        """Pause the training, or go on."""
        if self._pause.is_set():
            self._pause.clear()
            self.status.show_status("")
        else:
            self._pause.set()
            self.status.show_status("Paused.")
        self._update()

    def shut_down(self) -> None:
        """Stop the worker (closing time)."""
        self._plot_timer.stop()
        self._pause.hasten()
        self.worker.stop_and_wait()
        self.match_view.shut_down()

    def _connect(self) -> None:
        self.match_button.clicked.connect(self.match)
        self.train_button.clicked.connect(self.train)
        self.resume_button.clicked.connect(self.resume)
        self.pause_button.clicked.connect(self.toggle_pause)
        self.form.changed.connect(self._update)
        self.worker.state_changed.connect(self._update)
        self.worker.yielded.connect(self._on_yielded)
        self.worker.failed.connect(self._on_failed)
        self.worker.finished.connect(self._on_finished)
        self._plot_timer.timeout.connect(self._plot)

    def _start(self, task: str, job: Any) -> None:
        self._task = task
        self.status.show_status("")
        self.worker.start(job)

    @Slot(list)
    def _on_yielded(self, items: list[Any]) -> None:
        for item in items:
            if isinstance(item, str):
                self.status.show_status(item)
            elif isinstance(item, Matched):
                self._on_matched(item)
            elif isinstance(item, TrainingStarted):
                self._on_started(item)
            else:
                self.log.add(item)
                if item.note:
                    self.status.show_status(f"{item.note[0].upper()}{item.note[1:]}.")
        if self._task == "train" and self.log.last is not None:
            self.show_progress(self.log.last.progress, self.log.progress())
            if self.log.finishing:
                self.bar.setRange(0, 0)
            self.show_accuracy(self.log.accuracy(ended=False))

    def _on_started(self, started: TrainingStarted) -> None:
        self._began_with = started.start or ""
        start = f"from the weights of {started.start}" if started.start else "from nothing"
        self.status.show_status(f"Training {'goes on' if started.resumed else start}.")

    def _on_matched(self, matched: Matched) -> None:
        self.form.setValue(matched.config)
        self.match_view.show_matched(matched)

    @Slot()
    def _plot(self) -> None:
        """Draw what has changed since the last time."""
        last = self.log.last
        if last is None or last is self._drawn:
            return
        first, self._drawn = self._drawn is None, last
        self.plots.draw(self.log)
        if first:
            self._laid_out.start()

    @Slot()
    def _reveal(self) -> None:
        """Scroll the dock to the plots and what is said below them."""
        area: QWidget | None = self
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is not None:
            area.ensureWidgetVisible(self.status)

    @Slot(str, str)
    def _on_failed(self, sentence: str, details: str) -> None:
        self.status.show_error(sentence, details)

    @Slot()
    def _on_finished(self) -> None:
        if self._task == "train":
            self._plot_timer.stop()
            self._plot()
            self._conclude()
        elif self.worker.state is State.CANCELLED:
            self.status.show_status("Cancelled; nothing is changed.")
        elif self.worker.state is State.DONE:
            self.status.show_status("Matched: the fields are filled in.")
        self._task = ""
        self._suggest(anew=self.worker.state is State.DONE)
        self._update()

    def _conclude(self) -> None:
        """Say how it ended, and hand the new model on."""
        state = self.worker.state
        gone_on = self._resumed and state is not State.FAILED
        ours = gone_on or self.log.last is not None  # else it failed before it wrote anything
        kept = ours and self._out.exists()
        self.show_accuracy(self.log.accuracy())
        if kept:
            self.trained.emit(str(self._out))
        if state is State.FAILED:
            return
        resume = _RESUME if self._resumable_name() and state is State.CANCELLED else ""
        if not kept:
            self.status.show_status(f"{_NOTHING_KEPT}{resume}")
            return
        how = "Stopped" if state is State.CANCELLED else "Done"
        if self.log.last is not None:
            how += f" after {duration(self.log.last.seconds)}"
        said = f"{how}: {self._out.name} is saved and chosen above."
        if self.log.best is not None and not self.log.gained:
            begun = Path(self._began_with).stem
            said += f" It is no better than what it began with: train longer, or use {begun}."
        self.status.show_status(f"{said}{resume}")

    def _suggest(self, *, anew: bool = False) -> None:
        """Suggest a file beside the movie, unless the user's choice can be used or gone on with."""
        out = self.form.out
        going_on = self._resumable_name() and (out.exists() or out == self._out)
        if self.worker.state.busy or (going_on and not anew):
            return
        if out != self._suggested and not out.exists():
            return
        source = getattr(getattr(self._movie, "source", None), "path", None)
        name = "model" if self._chosen is None else self._chosen.name
        self.form.suggest_out(Path(source).parent if source else None, f"{name}-tuned")
        self._suggested = self.form.out

    def _resumable_name(self) -> str:
        """Name of the chosen file if its training can go on; else empty."""
        out = self.form.out
        return out.name if out.name and checkpoint_path(out).exists() else ""

    @Slot()
    def _update(self) -> None:
        no_psf = _NO_PSF if self._chosen is None else ""
        train, name = no_psf or self.form.trouble, self._resumable_name()
        if name and self.form.out.exists():
            train = _GO_ON.format(name=name)
        self.set_troubles(self._movie_trouble or no_psf or self.form.settings_trouble, train)
        self.set_resumable(name)
        self.show_state(self.worker.state, self._task, paused=self._pause.is_set())
