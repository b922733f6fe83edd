"""A strip of all colours with the numbers of its two ends."""

from __future__ import annotations

from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_dilatedloc.gui.colours import RAINBOW, Limits, said

HEIGHT = 12  # px


class _Strip(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(HEIGHT)
        self.setMinimumWidth(40)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the colours from left to right."""
        gradient = QLinearGradient(0, 0, self.width(), 0)
        for place, colour in zip(RAINBOW.controls, RAINBOW.colors, strict=True):
            gradient.setColorAt(float(place), QColor.fromRgbF(*(float(c) for c in colour)))
        painter = QPainter(self)
        painter.fillRect(self.rect(), gradient)
        painter.end()


class ColourBar(QWidget):
    """Legend for the colours of points."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.low, self.high = QLabel(), QLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.low)
        row.addWidget(_Strip(), 1)
        row.addWidget(self.high)

    def show_limits(self, what: str, limits: Limits, unit: str = "") -> None:
        """Name what the colours say, from where to where."""
        low, high = said(limits)
        self.low.setText(f"{what} {low}")
        self.high.setText(f"{high} {unit}".strip())
