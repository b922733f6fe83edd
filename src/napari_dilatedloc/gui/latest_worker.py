"""A worker whose newest job wins."""

from __future__ import annotations

from qtpy.QtCore import QObject, Slot

from napari_dilatedloc.gui.worker import GeneratorWorker, Job


class LatestWorker(GeneratorWorker):
    """Runs one job at a time like its parent; a new one stops the one before and follows it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._next: Job | None = None
        self.finished.connect(self._start_next)

    @property
    def superseded(self) -> bool:
        """Whether another job waits, so that what still arrives is of no use."""
        return self._next is not None

    def replace(self, job: Job) -> None:
        """Run a job as soon as the one at work, if any, has stopped."""
        if self.state.busy:
            self._next = job
            super().cancel()
        else:
            self.start(job)

    @Slot()
    def cancel(self) -> None:
        """Ask the job to stop, and forget the one that waits."""
        self._next = None
        super().cancel()

    @Slot()
    def stop_and_wait(self) -> None:
        """Stop for good (closing time)."""
        self._next = None
        super().stop_and_wait()

    @Slot()
    def _start_next(self) -> None:
        job, self._next = self._next, None
        if job is not None:
            self.start(job)
