"""Histogram of one column with two ends that are dragged."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

HEIGHT = 40  # px
GRASP = 6  # px from an end within which it is taken
ALL, KEPT, END = QColor(128, 128, 128, 110), QColor("#4a7be0"), QColor("#e8a020")
OUTSIDE = QColor(128, 128, 128, 60)

Ends = tuple[float | None, float | None]


class RangeHistogram(QWidget):
    """Bars of all values and, before them, of those that are kept; outside the range it is shaded.

    An end at the border of the histogram is open: it also keeps what lies beyond.

    Signals
    -------
    dragged : object, object
        Lowest and highest value kept; None: open.
    """

    dragged = Signal(object, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._edges = np.array([0.0, 1.0])
        self._counts = self._kept = np.zeros(1)
        self._ends: Ends = (None, None)
        self._held: int | None = None  # end that the mouse has
        self.setFixedHeight(HEIGHT)
        self.setMinimumWidth(60)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)

    @property
    def ends(self) -> Ends:
        """Lowest and highest value kept; None: open."""
        return self._ends

    def show_counts(self, edges: Any, counts: Any, kept: Any) -> None:
        """Exchange the bars: borders (N + 1,), and counts (N,) of all and of those kept."""
        self._edges, self._counts, self._kept = edges, counts, kept
        self.update()

    def set_ends(self, low: float | None, high: float | None) -> None:
        """Show another range."""
        self._ends = (low, high)
        self.update()

    def x_of(self, value: float) -> float:
        """Where a value lies, px from the left."""
        first, last = self._edges[0], self._edges[-1]
        return float(np.clip((value - first) / (last - first), 0, 1)) * (self.width() - 1)

    def value_at(self, x: float) -> float:
        """The value at so many px from the left."""
        share = min(max(x / max(self.width() - 1, 1), 0.0), 1.0)
        return float(self._edges[0] + share * (self._edges[-1] - self._edges[0]))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw it."""
        painter = QPainter(self)
        top = max(1.0, float(self._counts.max(initial=0)))
        for counts, colour in ((self._counts, ALL), (self._kept, KEPT)):
            self._draw_bars(painter, np.sqrt(np.asarray(counts) / top), colour)
        left, right = self._places()
        height, width = float(self.height()), float(self.width())
        painter.fillRect(QRectF(0, 0, left, height), OUTSIDE)
        painter.fillRect(QRectF(right, 0, width - right, height), OUTSIDE)
        for place in (left, right):
            painter.fillRect(QRectF(min(max(place - 1, 0), width - 2), 0, 2, height), END)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the nearer end."""
        if event.button() == Qt.MouseButton.LeftButton:
            left, right = self._places()
            x = event.position().x()
            self._held = 0 if abs(x - left) <= abs(x - right) else 1
            self._drag(x)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the end that is held; say where one could be taken."""
        x = event.position().x()
        if self._held is not None:
            self._drag(x)
        near = min(abs(x - place) for place in self._places()) <= GRASP
        shape = Qt.CursorShape.SizeHorCursor if near else Qt.CursorShape.ArrowCursor
        self.setCursor(shape)

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Let the end go."""
        self._held = None

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:
        """Keep everything again."""
        self._held = None
        self.set_ends(None, None)
        self.dragged.emit(None, None)

    def _places(self) -> tuple[float, float]:
        low, high = self._ends
        return (
            0.0 if low is None else self.x_of(low),
            float(self.width() - 1) if high is None else self.x_of(high),
        )

    def _drag(self, x: float) -> None:
        low, high = self._ends
        value: float | None = self.value_at(x)
        if self._held == 0:
            value = None if x <= 0 else value
            if value is not None and high is not None:
                value = min(value, high)
            low = value
        else:
            value = None if x >= self.width() - 1 else value
            if value is not None and low is not None:
                value = max(value, low)
            high = value
        self.set_ends(low, high)
        self.dragged.emit(low, high)

    def _draw_bars(self, painter: QPainter, heights: Any, colour: QColor) -> None:
        """Bars as high as `heights` (0-1); small counts are seen too, since they are roots."""
        places = np.linspace(0, self.width(), len(heights) + 1)
        for left, right, height in zip(places, places[1:], heights, strict=False):
            tall = height * self.height()
            painter.fillRect(QRectF(left, self.height() - tall, right - left, tall), colour)
