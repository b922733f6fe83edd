"""Filtering of the result on show: the form, the rows it keeps, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer, Signal, Slot
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui.filter_form import Columns, FilterForm
from napari_dilatedloc.gui.latest_worker import LatestWorker
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.status_line import StatusLine
from napari_dilatedloc.gui.worker import GeneratorWorker, State

if TYPE_CHECKING:
    from napari_dilatedloc.analysis.ranges import Histogram

FOLLOW_MS = 30
"""From a drag to the picture."""
REST_MS = 150
"""From the last drag to the other histograms, and to a step that can be undone."""


@dataclass(frozen=True, eq=False)
class Looked:
    """What a worker saw.

    Attributes
    ----------
    columns : Columns
        What is filtered, and how.
    histograms : dict of Histogram
        By the name of the column.
    places : ndarray of int32, optional
        As `LiveResult.find_places` gives them, the first time.
    turn : int
        How many filters there had been: of later ones it says nothing.
    """

    columns: Columns
    histograms: dict[str, Histogram]
    places: NDArray[np.int32] | None = None
    turn: int = 0


class FilterBox(QWidget):
    """Filters the localizations of a `LiveResult`; image, circles, counts and exports follow.

    Signals
    -------
    changed
        Other localizations are kept.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.form = FilterForm()
        self.line = StatusLine()
        self.worker = GeneratorWorker(self)
        self.counter = LatestWorker(self)
        self._turn = 0
        self._result: LiveResult | None = None
        self._looked_at: LiveResult | None = None  # by the worker
        self._columns: Columns | None = None
        self._wanted: FilterConfig | None = None  # of the next result
        self._before: list[FilterConfig] = []  # to go back to
        self._settled = FilterConfig()  # the last one that can be gone back to
        self._follow, self._rest = _once(self, FOLLOW_MS), _once(self, REST_MS)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        layout.addWidget(self.line)
        self._follow.timeout.connect(self._apply)
        self._rest.timeout.connect(self._settle)
        self.form.range_changed.connect(self._on_range)
        self.form.rest_changed.connect(self._on_rest)
        self.form.undo_clicked.connect(self.undo)
        self.form.clear_clicked.connect(self.clear)
        self.worker.yielded.connect(self._on_ready)
        self.worker.failed.connect(self._on_failed)
        self.counter.yielded.connect(self._on_counted)
        self.counter.failed.connect(self._on_failed)
        self.worker.finished.connect(self._on_finished)
        self._update()

    @property
    def config(self) -> FilterConfig:
        """What holds now."""
        return self._settled if self._columns is None else self._columns.ranges.config

    def value(self) -> FilterConfig:
        """What holds, or will for the next result."""
        return self._wanted if self._wanted is not None else self.config

    def setValue(self, config: FilterConfig) -> None:
        """Filter the result on show like this; the next one, if there is none."""
        if self._result is None:
            self._wanted = config
        elif self._columns is None:
            self._begin_with(config)
        else:
            self.form.show_config(config)
            self.set_config(config)

    def show_result(self, result: LiveResult | None) -> None:
        """Take another result, which has ended, as it is filtered; None: it still grows."""
        if result is self._result:
            return
        self._result, self._columns = result, None
        self._before = []
        self._settled = FilterConfig() if result is None else result.filter_config
        self.form.show_config(self._settled)
        self.line.show_status("")
        if result is not None and self._wanted is not None:
            self._begin_with(self._wanted)
        self._update()

    @Slot()
    def prepare(self) -> None:
        """Look at the columns, the first time the form is opened."""
        if self._result is None or self._columns is not None or self.worker.state.busy:
            return
        self._looked_at = self._result
        job = partial(_begin, self._result, self._settled)
        self.line.show_status("Looking at the columns…")
        self.worker.start(job)

    @Slot(object)
    def set_config(self, config: FilterConfig) -> None:
        """Exchange everything; neighbours may take seconds, so in the background."""
        if self._columns is None or self.worker.state.busy:
            return
        self._remember()
        self._exchange(config)

    @Slot()
    def undo(self) -> None:
        """Go back to the filter before."""
        if self._columns is None or self.worker.state.busy:
            return
        self._remember()
        if self._before:
            self._settled = self._before.pop()
            self.form.show_config(self._settled)
            self._exchange(self._settled)

    @Slot()
    def clear(self) -> None:
        """Take all filters off."""
        self.form.show_config(FilterConfig())
        self.set_config(FilterConfig())

    def shut_down(self) -> None:
        """Stop the worker (closing time)."""
        self._result = None  # or it would begin with the next one
        self.worker.stop_and_wait()
        self.counter.stop_and_wait()

    @Slot(object)
    def _on_rest(self, config: FilterConfig) -> None:
        """All but the ranges; the form does not know those dragged or typed just now."""
        self.set_config(config.replace(ranges=self.config.ranges))

    @Slot(str, object, object)
    def _on_range(self, name: str, low: float | None, high: float | None) -> None:
        if self._columns is None or self.worker.state.busy:
            return
        self._columns.ranges.set_range(name, low, high)
        self._follow.start()
        self._rest.start()

    @Slot()
    def _apply(self) -> None:
        """Let the picture follow."""
        if self._result is None or self._columns is None:
            return
        kept = self._columns.ranges.config != FilterConfig()
        self._result.filter(
            self._columns.ranges.config, self._columns.ranges.mask if kept else None
        )
        self._update()
        self.changed.emit()

    def _begin_with(self, config: FilterConfig) -> None:
        self._wanted = None
        self._settled = config
        self.form.show_config(config)
        if config != FilterConfig():
            self.prepare()

    def _exchange(self, config: FilterConfig) -> None:
        self.line.show_status("Filtering…")
        self.form.setEnabled(False)
        self._turn += 1
        self.counter.cancel()
        self.worker.start(partial(_exchange, self._columns, config))

    def _remember(self) -> None:
        """Let what was before be a step to go back to."""
        self._rest.stop()
        if self.config != self._settled:
            self._before.append(self._settled)
            self._settled = self.config

    @Slot()
    def _settle(self) -> None:
        """Remember what was before, and let the other histograms follow."""
        self._remember()
        if self._columns is None:
            return
        self._turn += 1
        self.counter.replace(partial(_count, self._columns, self._turn))
        self._rest_here(self._columns)

    def _rest_here(self, columns: Columns) -> None:
        """Let all follow but the histograms."""
        self.form.show_config(columns.ranges.config)
        if self._result is not None:
            self._result.settle()
        self._update()

    @Slot(list)
    def _on_counted(self, items: list[Looked]) -> None:
        last = items[-1]
        if last.columns is self._columns and last.turn == self._turn:
            self.form.show_histograms(last.histograms)

    @Slot(list)
    def _on_ready(self, items: list[Looked]) -> None:
        if self._looked_at is not self._result:  # another result came meanwhile
            return
        last = items[-1]
        self._columns = last.columns
        if last.places is not None and self._result is not None:
            self._result.know_places(last.places)
        self._apply()
        self._remember()
        self.form.show_histograms(last.histograms)
        self._rest_here(last.columns)

    @Slot(str, str)
    def _on_failed(self, sentence: str, details: str) -> None:
        self.line.show_error(sentence, details)

    @Slot()
    def _on_finished(self) -> None:
        if self.worker.state is not State.FAILED:
            self.line.show_status("")
        if self._looked_at is not self._result:
            self.prepare()
        self._update()

    def _update(self) -> None:
        ready = self._columns is not None and not self.worker.state.busy
        self.form.setEnabled(ready)
        self.form.set_ways_back(undo=bool(self._before), clear=self.config != FilterConfig())
        if self._result is not None:
            store = self._result.store
            self.form.count.setText(f"{len(store):,} of {store.total:,} localizations are kept.")


def _begin(result: LiveResult, config: FilterConfig, stop: Event) -> Iterator[Looked]:
    """Job: look at all columns; the filter holds already."""
    from napari_dilatedloc.analysis.ranges import RangeFilter

    places = result.find_places()
    columns = Columns.of(RangeFilter(result.store.everything(), result.info, config))
    yield Looked(columns, columns.count(stop), places)


def _exchange(columns: Columns, config: FilterConfig, stop: Event) -> Iterator[Looked]:
    """Job: another filter; the form is disabled meanwhile, so nobody else changes it."""
    columns.ranges.set_config(config)
    yield Looked(columns, columns.count(stop))


def _count(columns: Columns, turn: int, stop: Event) -> Iterator[Looked]:
    """Job: histograms after a drag."""
    found = columns.count(stop)
    if not stop.is_set():
        yield Looked(columns, found, turn=turn)


def _once(parent: QWidget, interval_ms: int) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(interval_ms)
    return timer
