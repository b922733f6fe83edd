"""Any generator of the core in a QThread: progress, stop and errors as Qt signals.

The thread puts what the generator yields into a queue; a timer of the GUI thread empties it ten
times a second. So no signal crosses threads but Qt's own ``finished``, and a fast generator
cannot flood the event loop.
"""

from __future__ import annotations

import logging
import platform
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from qtpy.QtCore import QCoreApplication, QObject, QThread, QTimer, Signal, Slot

logger = logging.getLogger(__name__)

Job = Callable[[Event], Iterator[Any]]
DRAIN_INTERVAL_MS = 100
STOP_TIMEOUT_MS = 20_000


class State(Enum):
    """Where a run stands."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def busy(self) -> bool:
        """Whether a thread is at work."""
        return self in (State.RUNNING, State.CANCELLING)


def describe(error: BaseException) -> tuple[str, str]:
    """One sentence for the user, and details to copy into a report.

    User errors (ValueError, OSError) already are one sentence; anything else is a fault of
    ours and says so.
    """
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, OSError)) and text:
        named = not text.split()[0].isalpha()  # starts with a file's name: leave its case
        sentence = text if named else text[0].upper() + text[1:]
    else:
        sentence = f"Unexpected {type(error).__name__}: {text}; copy the details to report it."
    trace = "".join(traceback.format_exception(error))
    return sentence, f"{trace}\n{_versions()}"


def _versions() -> str:
    lines = [f"Python {platform.python_version()} on {platform.platform()}"]
    for name in ("napari-dilatedloc", "napari", "torch", "numpy", "PyQt6", "PySide6"):
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return "\n".join(lines)


class _Thread(QThread):
    """Runs the generator; talks to the GUI thread through `items` and `error` only.

    It belongs to the application, not to the worker: a QThread that is deleted while it runs
    aborts Python, and a worker can be deleted at any time. It ends when asked, then deletes
    itself.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(QCoreApplication.instance())
        self._job = job
        self.items: SimpleQueue[Any] = SimpleQueue()
        self.stop = Event()
        self.error: Exception | None = None

    @Slot()
    def request_stop(self) -> None:
        """Ask the generator to end; returns at once."""
        self.stop.set()

    @Slot()
    def stop_and_wait(self) -> None:
        """Ask the generator to end and wait for it."""
        self.stop.set()
        if not self.wait(STOP_TIMEOUT_MS):
            logger.warning("a worker did not stop within %d ms", STOP_TIMEOUT_MS)

    def run(self) -> None:
        """Exhaust the generator; `closing` runs its `finally` even when we leave early."""
        try:
            with closing(self._job(self.stop)) as items:
                for item in items:
                    self.items.put(item)
                    if self.stop.is_set():
                        break
        except Exception as error:  # every error must reach the user, not the console
            self.error = error


class GeneratorWorker(QObject):
    """Runs one job at a time; all signals arrive in the thread that made the worker.

    A job is a function that takes a `threading.Event` (set when it shall stop) and returns a
    generator.

    Signals
    -------
    yielded : list
        What the generator yielded since the last signal, in order; at most ten times a second.
    failed : str, str
        One sentence and details.
    finished
        Last signal of a run, however it ended; `state` says how.
    state_changed : State
    """

    yielded = Signal(list)
    failed = Signal(str, str)
    finished = Signal()
    state_changed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = State.IDLE
        self._thread: _Thread | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(DRAIN_INTERVAL_MS)
        self._timer.timeout.connect(self._drain)

    @property
    def state(self) -> State:
        """Where the current or last run stands."""
        return self._state

    def start(self, job: Job) -> None:
        """Run a job; an error while one is running."""
        if self._state.busy:
            raise RuntimeError("a job is running; cancel it and wait for finished")
        thread = _Thread(job)
        thread.finished.connect(self._on_thread_finished)
        thread.finished.connect(thread.deleteLater)
        QCoreApplication.instance().aboutToQuit.connect(thread.stop_and_wait)
        # whichever half of this object goes first, Qt's or Python's
        self.destroyed.connect(thread.request_stop)
        weakref.finalize(self, thread.stop.set)
        self._thread = thread
        self._set_state(State.RUNNING)
        self._timer.start()
        thread.start()

    @Slot()
    def cancel(self) -> None:
        """Ask the job to stop; `finished` follows. What it yielded until then is delivered."""
        if self._state is State.RUNNING and self._thread is not None:
            self._set_state(State.CANCELLING)
            self._thread.request_stop()

    @Slot()
    def stop_and_wait(self) -> None:
        """Stop the job, wait for its thread and deliver what it yielded (closing time)."""
        if self._thread is not None:
            self.cancel()
            self._thread.stop_and_wait()
            self._settle(self._thread)

    @Slot()
    def _drain(self) -> None:
        items = []
        while self._thread is not None:
            try:
                items.append(self._thread.items.get_nowait())
            except Empty:
                break
        if items:
            self.yielded.emit(items)

    @Slot()
    def _on_thread_finished(self) -> None:
        thread = self._thread
        if thread is not None and thread.isFinished():  # else: an earlier thread's late signal
            self._settle(thread)

    def _settle(self, thread: _Thread) -> None:
        self._timer.stop()
        self._drain()
        self._thread = None
        if thread.error is not None:
            self._set_state(State.FAILED)
            logger.error("a worker failed", exc_info=thread.error)
            self.failed.emit(*describe(thread.error))
        else:
            self._set_state(State.CANCELLED if thread.stop.is_set() else State.DONE)
        self.finished.emit()

    def _set_state(self, state: State) -> None:
        self._state = state
        self.state_changed.emit(state)
