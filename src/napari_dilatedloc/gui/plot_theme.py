"""matplotlib figures in the colours of napari's theme."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

COLOURS = {"dark": ("#23242b", "#d0d4da"), "light": ("#ebe7e6", "#3b3a39")}
"""(background, foreground) by the kind of napari's theme, as napari has them."""


def recolour(figure: Any, kind: str) -> None:
    """Paint all axes of a figure: background, texts, ticks, spines and grid; not the curves.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    kind : {"dark", "light"}
    """
    background, foreground = COLOURS[kind]
    figure.set_facecolor(background)
    for axis in figure.axes:
        axis.set_facecolor(background)
        axis.tick_params(colors=foreground)
        axis.grid(color=foreground, alpha=0.12)
        for spine in axis.spines.values():
            spine.set_color(foreground)
        texts = [axis.title, axis._left_title, axis.xaxis.label, axis.yaxis.label]
        legend = axis.get_legend()
        for text in [*texts, *([] if legend is None else legend.get_texts())]:
            text.set_color(foreground)


class ThemedPlot(QWidget):
    """One small plot in the dock; there is none before the first drawing.

    matplotlib is slow to load, so it is loaded then.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.figure: Any = None
        self._canvas: Any = None
        self._theme = "dark"
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.hide()

    def set_theme(self, kind: str) -> None:
        """Take the colours of a dark or a light theme."""
        self._theme = kind
        if self.figure is not None:
            self._paint()

    def clear(self, height: int) -> Any:
        """Empty axes, (re)made, of a plot so many px high."""
        if self.figure is None:
            self.make_figure(height, layout="constrained")
        self.figure.clear()
        return self.figure.subplots()

    def make_figure(self, height: int, layout: str | None = None) -> None:
        """Make the figure, so many px high, on the first drawing."""
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        self.figure = Figure(layout=layout)
        self._canvas = FigureCanvasQTAgg(self.figure)
        self._canvas.setFixedHeight(height)
        self._canvas.setMinimumWidth(100)
        # or the wheel would stop scrolling the dock here
        self._canvas.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._column.addWidget(self._canvas)

    def show_drawn(self) -> None:
        """Show what was drawn, in the colours of the theme."""
        self._paint()
        self.show()

    def _paint(self) -> None:
        recolour(self.figure, self._theme)
        self._canvas.draw_idle()
