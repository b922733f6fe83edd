"""Looks that the parts of the dock share."""

from __future__ import annotations

from enum import Enum

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QWidget

LABEL_WIDTH = 90  # px; so that fields line up from step to step
PRIMARY_STYLE = (
    "QPushButton:enabled { background-color: #4a66d0; color: white; font-weight: bold; }"
    "QPushButton:enabled:hover { background-color: #5b78e6; }"
)
_TONE = "tone"


class Tone(Enum):
    """What a text is, which decides on its colour; the theme decides on the shade."""

    PLAIN = ""
    MUTED = "muted"
    WARNING = "warning"
    ERROR = "error"


SHADES = {
    "dark": {Tone.MUTED: "#a4abb5", Tone.WARNING: "#ffb74d", Tone.ERROR: "#ff8a80"},
    "light": {Tone.MUTED: "#565b63", Tone.WARNING: "#8a4b00", Tone.ERROR: "#b3261e"},
}
"""Text colours by the kind of napari's theme; each has a contrast above 4.5 on its background."""


def style_sheet(kind: str) -> str:
    """Style sheet of the dock for a dark or a light theme."""
    return "".join(
        f'QLabel[{_TONE}="{tone.value}"] {{ color: {shade}; }}\n'
        for tone, shade in SHADES[kind].items()
    )


def set_tone(widget: QWidget, tone: Tone) -> None:
    """Say what a text is."""
    widget.setProperty(_TONE, tone.value)
    style = widget.style()
    style.unpolish(widget)  # else Qt keeps the colour it had
    style.polish(widget)


def tone_of(widget: QWidget) -> Tone:
    """What a text was said to be."""
    return Tone(widget.property(_TONE) or "")


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
