"""Which localizations are shown and written: ranges to drag, an expression, edge and neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Self

import numpy as np
from qtpy.QtCore import QLocale, Signal, Slot
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui.range_histogram import RangeHistogram
from napari_dilatedloc.gui.style import field_label, make_form

if TYPE_CHECKING:
    from napari_dilatedloc.analysis.ranges import Histogram, RangeFilter

BINS = 80
TAIL = 0.999
"""Part of the values that a histogram shows at least: a few huge ones would flatten all others."""


@dataclass(frozen=True)
class Column:
    """A column that can be filtered by: its name in tables, its label, and what it means."""

    name: str
    label: str
    tip: str


COLUMNS = (
    Column("photons", "photons", "Photons of the molecule in the frame."),
    Column("z_nm", "z (nm)", "Distance from focus."),
    Column(
        "sigma_lateral_nm",
        "precision (nm)",
        "Predicted standard deviation of x and of y (root mean square of both).",
    ),
    Column("sigma_z_nm", "precision z (nm)", "Predicted standard deviation of z."),
    Column("prob", "probability", "How sure the network is that there is a molecule, 0 to 1."),
    Column("bg", "background", "Photons per pixel under the molecule."),
    Column("frame", "frame", "Frame of the movie, from 0."),
)


@dataclass(frozen=True)
class Columns:
    """What is filtered, and over which values the histogram of each column runs."""

    ranges: RangeFilter
    spans: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, ranges: RangeFilter) -> Self:
        """Look at all columns."""
        spans = {}
        for column in COLUMNS:
            span = shown_span(ranges.values(column.name), column.name)
            if span is not None:
                spans[column.name] = span
        return cls(ranges, spans)

    def count(self, stop: Event) -> dict[str, Histogram]:
        """Histograms of all columns, for a worker; none where it was stopped.

        While ranges are dragged they may be those of an instant between two: count again when the
        drag rests.
        """
        found = {}
        for name, span in self.spans.items():
            if stop.is_set():
                return {}
            found[name] = self.ranges.histogram(name, BINS, span)
        return found


class FilterRow(QWidget):
    """One column: lowest and highest value as numbers, and as ends of a histogram.

    Signals
    -------
    changed : str, object, object
        Name, lowest and highest value that is kept; None: open.
    """

    changed = Signal(str, object, object)

    def __init__(self, column: Column, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.column = column
        self.low, self.high = QLineEdit(), QLineEdit()
        self.histogram = RangeHistogram()
        self.histogram.setToolTip(
            f"{column.tip} Drag the yellow ends; what lies between them is kept. Double-click to "
            "keep everything again. Grey: all, blue: kept; heights are square roots of counts."
        )
        for box, text in ((self.low, "lowest"), (self.high, "highest")):
            box.setPlaceholderText(text)
            box.setValidator(_any_number())
            box.setFixedWidth(78)
            box.setToolTip(f"The {text} value that is kept; empty for no limit.")
            box.editingFinished.connect(self._on_typed)
        top = QHBoxLayout()
        top.addWidget(self.low)
        label = QLabel(column.label)
        label.setToolTip(column.tip)
        top.addWidget(label, 1)
        top.addWidget(self.high)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(1)
        layout.addLayout(top)
        layout.addWidget(self.histogram)
        self.histogram.dragged.connect(self._on_dragged)

    def show_range(self, low: float | None, high: float | None) -> None:
        """Show another range, without telling; not where a number is being typed."""
        self.histogram.set_ends(low, high)
        for box, value in ((self.low, low), (self.high, high)):
            if not box.isModified():
                box.setText("" if value is None else _written(value))

    def show_histogram(self, found: Histogram) -> None:
        """Exchange the bars."""
        self.histogram.show_counts(found.edges, found.counts, found.kept)

    @Slot(object, object)
    def _on_dragged(self, low: float | None, high: float | None) -> None:
        self.show_range(low, high)
        self.changed.emit(self.column.name, low, high)

    @Slot()
    def _on_typed(self) -> None:
        before = self.histogram.ends
        # what nobody typed is shown rounded
        low, high = (
            end if not box.isModified() else float(box.text()) if box.text() else None
            for box, end in zip((self.low, self.high), before, strict=True)
        )
        if low is not None and high is not None and low > high:
            low, high = high, low
        for box in (self.low, self.high):
            box.setModified(False)
        self.show_range(low, high)
        if (low, high) != before:
            self.changed.emit(self.column.name, low, high)


class FilterForm(QWidget):
    """All filters.

    Signals
    -------
    range_changed : str, object, object
        Range of one column: cheap to follow.
    rest_changed : FilterConfig
        Expression, edge or neighbours: takes longer.
    undo_clicked, clear_clicked
    """

    range_changed = Signal(str, object, object)
    rest_changed = Signal(object)
    undo_clicked = Signal()
    clear_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config = FilterConfig()
        self.rows = {column.name: FilterRow(column) for column in COLUMNS}
        self.count = QLabel()
        self.count.setWordWrap(True)
        self.where = QLineEdit()
        self.where.setPlaceholderText("photons>500 & sigma_x_nm<20")
        self.where.setToolTip(
            "Any condition on the columns, as for 'dilatedloc filter --where': comparisons, "
            "& (and), | (or), ~ (not), + - * /."
        )
        self.edge = QDoubleSpinBox()
        self.edge.setSuffix(" px")
        self.edge.setDecimals(1)
        self.edge.setSpecialValueText("off")
        self.edge.setToolTip("Leaves out what is closer to the border of the movie.")
        self.neighbours = QSpinBox()
        self.neighbours.setMaximum(10_000)
        self.neighbours.setSpecialValueText("off")
        self.neighbours.setToolTip(
            "Keeps a localization only if at least so many others lie around it, over all frames."
        )
        self.radius = QDoubleSpinBox()
        self.radius.setRange(1, 10_000)
        self.radius.setDecimals(0)
        self.radius.setValue(50)
        self.radius.setSuffix(" nm")
        self.radius.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)  # room for digits
        self.radius.setToolTip("How far around it they may lie, in x and y.")
        self.undo_button, self.clear_button = QPushButton("Undo"), QPushButton("Show all")
        self.set_ways_back(undo=False, clear=False)
        self._lay_out()
        self._connect()

    def show_config(self, config: FilterConfig) -> None:
        """Show a filter, without telling."""
        self._config = config
        for name, row in self.rows.items():
            row.show_range(*config.ranges.get(name, (None, None)))
        fields = (self.where, self.edge, self.neighbours, self.radius)
        before = [field.blockSignals(True) for field in fields]
        self.where.setText(config.where or "")
        self.edge.setValue(config.edge_px or 0.0)
        self.neighbours.setValue(config.min_neighbours or 0)
        if config.radius_nm is not None:
            self.radius.setValue(config.radius_nm)
        for field, blocked in zip(fields, before, strict=True):
            field.blockSignals(blocked)

    def set_ways_back(self, *, undo: bool, clear: bool) -> None:
        """Whether there is a filter to go back to, and one to take off."""
        for button, way, use, why in (
            (self.undo_button, undo, "Goes back to the filter before.", "Change a filter first."),
            (self.clear_button, clear, "Takes all filters off.", "Filter something first."),
        ):
            button.setEnabled(way)
            button.setToolTip(use if way else why)

    def show_histograms(self, found: Mapping[str, Histogram]) -> None:
        """Draw all columns that have more than one value."""
        for name, row in self.rows.items():
            row.setVisible(name in found)
            if name in found:
                row.show_histogram(found[name])

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.count)
        for row in self.rows.values():
            layout.addWidget(row)
        fields = QWidget()
        form = make_form(fields)
        form.addRow(field_label("Condition"), self.where)
        form.addRow(field_label("From the edge"), self.edge)
        near = QWidget()
        line = QHBoxLayout(near)
        line.setContentsMargins(0, 0, 0, 0)
        for widget in (self.neighbours, QLabel("within"), self.radius):
            line.addWidget(widget)
        form.addRow(field_label("Neighbours"), near)
        layout.addWidget(fields)
        buttons = QHBoxLayout()
        buttons.addWidget(self.undo_button, 1)
        buttons.addWidget(self.clear_button, 1)
        layout.addLayout(buttons)

    def _connect(self) -> None:
        for row in self.rows.values():
            row.changed.connect(self.range_changed)
        self.where.editingFinished.connect(self._on_rest)
        for box in (self.edge, self.neighbours, self.radius):
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._on_rest)
        self.undo_button.clicked.connect(self.undo_clicked)
        self.clear_button.clicked.connect(self.clear_clicked)

    @Slot()
    def _on_rest(self) -> None:
        count = self.neighbours.value() or None
        changed = self._config.replace(
            where=self.where.text().strip() or None,
            edge_px=self.edge.value() or None,
            min_neighbours=count,
            radius_nm=self.radius.value() if count else None,
        )
        if changed != self._config:
            self._config = changed
            self.rest_changed.emit(changed)


def shown_span(values: np.ndarray, name: str) -> tuple[float, float] | None:
    """Values that a histogram runs over; None where all are the same or unknown."""
    some = values[:: max(1, len(values) // 200_000)]
    some = some[np.isfinite(some)]
    if not some.size or some.min() == some.max():
        return None
    low = 0.0 if some.min() >= 0 and some.min() < 0.3 * some.max() else float(some.min())
    whole = name in ("z_nm", "prob", "frame")  # these have no tail
    high = float(some.max() if whole else np.quantile(some, TAIL))
    return (low, high) if high > low else None


def _written(value: float) -> str:
    """As few digits as tell it apart; frames and photons whole."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _any_number() -> QDoubleValidator:
    """A point before decimals in every country, as they are shown, and no commas at all."""
    validator = QDoubleValidator()
    locale = QLocale.c()
    locale.setNumberOptions(QLocale.NumberOption.RejectGroupSeparator)
    validator.setLocale(locale)
    return validator
