"""The best precision a PSF allows, as a small live plot."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Slot
from qtpy.QtWidgets import QDoubleSpinBox, QLabel, QVBoxLayout, QWidget

from napari_dilatedloc.gui.plot_theme import ThemedPlot
from napari_dilatedloc.gui.psf_job import Look, bounds
from napari_dilatedloc.gui.style import field_label, make_form

PLOT_HEIGHT = 190
_OUTLIER = 5.0
"""Bounds of so many medians are left out of sight: near focus z can be unknowable."""


class CrlbView(QWidget):
    """Photons, background and the bounds of x, y and z over z."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look: Look | None = None
        self.plot = ThemedPlot()
        self.photons = _box(5000.0, 1_000_000.0, 500.0)
        self.photons.setToolTip("Photons of one molecule in one frame that reach the camera.")
        self.background = _box(50.0, 100_000.0, 5.0)
        self.background.setToolTip("Background, photons per pixel in one frame.")
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        fields = QWidget()
        form = make_form(fields)
        form.addRow(field_label("Photons"), self.photons)
        form.addRow(field_label("Background"), self.background)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (fields, self.plot, self.summary):
            layout.addWidget(widget)
        self.setToolTip(
            "Cramer-Rao bound: the smallest standard deviation with which any method can localize "
            "one molecule, nm, over its z, for shot noise alone (no camera noise)."
        )
        self.photons.valueChanged.connect(self._draw)
        self.background.valueChanged.connect(self._draw)

    @property
    def look(self) -> Look | None:
        """The PSF on show."""
        return self._look

    @property
    def lines(self) -> list[Any]:
        """Curves on show, as matplotlib knows them."""
        return [] if self.plot.figure is None else list(self.plot.figure.axes[0].lines)

    def show_look(self, look: Look) -> None:
        """Draw the curve of a PSF."""
        self._look = look
        self._draw()

    def say(self, sentence: str) -> None:
        """Say why there is no curve yet."""
        self.summary.setText(sentence)

    @Slot()
    def _draw(self) -> None:
        if self._look is None:
            return
        from napari_dilatedloc.psf.plots import plot_crlb

        found = bounds(self._look, self.photons.value(), self.background.value())
        axis = self.plot.clear(PLOT_HEIGHT)
        plot_crlb(axis, found)
        _fit_in(axis, found)
        self.plot.show_drawn()
        self.summary.setText(_said(found))


def _fit_in(axis: Any, found: Any) -> None:
    """Small, and without the part where nothing can be known."""
    values = np.concatenate([found.x_nm, found.y_nm, found.z_sigma_nm])
    values = values[np.isfinite(values)]
    if values.size:
        axis.set_ylim(0, 1.25 * min(values.max(), _OUTLIER * np.median(values)))
    axis.set_xlabel("z (nm)", fontsize=8)
    axis.set_ylabel("best precision (nm)", fontsize=8)
    axis.tick_params(labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.legend(fontsize=8, ncols=3, loc="upper center", frameon=False, handlelength=1)


def _said(found: Any) -> str:
    """Mean bounds in words."""
    parts = []
    for name, values in (("x", found.x_nm), ("y", found.y_nm), ("z", found.z_sigma_nm)):
        known = values[np.isfinite(values)]
        parts.append(f"{name} {known.mean():.3g}" if known.size else f"{name} unknown")
    return f"Best precision (CRLB), mean over z: {', '.join(parts)} nm"


def _box(value: float, most: float, step: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(1.0 if step > 10 else 0.1, most)
    box.setDecimals(0 if step > 10 else 1)
    box.setSingleStep(step)
    box.setValue(value)
    return box
