"""What matching found: verdicts in words, and real beside simulated frames in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Slot
from qtpy.QtWidgets import QDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_dilatedloc.gui.verdict_view import marked

if TYPE_CHECKING:
    from napari_dilatedloc.gui.match_job import Matched

WINDOW_SIZE = (1000, 700)


class MatchView(QWidget):
    """Sentences, and a button for the comparison; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._matched: Matched | None = None
        self.window_shown: QDialog | None = None
        self.verdicts = QLabel()
        self.verdicts.setWordWrap(True)
        self.button = QPushButton("Show real beside simulated…")
        self.button.setToolTip(
            "Opens a window with frames of your movie beside simulated ones, their histograms and "
            "spectra. They should be hard to tell apart."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.verdicts)
        column.addWidget(self.button)
        self.button.clicked.connect(self.show_comparison)
        self.hide()

    def clear(self) -> None:
        """Forget what was found."""
        self._matched = None
        self.shut_down()
        self.hide()

    def show_matched(self, matched: Matched) -> None:
        """Say what was found."""
        self._matched = matched
        lines = [marked(v.level, v.sentence) for v in matched.verdicts]
        self.verdicts.setText("<br>".join(lines))
        self.show()

    @Slot()
    def show_comparison(self) -> None:
        """Open the window, or bring it to the front."""
        if self._matched is None:
            return
        if self.window_shown is None:
            self.window_shown = self._make_window(self._matched.figure)
        self.window_shown.show()
        self.window_shown.raise_()

    def shut_down(self) -> None:
        """Close the window."""
        if self.window_shown is not None:
            self.window_shown.close()
            self.window_shown.deleteLater()
            self.window_shown = None

    def _make_window(self, figure: Any) -> QDialog:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

        window = QDialog(self)
        window.setWindowTitle("Real beside simulated")
        column = QVBoxLayout(window)
        column.addWidget(FigureCanvasQTAgg(figure))
        window.resize(*WINDOW_SIZE)
        return window
