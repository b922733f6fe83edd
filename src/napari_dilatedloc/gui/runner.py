"""Runs of the dock, one at a time: the worker's blocks become layers, figures and sentences."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal, Slot

from napari_dilatedloc.config import CameraConfig, LocalizeConfig
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.gui.kept_runs import KeptRun, KeptRuns, NotKept, keeping
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.localize_job import RunJudged, RunJudging, RunStarted, localize_job
from napari_dilatedloc.gui.open_job import TableOpened, open_kept_job, open_table_job
from napari_dilatedloc.gui.process_job import DriftFound, drift_job, link_job
from napari_dilatedloc.gui.results_step import ResultsStep
from napari_dilatedloc.gui.run import Asked, OpenedRun, Run, WatchedRun
from napari_dilatedloc.gui.run_panel import RunPanel
from napari_dilatedloc.gui.watch_job import MovieGrew, watch_job
from napari_dilatedloc.gui.worker import GeneratorWorker, Job, State

REFRESH_INTERVAL_MS = 700
_NOTHING_FOUND = "Done, but no molecule was found: try a lower threshold or another model."
_JUDGING = "All frames are done; comparing their spots with the model's PSF…"


class Runner(QObject):
    """Starts runs, takes what they yield, and ends them cleanly.

    Parameters
    ----------
    viewer : napari.Viewer
    panel : RunPanel
        Shows how far a run is; its buttons cancel it.
    results : ResultsStep
        Shows what came out.

    Signals
    -------
    described : str, str
        What the model of the new run is for, and reasons to doubt that it fits.
    doubted : str
        More such reasons, at the end.
    """

    described = Signal(str, str)
    doubted = Signal(str)

    def __init__(
        self,
        viewer: Any,
        panel: RunPanel,
        results: ResultsStep,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.run: Run | None = None
        self.worker = GeneratorWorker(self)
        self._viewer = viewer
        self._panel = panel
        self._results = results
        self._over = Event()
        self._opening = False  # or making a result of another one, rather than localizing
        self._opened = False  # whether that result has come
        self._drift: DriftFound | None = None  # of a result that has not come yet
        self._made_of: Run | None = None
        self._before: list[Run] = []  # results that the one on show was made of
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_INTERVAL_MS)
        self._timer.timeout.connect(self._refresh)
        self.worker.state_changed.connect(panel.set_state)
        self.worker.yielded.connect(self._on_yielded)
        self.worker.failed.connect(panel.show_error)
        self.worker.finished.connect(self._on_finished)
        panel.cancel_clicked.connect(self.worker.cancel)
        panel.over_clicked.connect(self.end_recording)

    @property
    def result(self) -> LiveResult | None:
        """Table and layers of the last run."""
        return None if self.run is None else self.run.result

    def localize(self, asked: Asked) -> None:
        """Localize a movie layer; the layers of the run before are hidden."""
        run = Run(self._viewer, asked.movie, asked.pixel_size_nm)
        job = partial(
            localize_job, run.array, asked.pixel_size_nm, asked.model, asked.config, asked.camera
        )
        frames, height, width = (int(side) for side in run.array.shape)
        kept = self._kept(job, run, (frames, height, width))
        self._begin(run, kept, "Loading the model…")

    def watch(
        self,
        path: Path,
        pixel_size_nm: float | None,
        model: str,
        config: LocalizeConfig,
        camera: CameraConfig | None = None,
    ) -> None:
        """Localize what is being written into a folder or file; without frames of its own.

        Parameters
        ----------
        path : Path
            Folder of TIFF files, or the first file.
        pixel_size_nm : float or None
            Of the camera in the sample, nm; None: the model's.
        model : str
            Shipped name or path.
        config : LocalizeConfig
            Settings.
        camera : CameraConfig, optional
            That records; default: the model's.
        """
        self._over = Event()
        job = partial(watch_job, path, pixel_size_nm, model, config, camera, self._over)
        run = WatchedRun(self._viewer, path)
        self._begin(run, self._kept(job, run, (0, 0, 0)), f"Waiting for frames in {path.name}…")
        self._panel.show_recording(True)

    def open_table(self, path: Path, pixel_size_nm: float | None) -> None:
        """Show a table as a result; the pixel size counts where the file knows none."""
        self._open(partial(open_table_job, path, pixel_size_nm), path.name)

    def open_kept(self, run: KeptRun) -> None:
        """Show a run of before again."""
        self._open(partial(open_kept_job, run), run.about.movie)

    @Slot(object)
    def correct_drift(self, config: DriftConfig) -> None:
        """Take the drift off the result on show: a new one."""
        self._process(drift_job, config, "Measuring the drift…")

    @Slot(object)
    def link(self, config: LinkingConfig) -> None:
        """Merge the blinks of the result on show: a new one."""
        self._process(link_job, config, "Merging blinks…")

    @Slot()
    def undo(self) -> None:
        """Show the result again that the one on show was made of."""
        if self.worker.state.busy or not self._before:
            return
        if self.result is not None:
            self.result.remove()
        self.run = self._before.pop()
        if self.result is not None:
            self.result.show(True)
        self._show_run(running=False)

    @Slot()
    def end_recording(self) -> None:
        """Do the frames that are there and end."""
        if self.worker.state is State.RUNNING:
            self._over.set()
            self._panel.show_recording(False)
            self._panel.show_status("The recording is over: the rest is being localized…")

    @Slot()
    def shut_down(self) -> None:
        """Stop for good; what was found is kept (closing time)."""
        self.worker.stop_and_wait()
        self._timer.stop()

    def _kept(self, job: Job, run: Run, shape: tuple[int, int, int]) -> Job:
        """The same, its localizations on disk too."""
        return partial(keeping, job, KeptRuns(), run.name, shape, run.pixel_size_nm)

    def _open(self, job: Job, name: str) -> None:
        self._before = []
        self._make(job, f"Reading {name}…")

    def _process(self, job: Any, config: Any, status: str) -> None:
        if self.run is None or self.result is None or self.worker.state.busy:
            return
        self._made_of = self.run
        self._make(partial(job, self.result, self.result.kept, config), status)

    def _make(self, job: Job, status: str) -> None:
        """Run a job that yields a whole result."""
        self._opening, self._opened, self._drift = True, False, None
        self._results.set_waiting(True)
        self.worker.start(job)
        self._panel.show_status(status)

    def _show_run(self, *, running: bool) -> None:
        if self.run is not None:
            self._results.show_run(self.run, running=running, undo=bool(self._before))

    def _begin(self, run: Run, job: Job, status: str) -> None:
        self._opening, self._before = False, []
        if self.result is not None:
            self.result.show(False)  # the new result comes to lie over the same movie
        self.run = run
        self.described.emit("", "")
        self._show_run(running=True)
        self.worker.start(job)
        self._panel.show_status(status)
        self._timer.start()

    @Slot(list)
    def _on_yielded(self, items: list[Any]) -> None:
        if self._opening:
            self._take_opened(items)
            return
        run = self.run
        if run is None:
            return
        for item in items:
            if isinstance(item, NotKept):
                self.doubted.emit(item.sentence)
            elif isinstance(item, MovieGrew):
                if isinstance(run, WatchedRun):
                    run.grow(item)
            elif isinstance(item, RunStarted):
                self.described.emit(run.begin(item), " ".join(item.doubts))
                self._panel.show_status(f"Localizing on {item.device}.")
            elif isinstance(item, RunJudging):
                self._panel.show_status(_JUDGING)
            elif isinstance(item, RunJudged):
                self.doubted.emit(" ".join(item.doubts))
            else:
                had_none = run.result is None
                run.take(item)
                if had_none:
                    self._show_run(running=True)
        if run.total:
            self._panel.show_progress(run.done, run.total, run.bar_text, run.figures())
            self._results.show_summary(run)

    def _take_opened(self, items: list[Any]) -> None:
        for item in items:
            if isinstance(item, DriftFound):
                self._drift = item
            elif isinstance(item, TableOpened):
                if self.result is not None:
                    self.result.show(False)
                if self._made_of is not None:
                    self._before.append(self._made_of)
                    self._made_of = None
                self.run = OpenedRun(self._viewer, item)
                self.run.drift = self._drift
                self._opened = True
                self.described.emit("", "")
                self._show_run(running=True)
                self._timer.start()
            elif isinstance(self.run, OpenedRun):
                self.run.take_table(item)

    @Slot()
    def _refresh(self) -> None:
        if self.result is not None:
            self.result.refresh()

    @Slot()
    def _on_finished(self) -> None:
        self._timer.stop()
        self._panel.show_recording(False)
        self._results.set_waiting(False)
        run = self.run
        self._made_of = None
        if self._opening and not self._opened and self.worker.state is State.CANCELLED:
            self._panel.show_status("Cancelled; nothing was changed.")
        if run is None or (self._opening and not self._opened):
            return
        run.finish()
        self._show_run(running=False)
        if self._opening:
            self._conclude_opening(run)
        elif self.worker.state is State.FAILED:
            self._panel.add_error(run.kept())
        elif self.worker.state is State.DONE or run.complete:
            self._panel.show_status(run.conclusion() if run.localizations else _NOTHING_FOUND)
        else:
            self._panel.show_status(f"Cancelled. {run.kept()}".strip())

    def _conclude_opening(self, run: Run) -> None:
        if self.worker.state is State.FAILED:
            self._panel.add_error("")
        elif self.worker.state is State.CANCELLED:
            self._panel.show_status("Cancelled; what was read so far is shown.")
        else:
            self._panel.show_status(f"{run.name}: {run.localizations:,} localizations.")
