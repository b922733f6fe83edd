"""Live plots of a training: loss, Jaccard, and errors beside the bound over z."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QWidget

from napari_dilatedloc.gui.plot_theme import ThemedPlot
from napari_dilatedloc.gui.training_log import TOTAL, Check, TrainingLog

HEIGHT = 400
MOST_RATIO = 5.0
"""Errors of so many bounds are cut off, so that the rest can be told apart."""
LEAST_SPAN = 0.05
"""Of the axis of the Jaccard, so that chance does not look like a trend."""
SMOOTHED = 0.05
"""Part of the loss curve that its mean runs over."""
COLOURS = {"lateral": "tab:blue", "axial": "tab:red"}
TERMS = {
    TOTAL: ("total", "tab:blue"),
    "localization": ("position", "tab:orange"),
    "cross_entropy": ("presence", "tab:purple"),
    "count": ("count", "tab:green"),
    "background": ("background", "tab:gray"),
}
"""Word and colour of each loss term (`training.loss.loss_terms`)."""
MARGINS = {"left": 0.1, "right": 0.98, "bottom": 0.09, "top": 0.95, "wspace": 0.05, "hspace": 0.7}
LOSS_WIDTHS = (1.0, 0.55)
"""Of the loss and of its legend, which is beside it."""


class TrainPlots(ThemedPlot):
    """Three plots of a `TrainingLog`; hidden before the first drawing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: dict[str, Any] = {}
        self.setToolTip(
            "Loss: what the training lowers, and the terms that it is the sum of, each above the "
            "lowest that it reached; the figures are the latest means. Position: photons, x, y, z "
            "and their error bars. Presence: a molecule in a pixel or none. Count: molecules in a "
            "frame. Jaccard: share of found among found, missed and "
            "false ones. Error / CRLB: errors of molecules far from others relative to the "
            "smallest that any method can reach (1), over z."
        )

    def draw(self, log: TrainingLog) -> None:
        """Draw what there is."""
        if self.figure is None:
            self._make_axes()
        loss, jaccard, errors = self.figure.axes
        self._draw_loss(loss, log)
        self._draw_jaccard(jaccard, log)
        self._draw_ratios(errors, log)
        self.show_drawn()

    def _make_axes(self) -> None:
        """Everything is made once and moved later, which is several times faster."""
        self.make_figure(HEIGHT)
        grid = self.figure.add_gridspec(3, 2, width_ratios=LOSS_WIDTHS, **MARGINS)
        loss, jaccard, errors = (
            self.figure.add_subplot(place) for place in (grid[0, 0], grid[1, :], grid[2, :])
        )
        _style(loss, "Loss above its lowest", "minutes")
        _style(jaccard, "Jaccard", "minutes")
        _style(errors, "Error / CRLB", "z (nm)")
        self._lines = {
            name: loss.plot([], [], color=colour, linewidth=1.2)[0]
            for name, (_, colour) in TERMS.items()
        } | {
            "jaccard": jaccard.plot([], [], "o-", color="tab:green", markersize=3, linewidth=1)[0],
        }
        for when, style in (("before", "--"), ("best", "-")):
            for name, colour in COLOURS.items():
                (line,) = errors.plot([], [], style, color=colour, linewidth=1.2, label=name)
                self._lines[f"{name} {when}"] = line
        errors.axhline(1.0, color="gray", linewidth=0.8, linestyle=":")
        _add_legend(errors, [self._lines[f"{name} best"] for name in COLOURS])

    def _draw_loss(self, axis: Any, log: TrainingLog) -> None:
        """Running means above the lowest of them, so that terms of any size can be compared."""
        minutes, highest = log.minutes, 1e-3
        means = {name: running_mean(losses) for name, losses in log.curves.items()}
        for name, mean in means.items():
            line = self._lines[name]
            line.set_data(minutes, mean - mean.min())
            line.set_label(f"{TERMS[name][0]} {mean[-1]:.2f}")
            # the first steps would hide all that follows
            highest = max(highest, float(np.percentile(mean - mean.min(), 98)))
        axis.set_ylim(-0.05 * highest, 1.05 * highest)
        if means:
            _add_loss_legend(axis, [self._lines[name] for name in means])
        _whole_run(axis, log)

    def _draw_jaccard(self, axis: Any, log: TrainingLog) -> None:
        reached = [check.evaluation.jaccard for check in log.checks]
        self._lines["jaccard"].set_data([check.minutes for check in log.checks], reached)
        if reached:
            middle = (min(reached) + max(reached)) / 2
            half = max(0.6 * (max(reached) - min(reached)), LEAST_SPAN / 2)
            axis.set_ylim(middle - half, middle + half)
        _whole_run(axis, log)

    def _draw_ratios(self, axis: Any, log: TrainingLog) -> None:
        """Errors over their bounds: dashed before, solid for the model that is kept."""
        highest = 1.0
        for when, check in (("before", log.before), ("best", log.best)):
            for name in COLOURS:
                self._lines[f"{name} {when}"].set_data([], [])
            for name, z_nm, ratio in ratios(check):
                self._lines[f"{name} {when}"].set_data(z_nm, ratio)
                highest = max(highest, float(np.nanmax(ratio, initial=1.0)))
                axis.set_xlim(z_nm.min(), z_nm.max())
        axis.set_ylim(0, min(1.1 * highest, MOST_RATIO))
        both = log.before is not None and log.best is not None
        title = "Error / CRLB (- - before)" if both else "Error / CRLB"
        axis.set_title(title, fontsize=8, loc="left")


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


def running_mean(values: list[float]) -> Any:
    """Mean over a part of the curve on both sides of each point, less at its ends."""
    half = round(SMOOTHED * len(values))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


def _whole_run(axis: Any, log: TrainingLog) -> None:
    """Leave room for what is to come."""
    if log.last is not None and log.last.progress > 0:
        total = (log.last.seconds + log.last.eta_s) / 60
        axis.set_xlim(-0.03 * total, 1.03 * total)


def _add_loss_legend(axis: Any, lines: list[Any]) -> None:
    axis.legend(
        handles=lines,
        fontsize=8,
        frameon=False,
        handlelength=1,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.15),
        borderaxespad=0,
    )


def _add_legend(axis: Any, lines: list[Any]) -> None:
    axis.legend(
        handles=lines,
        fontsize=8,
        ncols=2,
        columnspacing=1,
        frameon=False,
        handlelength=1,
        loc="lower right",
        bbox_to_anchor=(1.02, 0.96),  # beside the title
    )


def _style(axis: Any, title: str, x: str) -> None:
    axis.set_title(title, fontsize=8, loc="left")
    axis.set_xlabel(x, fontsize=8, labelpad=1)
    axis.tick_params(labelsize=7)
    axis.locator_params(nbins=5)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
