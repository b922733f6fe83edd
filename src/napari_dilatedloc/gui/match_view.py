"""What matching found: verdicts in words, and real beside simulated frames in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Slot
from qtpy.QtGui import QPixmap, QResizeEvent
from qtpy.QtWidgets import QDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_dilatedloc.gui.verdict_view import VerdictView

if TYPE_CHECKING:
    from napari_dilatedloc.gui.match_job import Matched

WINDOW_HEIGHT = 850  # px; the picture is somewhat wider than high


class MatchView(QWidget):
    """Sentences, and a button for the comparison; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture = b""
        self.comparison: QDialog | None = None
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.verdicts = VerdictView()
        self.button = QPushButton("Real beside simulated…")
        self.button.setToolTip(
            "Opens a window with frames of your movie beside simulated ones, their histograms and "
            "spectra. They should be hard to tell apart."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.summary, self.verdicts, self.button):
            column.addWidget(widget)
        self.button.clicked.connect(self.show_comparison)
        self.hide()

    def clear(self) -> None:
        """Forget what was found."""
        self._picture = b""
        self.shut_down()
        self.hide()

    def show_matched(self, matched: Matched) -> None:
        """Say what was found."""
        self._picture = matched.picture
        self.summary.setText(matched.summary)
        self.verdicts.show_findings(matched.verdicts)
        self.show()

    @Slot()
    def show_comparison(self) -> None:
        """Open the window, or bring it to the front."""
        if not self._picture:
            return
        if self.comparison is None:
            self.comparison = QDialog(self)
            self.comparison.setWindowTitle("Real beside simulated")
            column = QVBoxLayout(self.comparison)
            column.setContentsMargins(0, 0, 0, 0)
            picture = Picture(self._picture)
            column.addWidget(picture)
            self.comparison.resize(picture.sizeHint())
        self.comparison.show()
        self.comparison.raise_()

    def shut_down(self) -> None:
        """Close the window."""
        if self.comparison is not None:
            self.comparison.close()
            self.comparison.deleteLater()
            self.comparison = None


class Picture(QLabel):
    """Picture that fills its window as far as its shape allows.

    Parameters
    ----------
    png : bytes
        The picture.
    """

    def __init__(self, png: bytes, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole = QPixmap()
        self._whole.loadFromData(png)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setStyleSheet("background: white;")
        self.setMinimumSize(300, 250)

    def sizeHint(self) -> QSize:
        """Size that it is opened with."""
        return self._whole.size().scaled(
            10 * WINDOW_HEIGHT, WINDOW_HEIGHT, Qt.AspectRatioMode.KeepAspectRatio
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Follow the window."""
        super().resizeEvent(event)
        self.setPixmap(
            self._whole.scaled(
                self.size(),
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )
