"""A collapsible step whose header says what stands in it, and the column of all steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal, Slot
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_dilatedloc.gui.style import Tone, set_tone

MARK_SIZE = 18  # px
HEADER_STYLE = (
    "QPushButton { text-align: left; border: none; background: transparent; padding: 0px; }"
    "QPushButton:hover, QPushButton:focus { background: rgba(128, 128, 128, 40); }"
)


class Mark(Enum):
    """How far a step is."""

    NOTHING = "nothing yet"
    DONE = "done"
    ATTENTION = "needs attention"
    BUSY = "at work"


COLOURS = {
    Mark.NOTHING: "#8b929c",
    Mark.DONE: "#2f8f46",
    Mark.ATTENTION: "#e8a020",
    Mark.BUSY: "#4a66d0",
}
"""The marks bring their own ground, so they are readable in any theme."""


@dataclass(frozen=True)
class StepState:
    """What a header shows.

    Attributes
    ----------
    mark : Mark
    summary : str
        One short line; empty for none.
    tip : str
        The whole story, for the tooltip; the summary if empty.
    """

    mark: Mark = Mark.NOTHING
    summary: str = ""
    tip: str = ""


class StepMark(QWidget):
    """Round mark: a number until there is something, then a check, an exclamation mark or dots."""

    def __init__(self, number: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._number = number
        self._mark = Mark.NOTHING
        self.setFixedSize(MARK_SIZE, MARK_SIZE)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    @property
    def mark(self) -> Mark:
        """Mark on show."""
        return self._mark

    def set_mark(self, mark: Mark) -> None:
        """Show another mark."""
        self._mark = mark
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        colour = QColor(COLOURS[self._mark])
        if self._mark is Mark.NOTHING:
            painter.setPen(QPen(colour, 1.4))
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
        painter.drawEllipse(area)
        self._draw_sign(painter, area, colour)
        painter.end()

    def _draw_sign(self, painter: QPainter, area: QRectF, colour: QColor) -> None:
        if self._mark is Mark.DONE:
            painter.setPen(QPen(QColor("white"), 2.0))
            x, y, side = area.x(), area.y(), area.width()
            corners = ((0.24, 0.53), (0.43, 0.72), (0.77, 0.32))
            painter.drawPolyline([QPointF(x + side * a, y + side * b) for a, b in corners])
            return
        signs = {Mark.NOTHING: str(self._number), Mark.ATTENTION: "!", Mark.BUSY: "…"}
        inks = {Mark.NOTHING: colour, Mark.ATTENTION: QColor("#1e1e21"), Mark.BUSY: QColor("white")}
        font = painter.font()
        font.setPixelSize(11)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(inks[self._mark])
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, signs[self._mark])


class StepHeader(QPushButton):
    """Mark, title, summary and arrow; a click opens or closes the step."""

    def __init__(self, title: str, number: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self.mark = StepMark(number, self)
        self.mark.setVisible(number > 0)
        self.title = QLabel(title)
        self.summary = QElidingLabel()
        self.arrow = QLabel()
        self.title.setStyleSheet("font-weight: bold;" if number else "")
        set_tone(self.summary, Tone.MUTED)
        grid = QGridLayout(self)
        grid.setContentsMargins(2 if number else 0, 3, 4, 3)
        grid.setHorizontalSpacing(8 if number else 0)
        grid.setVerticalSpacing(0)
        grid.addWidget(self.mark, 0, 0)
        grid.addWidget(self.title, 0, 1)
        grid.addWidget(self.arrow, 0, 2)
        grid.addWidget(self.summary, 1, 1, 1, 2)
        grid.setColumnStretch(1, 1)
        for label in (self.title, self.summary, self.arrow):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        # an eliding label asks for its whole text, which would make the dock wide
        self.summary.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setStyleSheet(HEADER_STYLE)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.show_state(StepState())

    def show_state(self, state: StepState) -> None:
        """Show how far the step is."""
        self.mark.set_mark(state.mark)
        self.summary.setText(state.summary)
        self.summary.setVisible(bool(state.summary))
        said = f"{self._title}: {state.mark.value}"
        told = state.tip or state.summary
        self.setAccessibleName(said)
        self.setToolTip(f"{said}. {told}" if told else f"{said}. Click to open or close it.")
        self.updateGeometry()

    def show_arrow(self, opened: bool) -> None:
        """Show whether the step is open."""
        self.arrow.setText("▾" if opened else "▸")

    def sizeHint(self) -> QSize:
        """Size of what is inside; a button would ask for that of its own text."""
        return self.layout().sizeHint()

    def minimumSizeHint(self) -> QSize:
        """Height of what is inside, and any width."""
        return QSize(120, self.layout().minimumSize().height())


class StepBox(QFrame):
    """Collapsible step.

    Parameters
    ----------
    title : str
        Name of the step.
    contents : QWidget
        What is shown when it is open, one below the other.
    number : int
        Place in the workflow; 0 for a box inside a step, which has no mark.

    Signals
    -------
    toggled : bool
        Opened or closed, by the user or by a call.
    """

    toggled = Signal(bool)

    def __init__(
        self, title: str, *contents: QWidget, number: int = 0, opened: bool = True
    ) -> None:
        super().__init__()
        self._state = StepState()
        self.header = StepHeader(title, number)
        self.content = QWidget()
        inside = QVBoxLayout(self.content)
        inside.setContentsMargins(*((4, 2, 4, 6) if number else (0, 0, 0, 0)))
        for widget in contents:
            inside.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(*((2, 0, 2, 0) if number else (0, 0, 0, 0)))
        column.setSpacing(2)
        column.addWidget(self.header)
        column.addWidget(self.content)
        self.header.clicked.connect(self._toggle)
        self._open(opened)

    @property
    def state(self) -> StepState:
        """What the header shows."""
        return self._state

    @property
    def opened(self) -> bool:
        """Whether the contents are on show."""
        return not self.content.isHidden()

    def show_state(self, state: StepState) -> None:
        """Show how far the step is."""
        self._state = state
        self.header.show_state(state)

    def expand(self) -> None:
        """Open it."""
        if not self.opened:
            self._open(True)
            self.toggled.emit(True)

    def collapse(self) -> None:
        """Close it."""
        if self.opened:
            self._open(False)
            self.toggled.emit(False)

    def _open(self, opened: bool) -> None:
        self.content.setVisible(opened)
        self.header.show_arrow(opened)

    @Slot()
    def _toggle(self) -> None:
        self.collapse() if self.opened else self.expand()


class Column(QWidget):
    """Steps one below the other, for a scroll area.

    A scroll area squeezes its widget to the least height before it scrolls, and knows nothing of
    text that needs more lines where it is narrow; so the column asks for what it needs itself.
    """

    def __init__(self, steps: Iterable[QWidget]) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        for number, step in enumerate(steps):
            if number:
                column.addWidget(_line())
            column.addWidget(step)
        column.addStretch(1)

    def event(self, event: QEvent) -> bool:
        """Follow changes of the width and of what is inside."""
        done = super().event(event)
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            needed = self.layout().heightForWidth(self.width())  # -1: the same at any width
            self.setMinimumHeight(needed if needed >= 0 else self.layout().sizeHint().height())
        return done


def _line() -> QWidget:
    """Thin line between two steps."""
    line = QWidget()
    line.setFixedHeight(1)
    line.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    line.setStyleSheet("background: rgba(128, 128, 128, 70);")
    return line
