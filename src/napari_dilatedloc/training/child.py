"""A training in a process of its own, so that the one that asked for it stays fluid.

The order comes in on stdin, what happens goes out on stdout, both as pickles of this package's own
classes. After the order each byte on stdin is a word: hold, or go on. Its end means stop, so a run
outlives nobody: when the process that started it is gone, however, it saves its state and ends.

It is started by a command rather than by `multiprocessing`, which would first run the main script
of its parent again: napari, or a script of the user that opens a second one.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, BinaryIO

from napari_dilatedloc.config import PSFConfig, TrainingConfig
from napari_dilatedloc.cores import cores_beside_napari
from napari_dilatedloc.training.pause import Pause
from napari_dilatedloc.training.places import checkpoint_path

if TYPE_CHECKING:
    from torch import Tensor

    from napari_dilatedloc.psf.base import PSF
    from napari_dilatedloc.training.step import TrainingStep

COMMAND = "from napari_dilatedloc.training.child import main; main()"
"""What the process runs; it must not be ``-m``, whose classes would be those of `__main__`."""
HOLD, GO_ON = b"h", b"g"
NICENESS = 5
REPORT_INTERVAL_S = 0.2
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class TrainingOrder:
    """What to train.

    Attributes
    ----------
    config : TrainingConfig
        Settings; a resumed run has its own.
    psf : PSFConfig or None
        Spots to simulate; a resumed run that kept a model has its own.
    psf_tensors : dict of Tensor
        What rebuilds the PSF beside `psf`.
    out : Path
        Model file to write.
    init : str
        Weights to start from: "auto", a model's name or file, or "none".
    resume : bool
        Go on from the state beside `out`, with its settings.
    """

    config: TrainingConfig
    psf: PSFConfig | None
    psf_tensors: dict[str, Tensor]
    out: Path
    init: str = "auto"
    resume: bool = False

    def to_bytes(self) -> bytes:
        """Pickle with its length before it."""
        order = pickle.dumps(self)
        return len(order).to_bytes(_LENGTH_BYTES, "big") + order


@dataclass(frozen=True)
class TrainingStarted:
    """First thing a training tells.

    Attributes
    ----------
    start : str or None
        Model whose weights it begins with.
    config : TrainingConfig
        Settings as they are used.
    resumed : bool
        Whether it goes on where it was stopped.
    """

    start: str | None
    config: TrainingConfig
    resumed: bool = False


@dataclass(frozen=True)
class TrainingFailed:
    """An error that ended the run.

    Attributes
    ----------
    kind : str
        "ValueError" and "OSError" are sentences for users; else the name of the error.
    message : str
        What it says.
    trace : str
        Where it was raised.
    """

    kind: str
    message: str
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> TrainingFailed:
        """What there is to tell of an error."""
        users: tuple[type[Exception], ...] = (ValueError, OSError)
        kind = next((one for one in users if isinstance(error, one)), type(error)).__name__
        return cls(kind, str(error), "".join(traceback.format_exception(error)))

    def as_error(self) -> Exception:
        """Error to raise in the process that asked for the training."""
        users: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError}
        if self.kind in users:
            error = users[self.kind](self.message)
        else:
            error = RuntimeError(f"{self.kind}: {self.message}")
        error.add_note(f"In the training process:\n{self.trace}")
        return error


@dataclass(frozen=True)
class TrainingEnded:
    """Last thing a training tells, unless it fails or dies."""


def run(
    order: TrainingOrder, stop: Event, pause: Pause
) -> Generator[TrainingStarted | TrainingStep, None, None]:
    """Choose the start and train, in this very thread.

    Raises
    ------
    ValueError
        If it cannot begin or go on, in one sentence.
    OSError
        If the model file cannot be written.
    """
    import torch

    from napari_dilatedloc.training.start import choose_start
    from napari_dilatedloc.training.state import read_settings
    from napari_dilatedloc.training.trainer import TrainingError, train

    torch.set_flush_denormal(True)  # tiny gradients make CPU convolutions many times slower
    try:
        config, out, start = order.config, order.out, None
        psf = _psf(order)
        if order.resume:
            config = read_settings(checkpoint_path(out))
        else:
            start = choose_start(order.init, psf, config.network)
            config = config if start is None else config.for_fine_tuning()
        yield TrainingStarted(None if start is None else start.name, config, order.resume)
        if not stop.is_set():
            steps = train(config, psf, out, resume=order.resume, init=start, stop=stop, pause=pause)
            yield from thinned(steps)
    except TrainingError as error:  # its message is for users, not a fault of ours
        raise ValueError(str(error)) from error
    finally:
        torch.set_flush_denormal(False)


def thinned(
    steps: Generator[TrainingStep, None, None],
    interval_s: float = REPORT_INTERVAL_S,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[TrainingStep]:
    """Steps at most so often, but each that says more than its loss, and the last.

    Loss terms are means over the steps since the one before, so none is forgotten.
    """
    waiting: list[TrainingStep] = []
    told = float("-inf")
    with closing(steps):
        for step in steps:
            waiting.append(step)
            says_more = step.evaluation is not None or step.final is not None or bool(step.note)
            if says_more or clock() - told >= interval_s:
                yield _merged(waiting)
                waiting, told = [], clock()
        if waiting:
            yield _merged(waiting)


def main() -> None:
    """Train as stdin says; the process ends with the run."""
    with suppress(AttributeError, ValueError, OSError):  # Ctrl-C is for the process that asked
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the reports
    logging.basicConfig()
    stop, pause = Event(), Pause()
    # bytes first, torch afterwards: it can be stopped while torch is loaded
    length = int.from_bytes(orders.read(_LENGTH_BYTES), "big")
    order_bytes = orders.read(length)
    listener = Thread(target=_listen, args=(orders, stop, pause), name="orders", daemon=True)
    listener.start()
    with suppress(BrokenPipeError):  # nobody is there to be told; the state is saved
        _work(reports, order_bytes, stop, pause)
        listener.join()  # who asked closes the way of the orders too


def _work(reports: BinaryIO, order_bytes: bytes, stop: Event, pause: Pause) -> None:
    try:
        _give_way()
        with closing(run(pickle.loads(order_bytes), stop, pause)) as items:
            for item in items:
                _tell(reports, item)
    except BrokenPipeError:
        raise
    except Exception as error:  # raised again where the training was asked for
        _tell(reports, TrainingFailed.of(error))
    else:
        _tell(reports, TrainingEnded())


def _tell(reports: BinaryIO, report: Any) -> None:
    reports.write(pickle.dumps(report))
    reports.flush()


def _listen(orders: BinaryIO, stop: Event, pause: Pause) -> None:
    while word := orders.read(1):
        if word == HOLD:
            pause.set()
        else:
            pause.clear()
    stop.set()


def _give_way() -> None:
    """Leave napari a core, if there are more than two, and the first turn at the others."""
    import torch

    if hasattr(os, "nice"):
        os.nice(NICENESS)
    torch.set_num_threads(cores_beside_napari())


def _psf(order: TrainingOrder) -> PSF:
    """PSF of the order; a run that goes on has its own in the model that it kept."""
    from napari_dilatedloc.network.checkpoint import load_model
    from napari_dilatedloc.psf.build import build_psf

    if order.resume and order.out.exists():
        kept = load_model(order.out)
        return build_psf(kept.info.psf, kept.psf_tensors)
    if order.psf is None:
        raise ValueError("a PSF is needed to train; choose one in the step 'PSF'")
    return build_psf(order.psf, order.psf_tensors)


def _merged(steps: list[TrainingStep]) -> TrainingStep:
    """Last of some steps, with the mean of their losses."""
    last = steps[-1]
    known = [step.losses for step in steps if step.losses]
    if len(known) < 2 or not last.losses:
        return last
    means = {name: sum(one[name] for one in known) / len(known) for name in last.losses}
    return replace(last, losses=means)
