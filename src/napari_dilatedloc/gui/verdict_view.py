"""What the checks of a calibration or a match found, in the space of a dock."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QWidget

if TYPE_CHECKING:
    from napari_dilatedloc.gui.psf_job import ChosenPSF
    from napari_dilatedloc.psf.verdict import Verdict

_MARKS = {"problem": ("✗", "#e05a4a"), "warning": ("!", "#c98210"), "ok": ("✓", "#3aa356")}
"""Signs and colours that can be told from a dark and from a light ground."""
MOST_BEADS = 4
"""Beads whose reasons are listed; the layer over the stack names them all."""


class VerdictView(QLabel):
    """Problems and warnings in full, the rest counted; reasons of the beads left out."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.hide()

    def show_verdicts(self, chosen: ChosenPSF) -> None:
        """Say what is known of a PSF; nothing where it was not calibrated here."""
        more = []
        if chosen.calibration is not None:
            more = [_marked("warning", note) for note in chosen.calibration.notes]
            more += _left_out(chosen)
        self.show_findings(chosen.verdicts, more)

    def show_findings(self, verdicts: Iterable[Verdict], more: Iterable[str] = ()) -> None:
        """Say what was found, then more lines of HTML; hides where there is nothing."""
        lines, passed = [], []
        for verdict in verdicts:
            if verdict.level == "ok":
                passed.append(verdict.sentence)
            else:
                lines.append(_marked(verdict.level, verdict.sentence))
        lines += more
        if passed:
            lines.append(_marked("ok", f"{len(passed)} checks without complaint (hover to read)."))
        self.setText("<br>".join(lines))
        self.setToolTip("<br>".join(escape(sentence) for sentence in passed))
        self.setVisible(bool(lines))


def _marked(level: str, sentence: str) -> str:
    """HTML of one finding: its mark in the colour of the level, and the sentence."""
    mark, colour = _MARKS[level]
    return f'<span style="color: {colour}"><b>{mark}</b></span> {escape(sentence)}'


def _left_out(chosen: ChosenPSF) -> list[str]:
    """Beads that were not used, and why."""
    beads = chosen.calibration.beads if chosen.calibration is not None else ()
    rejected = [(place, bead) for place, bead in enumerate(beads, start=1) if not bead.kept]
    lines = [
        _marked("warning", f"Bead {place} not used: {bead.reason}.")
        for place, bead in rejected[:MOST_BEADS]
    ]
    more = len(rejected) - MOST_BEADS
    if more > 0:
        lines.append(_marked("warning", f"{more} more not used: red in the layer over the stack."))
    return lines
