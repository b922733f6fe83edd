"""Engines that are made for a shape: a short batch is filled up instead of making another one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Run = Callable[[Tensor], Tensor]


class LongestSeen:
    """Runs shorter batches in the shape of the longest of their frame size.

    Parameters
    ----------
    run : callable
        (1, T, H, W) to (T - window + 1, C, H, W).
    window : int
        Frames that one output frame sees.
    """

    def __init__(self, run: Run, window: int) -> None:
        self._run = run
        self._window = window
        self._longest: dict[tuple[int, int], int] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Same as the run that is wrapped; frames that were added are cut off again."""
        frames, height, width = x.shape[1:]
        longest = max(frames, self._longest.get((height, width), 0))
        missing = longest - frames
        if missing:
            x = torch.cat([x, x[:, -1:].expand(-1, missing, -1, -1)], 1)
        try:
            raw = self._run(x)
        except (RuntimeError, MemoryError):
            # Memory may have run out: the caller then comes with fewer frames, not to be filled up.
            self._longest.pop((height, width), None)
            raise
        self._longest[height, width] = longest
        return raw[: frames - self._window + 1] if missing else raw
