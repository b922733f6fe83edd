"""Looks that the parts of the dock share."""

from __future__ import annotations

from qtpy.QtCore import Qt, Slot
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget
from superqt import QCollapsible

LABEL_WIDTH = 76  # px; so that fields line up from step to step
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


class Section(QCollapsible):
    """Collapsible step, open at first.

    The arrow stands in the text: superqt paints its icons in the palette's colour, which napari's
    dark theme leaves black.
    """

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__(title, expandedIcon=QIcon(), collapsedIcon=QIcon())
        self._title = title
        self.toggleButton().setStyleSheet(HEADER_STYLE)
        self.addWidget(content)
        self.toggled.connect(self._show_arrow)
        self.expand(animate=False)
        self._show_arrow(True)

    @Slot(bool)
    def _show_arrow(self, expanded: bool) -> None:
        self.setText(f"{'▾' if expanded else '▸'}  {self._title}")


def make_form(parent: QWidget) -> QFormLayout:
    """Form layout without margins whose fields take the whole width."""
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return form


def field_label(text: str) -> QLabel:
    """Label as wide as those of the other steps."""
    label = QLabel(text)
    label.setMinimumWidth(LABEL_WIDTH)
    return label
