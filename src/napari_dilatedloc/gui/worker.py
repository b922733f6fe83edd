"""Any generator of the core in a QThread: progress, stop and errors as Qt signals.

The thread puts what the generator yields into a queue; a timer of the GUI thread empties it ten
times a second, and in slices where its items take long to show. So no signal crosses threads but
Qt's own ``finished``, and a fast generator cannot flood the event loop.
"""

from __future__ import annotations

import logging
import platform
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
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
SLICE_MS = 12.0
"""What is handed over at a time should take so long at most; the event loop answers in between."""
GROWTH = 2
"""The next slice is no more times larger than the one before: the first items may be cheap ones."""


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
        What the generator yielded since the last signal, in order: all of it if that is soon taken,
        at most ten times a second; else parts of it, as many as are taken in a moment.
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
        self._ended = False  # whether that thread has; Qt deletes it then
        self._slice = 1.0  # items to hand over next
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
        self._thread, self._ended, self._slice = thread, False, 1.0
        self._set_state(State.RUNNING)
        self._timer.start(DRAIN_INTERVAL_MS)
        thread.start()

    @Slot()
    def cancel(self) -> None:
        """Ask the job to stop; `finished` follows. What it yielded until then is delivered."""
        if self._state is State.RUNNING and self._thread is not None:
            self._set_state(State.CANCELLING)
            self._thread.stop.set()

    @Slot()
    def stop_and_wait(self) -> None:
        """Stop the job, wait for its thread and deliver what it yielded (closing time)."""
        if self._thread is not None:
            self.cancel()
            if not self._ended:
                self._thread.stop_and_wait()
            self._settle(self._thread)

    @Slot()
    def _drain(self) -> None:
        """Hand over what has come, or a part of it; once the thread has ended, conclude."""
        thread = self._thread
        if thread is None:
            return
        items = self._taken(thread, int(self._slice))
        began = time.perf_counter()
        if items:
            self.yielded.emit(items)
        if self._thread is not thread:  # who took them stopped it
            return
        spent_ms = 1000 * (time.perf_counter() - began)
        self._slice = _next_slice(self._slice, len(items), spent_ms)
        if not thread.items.empty():
            self._timer.start(0)
        elif self._ended:
            self._settle(thread)
        else:
            self._timer.start(DRAIN_INTERVAL_MS)

    @Slot()
    def _on_thread_finished(self) -> None:
        thread = self._thread
        if thread is not None and not self._ended and thread.isFinished():
            self._ended = True  # else it was an earlier thread's late signal
            self._drain()

    def _settle(self, thread: _Thread) -> None:
        """Hand over all that is left, and end."""
        self._timer.stop()
        items = self._taken(thread, thread.items.qsize())
        if items:
            self.yielded.emit(items)
        self._thread = None
        if thread.error is not None:
            self._set_state(State.FAILED)
            logger.error("a worker failed", exc_info=thread.error)
            self.failed.emit(*describe(thread.error))
        else:
            self._set_state(State.CANCELLED if thread.stop.is_set() else State.DONE)
        self.finished.emit()

    def _taken(self, thread: _Thread, most: int) -> list[Any]:
        items: list[Any] = []
        with suppress(Empty):
            while len(items) < most:
                items.append(thread.items.get_nowait())
        return items

    def _set_state(self, state: State) -> None:
        self._state = state
        self.state_changed.emit(state)


def _next_slice(before: float, taken: int, spent_ms: float) -> float:
    """How many items to hand over next, from how long some took."""
    if not taken:
        return before
    fitting = taken * SLICE_MS / max(spent_ms, 1e-3)
    return float(min(max(1.0, fitting), GROWTH * before, 1e6))
