"""What a training reported so far, thinned for a plot and put into words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dilatedloc.evaluation import Evaluation
from napari_dilatedloc.gui.run import duration

if TYPE_CHECKING:
    from napari_dilatedloc.training.isolated import IsolatedAccuracy
    from napari_dilatedloc.training.step import TrainingStep

POINTS = 400
"""Most points of the loss curve; then neighbours are averaged."""


@dataclass(frozen=True)
class Check:
    """One measurement of the accuracy.

    Attributes
    ----------
    step : int
        Steps done; 0 before any training.
    minutes : float
        Time spent.
    evaluation : Evaluation
        On simulated movies.
    isolated : IsolatedAccuracy or None
        Isolated molecules, per z.
    is_best : bool
        Whether this model was the best so far, and kept.
    """

    step: int
    minutes: float
    evaluation: Evaluation
    isolated: IsolatedAccuracy | None
    is_best: bool


class TrainingLog:
    """Loss curve and checks of one run."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.last: TrainingStep | None = None
        self.notes: list[str] = []
        self._minutes: list[float] = []
        self._loss: list[float] = []
        self._block = 1  # steps that one point stands for
        self._open: list[tuple[float, float]] = []

    @property
    def curve(self) -> tuple[list[float], list[float]]:
        """Minutes and total loss, at most `POINTS` of them."""
        return self._minutes, self._loss

    @property
    def before(self) -> Check | None:
        """Accuracy of the weights it began with."""
        return self.checks[0] if self.checks and self.checks[0].step == 0 else None

    @property
    def best(self) -> Check | None:
        """Accuracy of the model that is kept."""
        trained = [check for check in self.checks if check.step > 0]
        best = [check for check in trained if check.is_best]
        return (best or trained[:1] or [None])[-1]

    @property
    def gained(self) -> bool:
        """Whether the model kept is better than the weights it began with."""
        if self.before is None or self.best is None:
            return self.best is not None
        before, after = self.before.evaluation, self.best.evaluation
        return not after.efficiency_3d <= before.efficiency_3d

    @property
    def finishing(self) -> bool:
        """Whether all steps are done and only the last test is at work."""
        return self.last is not None and self.last.progress >= 1

    def add(self, step: TrainingStep) -> None:
        """Take what one step reports."""
        self.last = step
        minutes = step.seconds / 60
        if step.losses:
            self._add_loss(minutes, sum(step.losses.values()))
        if step.evaluation is not None:
            found = Check(step.step, minutes, step.evaluation, step.isolated, step.is_best)
            self.checks.append(found)
        if step.note:
            self.notes.append(step.note)

    def progress(self) -> str:
        """Say in one line where the run stands."""
        if self.last is None:
            return ""
        if self.finishing:
            return "The new model is calibrated and tested…"
        if not self._loss and not self._open:
            return "Accuracy of the weights it starts from is measured."
        loss = self._loss[-1] if self._loss else self._open[-1][1]
        return f"step {self.last.step:,} · loss {loss:.2f} · {duration(self.last.eta_s)} left"

    def accuracy(self, *, ended: bool = True) -> str:
        """Say the accuracy before and after in one line; empty before the first check."""
        checks = [check for check in (self.before, self.best) if check is not None]
        if not checks:
            return ""
        jaccard, lateral, axial = (
            _arrows(getattr(check.evaluation, name) for check in checks)
            for name in ("jaccard", "rmse_lateral_nm", "rmse_axial_nm")
        )
        said = f"Jaccard {jaccard}, lateral error {lateral} nm, axial error {axial} nm"
        isolated = [check.isolated for check in checks if check.isolated is not None]
        if isolated:
            of_lateral = _arrows(found.rmse_over_crlb_lateral for found in isolated)
            of_axial = _arrows(found.rmse_over_crlb_axial for found in isolated)
            said += f"; lone molecules: lateral {of_lateral}, axial {of_axial} × CRLB"
        after = "after" if ended else "so far"
        when = f" before → {after}" if len(checks) == 2 else " before" if self.before else ""
        return f"Accuracy{when}: {said}"

    def _add_loss(self, minutes: float, loss: float) -> None:
        if not math.isfinite(loss):
            return
        self._open.append((minutes, loss))
        if len(self._open) < self._block:
            return
        self._minutes.append(self._open[-1][0])
        self._loss.append(sum(value for _, value in self._open) / len(self._open))
        self._open = []
        if len(self._loss) >= POINTS:
            self._minutes = self._minutes[1::2]
            pairs = zip(self._loss[::2], self._loss[1::2], strict=True)
            self._loss = [(a + b) / 2 for a, b in pairs]
            self._block *= 2


def _arrows(values: Iterable[float]) -> str:
    return " → ".join(_number(value) for value in values)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
