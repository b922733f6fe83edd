"""Looks that the parts of the dock share."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QEvent, QObject, Qt, Slot
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget
from superqt import QCollapsible

LABEL_WIDTH = 90  # px; so that fields line up from step to step
HEADER_STYLE = (
    "QPushButton { text-align: left; border: none; background: transparent; "
    "font-weight: bold; padding: 5px 2px; }"
)
PRIMARY_STYLE = (
    "QPushButton:enabled { background-color: #4a66d0; color: white; font-weight: bold; }"
    "QPushButton:enabled:hover { background-color: #5b78e6; }"
)
WARNING_STYLE = "color: #ffb74d;"
ERROR_STYLE = "color: #ff8a80;"
_ANY_HEIGHT = 16_777_215  # QWIDGETSIZE_MAX, which qtpy does not export


class Section(QCollapsible):
    """Collapsible step.

    The arrow stands in the text: superqt paints its icons in the palette's colour, which napari's
    dark theme leaves black.
    """

    def __init__(self, title: str, content: QWidget, *, opened: bool = True) -> None:
        super().__init__(title, expandedIcon=QIcon(), collapsedIcon=QIcon())
        self._title = title
        # superqt's policy and alignment cut text that needs more lines than the hint counts on
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.layout().setAlignment(Qt.AlignmentFlag(0))
        self.layout().setContentsMargins(4, 4, 4, 4)
        self.layout().setSpacing(2)
        self.toggleButton().setStyleSheet(HEADER_STYLE)
        self.addWidget(content)
        self.toggled.connect(self._show_arrow)
        if opened:
            self.expand(animate=False)
        else:
            self.collapse(animate=False)
        self._show_arrow(opened)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let an open section grow with what it holds; superqt keeps the height it opened with."""
        kinds = (QEvent.Type.Resize, QEvent.Type.LayoutRequest)
        if event.type() in kinds and self.isExpanded():
            self.content().setMaximumHeight(_ANY_HEIGHT)
        return False

    @Slot(bool)
    def _show_arrow(self, expanded: bool) -> None:
        self.setText(f"{'▾' if expanded else '▸'}  {self._title}")


class Column(QWidget):
    """Sections one below the other, for a scroll area.

    A scroll area squeezes its widget to the least height before it scrolls, and knows nothing of
    text that needs more lines where it is narrow; so the column asks for what it needs itself.
    """

    def __init__(self, sections: Iterable[QWidget]) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for section in sections:
            column.addWidget(section)
        column.addStretch(1)

    def event(self, event: QEvent) -> bool:
        """Follow changes of the width and of what is inside."""
        done = super().event(event)
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self.setMinimumHeight(self.layout().heightForWidth(self.width()))
        return done


def make_form(parent: QWidget) -> QFormLayout:
    """Form layout without margins whose fields take the whole width."""
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return form


def narrow(combo: QComboBox) -> None:
    """Let a box be narrower than its longest entry, so that the dock can be."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)


def field_label(text: str) -> QLabel:
    """Label as wide as those of the other steps."""
    label = QLabel(text)
    label.setMinimumWidth(LABEL_WIDTH)
    return label
