"""What a training reported so far, thinned for a plot and put into words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dilatedloc.evaluation import Evaluation
from napari_dilatedloc.gui.run import duration

if TYPE_CHECKING:
    from napari_dilatedloc.training.isolated import IsolatedAccuracy
    from napari_dilatedloc.training.step import TrainingStep

POINTS = 400
"""Most points of the loss curves; then neighbours are averaged."""
TOTAL = "total"

LossPoint = tuple[float, dict[str, float]]
"""Minutes and loss terms by name."""


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
    loss : float
        Mean loss on fixed batches.
    is_best : bool
        Whether that was the lowest so far, and the model kept.
    """

    step: int
    minutes: float
    evaluation: Evaluation
    isolated: IsolatedAccuracy | None
    loss: float
    is_best: bool


class TrainingLog:
    """Loss curves and checks of one run."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.last: TrainingStep | None = None
        self.notes: list[str] = []
        self._points: list[LossPoint] = []
        self._block = 1  # steps that one point stands for
        self._open: list[LossPoint] = []

    @property
    def minutes(self) -> list[float]:
        """Times of the loss curves."""
        return [minutes for minutes, _ in self._points]

    @property
    def curves(self) -> dict[str, list[float]]:
        """Total loss and each of its terms at the `minutes`, at most `POINTS` of them."""
        if not self._points:
            return {}
        rows = [losses for _, losses in self._points]
        total = {TOTAL: [sum(losses.values()) for losses in rows]}
        return total | {name: [losses[name] for losses in rows] for name in rows[0]}

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
        return self.best.loss < self.before.loss

    @property
    def finishing(self) -> bool:
        """Whether all steps are done and only the last test is at work."""
        return self.last is not None and self.last.progress >= 1

    def add(self, step: TrainingStep) -> None:
        """Take what one step reports."""
        self.last = step
        minutes = step.seconds / 60
        if step.losses:
            self._add_losses(minutes, step.losses)
        if step.evaluation is not None:
            said = (step.evaluation, step.isolated, step.validation_loss, step.is_best)
            self.checks.append(Check(step.step, minutes, *said))
        if step.note:
            self.notes.append(step.note)

    def progress(self) -> str:
        """Say in one line where the run stands."""
        if self.last is None:
            return ""
        if self.finishing:
            return "The new model is calibrated and tested…"
        known = self._points or self._open
        if not known:
            return "Accuracy of the weights it starts from is measured."
        loss = sum(known[-1][1].values())
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

    def _add_losses(self, minutes: float, losses: dict[str, float]) -> None:
        if not all(math.isfinite(loss) for loss in losses.values()):
            return
        self._open.append((minutes, losses))
        if len(self._open) < self._block:
            return
        self._points.append(_mean(self._open))
        self._open = []
        if len(self._points) >= POINTS:
            pairs = zip(self._points[::2], self._points[1::2], strict=True)
            self._points = [_mean(pair) for pair in pairs]
            self._block *= 2


def _mean(points: Sequence[LossPoint]) -> LossPoint:
    """Means of the terms, at the time of the last point."""
    minutes, names = points[-1][0], points[0][1]
    return minutes, {
        name: sum(losses[name] for _, losses in points) / len(points) for name in names
    }


def _arrows(values: Iterable[float]) -> str:
    return " → ".join(_number(value) for value in values)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
