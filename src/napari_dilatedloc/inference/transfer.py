"""How batches travel to a device and back, and when what happened there.

A lane hides whether a device computes while the host goes on (CUDA, in streams) or not (all
others). Copying, computing and reading out are three streams, so that the next frames arrive and
the last ones are read out while the network computes.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.network.decode import Decoded

WHOLE = ("frame", "row", "col")
"""Columns of `Decoded` that are whole numbers."""
REAL = tuple(field.name for field in fields(Decoded) if field.name not in WHOLE)
"""The others, in their order."""

Mark = float | torch.cuda.Event
"""A moment on the device; only the lane that gave it can read it."""


class Lane(Protocol):
    """The way to a device.

    Attributes
    ----------
    ahead : int
        Batches that should be under way when the oldest is waited for.
    """

    ahead: int

    def mark(self) -> Mark:
        """Moment behind all that was asked for in the current context."""
        ...

    def seconds(self, since: Mark, until: Mark) -> float:
        """Time between two moments, s; waits for the later one."""
        ...

    def wait(self, mark: Mark) -> None:
        """Return when that moment has come."""
        ...

    def copying(self) -> AbstractContextManager[object]:
        """Context in which frames are sent."""
        ...

    def computing(self, after: Mark) -> AbstractContextManager[object]:
        """Context in which the network runs, after a moment."""
        ...

    def reading(self, after: Mark) -> AbstractContextManager[object]:
        """Context in which results are read out, after a moment."""
        ...

    def give_back(self) -> None:
        """Return memory that is kept for reuse, before smaller pieces are tried."""
        ...


def lane_to(device: torch.device) -> Lane:
    """The lane to a device; all that was put on the device before has arrived."""
    return StreamLane(device) if device.type == "cuda" else PlainLane(device)


class PlainLane:
    """One thing after another: the CPU, and devices without streams of their own."""

    ahead = 0

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def mark(self) -> Mark:
        """Now, after what the device still has to do."""
        if self._device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()

    def seconds(self, since: Mark, until: Mark) -> float:
        """Difference of two times."""
        if isinstance(since, float) and isinstance(until, float):
            return until - since
        raise TypeError("marks of another lane")

    def wait(self, mark: Mark) -> None:
        """Nothing is left to wait for."""

    def copying(self) -> AbstractContextManager[object]:
        """Nothing to enter."""
        return nullcontext()

    def computing(self, after: Mark) -> AbstractContextManager[object]:
        """Nothing to enter."""
        return nullcontext()

    def reading(self, after: Mark) -> AbstractContextManager[object]:
        """Nothing to enter."""
        return nullcontext()

    def give_back(self) -> None:
        """Only MPS keeps memory."""
        if self._device.type == "mps":
            torch.mps.empty_cache()


class StreamLane:
    """CUDA: three streams, and events between them.

    What is made in one stream and used in another must be held until the result is on the host,
    or its memory is used again too early; `compute` holds it in the batch's record.
    """

    ahead = 1

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copy, self._compute, self._read = (torch.cuda.Stream(device) for _ in range(3))
        torch.cuda.synchronize(device)  # weights and maps went over in another stream

    def mark(self) -> Mark:
        """Event behind all that was asked for in the current stream."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, since: Mark, until: Mark) -> float:
        """Time between two events as the device counts it."""
        if isinstance(since, float) or isinstance(until, float):
            raise TypeError("marks of another lane")
        until.synchronize()
        return float(since.elapsed_time(until)) / 1000

    def wait(self, mark: Mark) -> None:
        """Block the host, not the device."""
        if not isinstance(mark, float):
            mark.synchronize()

    def copying(self) -> AbstractContextManager[object]:
        """The stream of copies to the device."""
        return torch.cuda.stream(self._copy)

    def computing(self, after: Mark) -> AbstractContextManager[object]:
        """The network's stream."""
        return self._behind(self._compute, after)

    def reading(self, after: Mark) -> AbstractContextManager[object]:
        """The stream of read-out and of copies to the host."""
        return self._behind(self._read, after)

    def give_back(self) -> None:
        """Free the blocks that torch keeps."""
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()

    @staticmethod
    def _behind(stream: torch.cuda.Stream, after: Mark) -> AbstractContextManager[object]:
        if not isinstance(after, float):
            stream.wait_event(after)
        return torch.cuda.stream(stream)


def host_buffer(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory on the host that frames are read into; pinned when they go to a CUDA device.

    Other memory is numpy's, which asks the system for large pages: the first use of 34 MB was
    measured to take a quarter of the time.
    """
    if device.type == "cuda":
        return torch.empty(shape, dtype=dtype, pin_memory=True)
    name = str(dtype).removeprefix("torch.")
    return torch.from_numpy(np.empty(shape, dtype=name))


def to_host(decoded: Decoded) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Columns `WHOLE` (3, K) and `REAL` (10, K) as numpy, brought over in two copies."""
    whole: Tensor = torch.stack([getattr(decoded, name) for name in WHOLE])
    real: Tensor = torch.stack([getattr(decoded, name) for name in REAL])
    return whole.cpu().numpy(), real.cpu().numpy()
