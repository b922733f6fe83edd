"""Watches a run for divergence."""

from __future__ import annotations

import math

MAX_BAD_STEPS = 20  # gradients in a row that are not finite
MEMORY = 0.98  # decay of the smoothed loss
WARM_STEPS = 100  # before them the loss falls so fast that nothing can be said
TOLERANCE = 5.0  # nats an emitter above the best smoothed loss: detection has been lost


class Guard:
    """Says when the loss or the gradient has left the path.

    A single odd batch is no divergence: its step is skipped if its gradient is not finite, and the
    loss is smoothed over about 50 steps.
    """

    def __init__(self) -> None:
        self._bad = 0
        self._seen = 0
        self._smooth = 0.0
        self._best = math.inf

    def diverged(self, loss: float, finite: bool) -> bool:
        """Whether the run diverged, after a step of this total loss and gradient."""
        if not (finite and math.isfinite(loss)):
            self._bad += 1
            return self._bad >= MAX_BAD_STEPS
        self._bad = 0
        self._seen += 1
        decay = min(MEMORY, 1 - 1 / self._seen)
        self._smooth = decay * self._smooth + (1 - decay) * loss
        if self._seen < WARM_STEPS:
            return False
        self._best = min(self._best, self._smooth)
        return self._smooth > self._best + TOLERANCE
