"""How good the result on show is: figures, what is odd about it, and a report to keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Slot
from qtpy.QtGui import QPixmap, QShowEvent
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_dilatedloc.gui.live import Kept, LiveResult
from napari_dilatedloc.gui.status_line import StatusLine
from napari_dilatedloc.gui.style import Tone, set_tone
from napari_dilatedloc.gui.worker import GeneratorWorker, State
from napari_dilatedloc.table import Localizations, TableInfo

if TYPE_CHECKING:
    from napari_dilatedloc.analysis.quality import Quality

_NO_RESULT = "There is no result yet: run Localize first."
_WAIT = "Wait until the figures are there."
_LOOK_FIRST = "Press 'Quality figures' first."
MOST_AT_ONCE = 1_000_000
"""Localizations of a result that is looked at unasked; more take tens of seconds of all cores."""


@dataclass(frozen=True)
class Judged:
    """Quality of a table and its page of plots as PNG."""

    quality: Quality
    table: Localizations
    info: TableInfo
    picture: bytes


class QualityBox(QWidget):
    """Quality figures of the result on show, as it is filtered now.

    Those of a new result come by themselves where the box can be seen.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._result: LiveResult | None = None
        self.judged: Judged | None = None
        self._outdated = False  # what the worker looks at is no longer on show
        self._due = False  # the result is new
        self.worker = GeneratorWorker(self)
        self.button = QPushButton("Quality figures")
        self.save_button = QPushButton("Save report…")
        self.figures, self.warnings = QLabel(), QLabel()
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setToolTip("All plots; 'Save report' writes them large.")
        self.figures.setToolTip(
            "FRC: finest structure that two halves of the frames agree on. NeNA: how far a "
            "molecule jumps from one frame to the next; less than the true error for networks "
            "that look at neighbouring frames, whose errors are alike there."
        )
        for label in (self.figures, self.warnings):
            label.setWordWrap(True)
        set_tone(self.warnings, Tone.WARNING)
        self.line = StatusLine()
        row = QHBoxLayout()
        row.addWidget(self.button, 1)
        row.addWidget(self.save_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        for widget in (self.figures, self.warnings, self.picture, self.line):
            layout.addWidget(widget)
        self.button.clicked.connect(self.judge)
        self.save_button.clicked.connect(self._ask)
        self.worker.yielded.connect(self._on_yielded)
        self.worker.failed.connect(self.line.show_error)
        self.worker.state_changed.connect(self._on_state)
        self.worker.finished.connect(self._judge_if_due)
        self.forget()

    def show_result(self, result: LiveResult | None) -> None:
        """Take another result; None: there is none, or it still grows."""
        if result is not self._result:
            self._result = result
            self.forget()
            self._due = result is not None and len(result.kept.store) <= MOST_AT_ONCE
            self._judge_if_due()

    def showEvent(self, event: QShowEvent) -> None:
        """Look at a result that came while the box was closed."""
        super().showEvent(event)
        self._judge_if_due()

    @Slot()
    def judge(self) -> None:
        """Compute the figures in the background."""
        if self._result is None or self.worker.state.busy:
            return
        self.forget()
        self._outdated = False
        self.worker.start(partial(_judge, self._result.kept))
        self.line.show_status("Looking at the localizations…")

    def save_to(self, path: str | Path) -> None:
        """Write the report: one page, .html."""
        if self.judged is None or self.worker.state.busy:
            return
        self.worker.start(partial(_save, self.judged, Path(path)))

    def shut_down(self) -> None:
        """Stop the worker (closing time)."""
        self._due = False
        self.worker.stop_and_wait()

    def forget(self) -> None:
        """Take the figures away, also those that are on their way: they are of something else."""
        self.judged, self._outdated, self._due = None, True, False
        for label in (self.figures, self.warnings, self.picture):
            label.clear()
            label.hide()
        self.line.show_status("")
        self._update()

    @Slot(list)
    def _on_yielded(self, items: list[Judged | str]) -> None:
        for item in items:
            if isinstance(item, str):
                self.line.show_status(item)
            elif not self._outdated:
                self._show(item)

    def _show(self, judged: Judged) -> None:
        self.judged = judged
        self.line.show_status("")
        self.figures.setText(said(judged.quality))
        self.warnings.setText("\n".join(judged.quality.warnings))
        drawn = QPixmap()
        drawn.loadFromData(judged.picture)
        width = max(260, self.width() - 12)
        smooth = Qt.TransformationMode.SmoothTransformation
        self.picture.setPixmap(drawn.scaledToWidth(width, smooth))
        for label in (self.figures, self.picture):
            label.show()
        self.warnings.setVisible(bool(judged.quality.warnings))

    @Slot(object)
    def _on_state(self, state: State) -> None:
        if state is State.CANCELLED:
            self.line.show_status("")
        self._update()

    @Slot()
    def _judge_if_due(self) -> None:
        if self._due and self.isVisible():
            self.judge()  # unless another one is still looked at, whose end comes back here

    def _update(self) -> None:
        busy = self.worker.state.busy
        why = _WAIT if busy else "" if self._result is not None else _NO_RESULT
        self.button.setEnabled(not why)
        self.button.setToolTip(
            why
            or "Resolution (FRC), precision (NeNA), photons, drift and what is odd, no truth "
            "needed; takes seconds."
        )
        self.save_button.setEnabled(self.judged is not None and not busy)
        self.save_button.setToolTip(
            "Writes a page with all figures and plots." if self.judged else why or _LOOK_FIRST
        )

    @Slot()
    def _ask(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the report", "quality.html", "Page (*.html)"
        )
        if path:
            self.save_to(path if Path(path).suffix else f"{path}.html")


def said(found: Quality) -> str:
    """Main figures in a few lines."""
    frc, nena = found.frc, found.nena
    lines = [
        f"{found.localizations:,} localizations, "
        f"{found.localizations / max(1, found.frames):.1f} a frame",
        f"resolution (FRC) {frc.resolution_nm:.0f} nm" if frc and frc.resolution_nm else "",
        f"scatter between frames (NeNA) {nena.sigma_nm:.1f} nm" if nena else "",
    ]
    named = (("sigma_lateral_nm", "predicted precision"), ("sigma_z_nm", "in z"))
    known = [
        f"{label} {found.median(name):.1f} nm"
        for name, label in named
        if name in found.distributions
    ]
    lines.append(", ".join(known))
    if "photons" in found.distributions:
        lines.append(f"{found.median('photons'):,.0f} photons, {found.median('bg'):.0f} background")
    return "\n".join(line for line in lines if line)


def _judge(kept: Kept, stop: Event) -> Iterator[Judged]:
    """Job: figures and plots of what was kept of a result."""
    import io

    from napari_dilatedloc.analysis.quality import quality
    from napari_dilatedloc.analysis.quality_figure import quality_figure

    table, info = kept.store.table(), kept.info
    found = quality(table, info)
    if stop.is_set():
        return
    picture = io.BytesIO()
    quality_figure(found, table, info).savefig(picture, format="png", dpi=80)
    yield Judged(found, table, info, picture.getvalue())


def _save(judged: Judged, path: Path, _stop: Event) -> Iterator[str]:
    """Job: the report on disk."""
    from napari_dilatedloc.analysis.quality_report import write_quality

    files = write_quality(path, judged.quality, judged.table, judged.info)
    yield f"Wrote {', '.join(str(file) for file in files)}."
