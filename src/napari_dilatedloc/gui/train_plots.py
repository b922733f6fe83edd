"""Live plots of a training: loss, Jaccard, and errors beside the bound over z."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dilatedloc.gui.crlb_view import BACKGROUND, FOREGROUND
from napari_dilatedloc.gui.training_log import Check, TrainingLog

HEIGHT = 300
MOST_RATIO = 5.0
"""Errors of so many bounds are cut off, so that the rest can be told apart."""
COLOURS = {"lateral": "tab:blue", "axial": "tab:red"}


class TrainPlots(QWidget):
    """Three plots of a `TrainingLog`; empty and hidden before the first drawing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.figure: Any = None
        self._canvas: Any = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.setToolTip(
            "Loss: what the training lowers. Jaccard: share of found among found, missed and "
            "false ones. Error / CRLB: errors of molecules far from others relative to the "
            "smallest that any method can reach (1), over z."
        )
        self.hide()

    def draw(self, log: TrainingLog) -> None:
        """Draw what there is."""
        if self._canvas is None:
            self._make_canvas()
        self.figure.clear()
        grid = self.figure.add_gridspec(2, 2)
        _draw_loss(self.figure.add_subplot(grid[0, 0]), log)
        _draw_jaccard(self.figure.add_subplot(grid[0, 1]), log)
        _draw_ratios(self.figure.add_subplot(grid[1, :]), log)
        self._canvas.draw_idle()
        self.show()

    def _make_canvas(self) -> None:
        """On the first drawing, since matplotlib is slow to load; `train_job` began with it."""
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        self.figure = Figure(facecolor=BACKGROUND, layout="constrained")
        self._canvas = FigureCanvasQTAgg(self.figure)
        self._canvas.setFixedHeight(HEIGHT)
        self._canvas.setMinimumWidth(100)
        # or the wheel would stop scrolling the dock here
        self._canvas.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._column.addWidget(self._canvas)


def _draw_loss(axis: Any, log: TrainingLog) -> None:
    minutes, loss = log.curve
    axis.plot(minutes, loss, color="tab:blue", linewidth=1)
    if len(loss) > 20:  # the first steps would hide all that follows
        low, high = np.percentile(loss, [0, 98])
        axis.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low) + 1e-6)
    _whole_run(axis, log)
    _style(axis, "Loss", "minutes")


def _draw_jaccard(axis: Any, log: TrainingLog) -> None:
    checks = log.checks
    axis.plot(
        [check.minutes for check in checks],
        [check.evaluation.jaccard for check in checks],
        "o-",
        color="tab:green",
        markersize=3,
        linewidth=1,
    )
    axis.margins(y=0.2)
    _whole_run(axis, log)
    _style(axis, "Jaccard", "minutes")


def _whole_run(axis: Any, log: TrainingLog) -> None:
    """Leave room for what is to come."""
    if log.last is not None and log.last.progress > 0:
        total = (log.last.seconds + log.last.eta_s) / 60
        axis.set_xlim(-0.03 * total, 1.03 * total)


def _draw_ratios(axis: Any, log: TrainingLog) -> None:
    """Errors over their bounds: dashed before, solid for the model that is kept."""
    reached = [1.0]
    for check, style in ((log.before, "--"), (log.best, "-")):
        for name, z_nm, ratio in ratios(check):
            label = name if check is log.best or log.best is None else None
            axis.plot(z_nm, ratio, style, color=COLOURS[name], linewidth=1.2, label=label)
            reached.append(float(np.nanmax(ratio, initial=1.0)))
    axis.axhline(1.0, color=FOREGROUND, linewidth=0.8, linestyle=":")
    axis.set_ylim(0, min(1.1 * max(reached), MOST_RATIO))
    if len(reached) > 1:
        place = {"loc": "lower right", "bbox_to_anchor": (1.02, 0.96)}  # beside the title
        legend = axis.legend(fontsize=8, ncols=2, frameon=False, handlelength=1, **place)
        for text in legend.get_texts():
            text.set_color(FOREGROUND)
    before = " (dashed: before)" if log.before is not None and log.best is not None else ""
    _style(axis, f"Error / CRLB{before}", "z (nm)")


def ratios(check: Check | None) -> list[tuple[str, Any, Any]]:
    """Name, z in nm and error over bound, (P,) each; nothing where nothing was measured."""
    if check is None or check.isolated is None:
        return []
    found = check.isolated
    lateral = np.hypot(found.rmse_x_nm, found.rmse_y_nm) / np.hypot(
        found.crlb_x_nm, found.crlb_y_nm
    )
    axial = found.rmse_z_nm / found.crlb_z_nm
    return [("lateral", found.z_nm, lateral), ("axial", found.z_nm, axial)]


def _style(axis: Any, title: str, x: str) -> None:
    axis.set_title(title, fontsize=8, color=FOREGROUND, loc="left")
    axis.set_xlabel(x, fontsize=8, color=FOREGROUND)
    axis.set_facecolor(BACKGROUND)
    axis.tick_params(labelsize=7, colors=FOREGROUND)
    axis.grid(color=FOREGROUND, alpha=0.12)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axis.spines[side].set_color(FOREGROUND)
