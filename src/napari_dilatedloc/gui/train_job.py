"""The job behind 'Fine-tune': a training in a process of its own, followed from a thread.

torch is loaded in here only, for what the process tells.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread, Timer
from typing import IO, TYPE_CHECKING, Any

from napari_dilatedloc.config import TrainingConfig
from napari_dilatedloc.training.child import (
    COMMAND,
    GO_ON,
    HOLD,
    TrainingEnded,
    TrainingFailed,
    TrainingOrder,
    TrainingStarted,
)
from napari_dilatedloc.training.places import checkpoint_path

if TYPE_CHECKING:
    from napari_dilatedloc.psf.base import PSF
    from napari_dilatedloc.training.step import TrainingStep

GRACE_S = 15.0
"""How long a training may still be at a check of the accuracy when napari closes."""
TAIL = 2000
"""Characters kept of what a process that died had written."""

Process = subprocess.Popen[bytes]


class RemotePause:
    """Switch that holds a training in another process; cleared at first.

    `hasten` is for closing time: a training that was asked to stop ends soon, or is ended.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._paused = self._hasty = False
        self._process: Process | None = None
        self._timer: Timer | None = None

    @property
    def hasty(self) -> bool:
        """Whether nobody has the time to wait for it any more."""
        return self._hasty

    def is_set(self) -> bool:
        """Whether the run is held."""
        return self._paused

    def set(self) -> None:
        """Hold the run after the step at hand."""
        self._switch(paused=True)

    def clear(self) -> None:
        """Let the run go on."""
        self._switch(paused=False)

    def hasten(self) -> None:
        """End the process if it is still there in `GRACE_S` seconds."""
        with self._lock:
            self._hasty = True
            self._start_timer()

    @contextmanager
    def over(self, process: Process) -> Iterator[None]:
        """Rule over a process that listens."""
        with self._lock:
            self._process = process
            if self._paused:
                _say(process, HOLD)
            if self._hasty:
                self._start_timer()
        try:
            yield
        finally:
            with self._lock:
                self._process = None
                if self._timer is not None:
                    self._timer.cancel()

    def _switch(self, *, paused: bool) -> None:
        with self._lock:
            self._paused = paused
            if self._process is not None:
                _say(self._process, HOLD if paused else GO_ON)

    def _start_timer(self) -> None:
        if self._process is not None and self._timer is None:
            self._timer = Timer(GRACE_S, self._process.kill)
            self._timer.daemon = True
            self._timer.start()


def train_job(
    config: TrainingConfig,
    psf: PSF | None,
    out: Path,
    init: str,
    pause: RemotePause,
    stop: Event,
    *,
    resume: bool = False,
) -> Iterator[TrainingStarted | TrainingStep]:
    """Train, from the weights of `init` ("auto", a model or "none"); meant for a worker thread.

    The training has a process of its own, which ends with this generator and with napari. What was
    kept until then stays.

    Parameters
    ----------
    config : TrainingConfig
        Settings of a new run.
    psf : PSF or None
        Spots to simulate. A run that goes on has its own, unless it has kept no model yet.
    out : Path
        Model file to write.
    init : str
        Weights to start from.
    pause : RemotePause
        Holds the run.
    stop : threading.Event
        Ends it after the step at hand.
    resume : bool
        Go on with the run that was to write `out`, with its settings.

    Raises
    ------
    ValueError
        If it cannot begin or go on, in one sentence.
    OSError
        If the model file cannot be written, or the process died.
    """
    import matplotlib.figure  # noqa: F401  slow, and the plots will need it in the GUI thread

    _check_folder(out.parent)
    tensors = {} if psf is None else psf.tensors()
    order = TrainingOrder(
        config,
        None if psf is None else psf.config,
        {name: values.detach().cpu() for name, values in tensors.items()},
        out,
        init,
        resume,
    )
    with tempfile.TemporaryFile() as complaints, _training_process(complaints) as process:
        with suppress(BrokenPipeError):  # it died at once; what it told says more
            _input(process).write(order.to_bytes())
            _input(process).flush()
        with pause.over(process), _stopping(process, stop):
            try:
                yield from _reports(process, stop)
            except EOFError:
                if not pause.hasty:
                    raise _death(process.wait(), out, complaints) from None


def _reports(process: Process, stop: Event) -> Iterator[TrainingStarted | TrainingStep]:
    """What the process tells; after a stop only one thing more, the one that says most.

    A worker takes no more than that once it was stopped. EOFError if the process dies.
    """
    last: Any = None
    while not isinstance(report := _next_report(process), TrainingEnded):
        if isinstance(report, TrainingFailed):
            raise report.as_error()
        if not stop.is_set():
            yield report
        elif getattr(last, "evaluation", None) is None:
            last = report
    if last is not None:
        yield last


def _next_report(process: Process) -> Any:
    """Next thing told; a pickle, but of our own process, which nobody else can write to."""
    if process.stdout is None:
        raise EOFError
    try:
        return pickle.load(process.stdout)
    except pickle.UnpicklingError as error:  # it died while it told something
        raise EOFError from error


def _training_process(complaints: IO[bytes]) -> Process:
    """Start the process; what it writes to stderr goes into a file."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", COMMAND],  # -P: not what lies in the current folder
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _input(process: Process) -> IO[bytes]:
    if process.stdin is None:
        raise BrokenPipeError("the training process has no input")
    return process.stdin


def _say(process: Process, word: bytes) -> None:
    with suppress(OSError, ValueError):  # it is ending: broken, or closed on our side
        _input(process).write(word)
        _input(process).flush()


@contextmanager
def _stopping(process: Process, stop: Event) -> Iterator[None]:
    """End the process when `stop` is set, and at the end of the block in any case."""
    waiting = Thread(
        target=_end_input, args=(process, stop), name="dilatedloc-training", daemon=True
    )
    waiting.start()
    try:
        yield
    finally:
        asked = stop.is_set()
        stop.set()  # ends the thread that waits for it
        waiting.join()
        if not asked:
            stop.clear()
        if process.stdout is not None:
            process.stdout.close()  # else it might wait for somebody to read
        process.wait()


def _end_input(process: Process, stop: Event) -> None:
    stop.wait()
    with suppress(OSError):
        _input(process).close()


def _death(code: int, out: Path, complaints: IO[bytes]) -> ChildProcessError:
    """What there is to say of a process that died with `code`."""
    if code < 0:
        how = f"was ended by the system or by somebody ({signal.Signals(-code).name})"
    else:
        how = f"ended unexpectedly with code {code}"
    left = f"{out.name} holds the best model so far" if out.exists() else "there is no model yet"
    todo = "'Resume' goes on from the last check" if checkpoint_path(out).exists() else "train anew"
    error = ChildProcessError(f"the training process {how}; {left}; {todo}")
    complaints.seek(0)
    said = complaints.read().decode(errors="replace").strip()
    error.add_note(f"The training process wrote:\n{said[-TAIL:] or 'nothing'}")
    return error


def _check_folder(folder: Path) -> None:
    """Before minutes of training, not after."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"no file can be written in {folder}; choose another under 'Save as'")
