"""matplotlib figures in the colours of napari's theme."""

from __future__ import annotations

from typing import Any

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
