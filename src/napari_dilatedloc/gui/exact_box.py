"""Number boxes that give back exactly what they were given, however few digits they show."""

from __future__ import annotations

from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QWidget


class ExactBox(QDoubleSpinBox):
    """Spin box whose value changes only when the user changes it.

    Parameters
    ----------
    least, most : float
        Smallest and largest number.
    decimals : int
        Digits shown after the point.
    step : float
        What an arrow adds.
    suffix : str
        Unit, with its space.
    """

    def __init__(
        self,
        least: float,
        most: float,
        decimals: int,
        step: float,
        suffix: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._exact = least
        self.setRange(least, most)
        self.setDecimals(decimals)
        self.setSingleStep(step)
        self.setSuffix(suffix)
        # else the hint, or 70 px by napari's style, makes the dock wide
        self.setStyleSheet("QDoubleSpinBox { min-width: 40px; }")

    def setValue(self, value: float) -> None:
        """Show a number; `value` gives it back with all its digits."""
        self._exact = value
        super().setValue(value)

    def textFromValue(self, value: float) -> str:
        """Write a number without zeros at its end."""
        text = super().textFromValue(value)
        point = self.locale().decimalPoint()
        return text.rstrip("0").rstrip(point) if point in text else text

    def value(self) -> float:
        """Number as it was set, or as the user changed it."""
        shown = super().value()
        unchanged = abs(shown - self._exact) <= 0.5000001 * 10.0 ** -self.decimals()
        return self._exact if unchanged else shown


class RangeField(QWidget):
    """Two boxes, from low to high.

    Parameters
    ----------
    least, most, decimals, step
        As for `ExactBox`.
    unit : str
        Shown behind the boxes.

    Signals
    -------
    changed
        Either box.
    """

    changed = Signal()

    def __init__(
        self,
        least: float,
        most: float,
        decimals: int,
        step: float,
        unit: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.low = ExactBox(least, most, decimals, step)
        self.high = ExactBox(least, most, decimals, step)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.low, 1)
        row.addWidget(QLabel("–"))
        row.addWidget(self.high, 1)
        row.setSpacing(2)
        if unit:
            row.addWidget(QLabel(unit))
        for box in (self.low, self.high):
            box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)  # room for digits
            box.valueChanged.connect(self._tell)

    def value(self) -> tuple[float, float]:
        """Range on show; not checked."""
        return self.low.value(), self.high.value()

    def setValue(self, value: tuple[float, float]) -> None:
        """Show a range."""
        self.low.setValue(value[0])
        self.high.setValue(value[1])

    def setToolTip(self, text: str) -> None:
        """Say the same over both boxes."""
        super().setToolTip(text)
        self.low.setToolTip(text)
        self.high.setToolTip(text)

    @Slot()
    def _tell(self) -> None:
        self.changed.emit()
