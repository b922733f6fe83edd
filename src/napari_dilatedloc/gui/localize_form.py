"""A form that edits a `LocalizeConfig`."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal, Slot
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QWidget,
)

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.style import field_label, make_form

LAST_FRAME_MAX = 2_147_483_647


class LocalizeForm(QWidget):
    """Threshold, frames and device; `value` gives a config, `setValue` shows one.

    What the form has no field for (ROI, block sizes) is kept as `setValue` got it.

    Signals
    -------
    valueChanged : LocalizeConfig
        A field was changed by the user or by `setValue`.
    """

    valueChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config = LocalizeConfig()
        self._make_fields()
        self._lay_out()
        self._show(self._config)
        for changed in (
            self.threshold.valueChanged,
            self.first_frame.valueChanged,
            self.end_frame.valueChanged,
            self.device.currentTextChanged,
        ):
            changed.connect(self._on_edited)

    def value(self) -> LocalizeConfig:
        """Read the settings on show."""
        threshold = self.threshold.value()
        start, end = self.first_frame.value(), self.end_frame.value()
        every = start == 0 and end == self.end_frame.minimum()
        return self._config.replace(
            threshold=None if threshold == self.threshold.minimum() else round(threshold, 3),
            frames=None if every else (start, end or self._frames_or_max()),
            device=self.device.currentText(),
        )

    @property
    def trouble(self) -> str:
        """Why these settings cannot be used, one sentence; empty if they can."""
        frames = self.value().frames
        if frames is not None and frames[0] >= frames[1]:
            return f"Frames {frames[0]} to {frames[1]} hold none: enter an end after the start."
        return ""

    def setValue(self, config: LocalizeConfig) -> None:
        """Show settings."""
        changed = config != self.value()
        self._config = config
        self._show(config)
        if changed:
            self.valueChanged.emit(config)

    def set_movie_length(self, frames: int | None) -> None:
        """Limit the frame fields to the frames of the chosen movie."""
        before = self.value()
        self._movie_length = frames
        with QSignalBlocker(self.first_frame), QSignalBlocker(self.end_frame):
            self.first_frame.setMaximum(LAST_FRAME_MAX if frames is None else max(0, frames - 1))
            self.end_frame.setMaximum(LAST_FRAME_MAX if frames is None else frames)
        if self.value() != before:
            self.valueChanged.emit(self.value())

    def _frames_or_max(self) -> int:
        return self._movie_length if self._movie_length is not None else LAST_FRAME_MAX

    def _make_fields(self) -> None:
        self._movie_length: int | None = None
        self.threshold = QDoubleSpinBox()
        self.threshold.setRange(0.0, 0.999)
        self.threshold.setDecimals(3)
        self.threshold.setSingleStep(0.05)
        self.threshold.setSpecialValueText("model's own")
        self.threshold.setToolTip(
            "Smallest detection probability, 0 to 1. Lower finds more molecules and more false "
            "ones; 'model's own' (the lowest value) takes the one the model was tuned for."
        )
        self.first_frame = QSpinBox()
        self.first_frame.setRange(0, LAST_FRAME_MAX)
        self.first_frame.setToolTip("First frame to localize, counted from 0.")
        self.end_frame = QSpinBox()
        self.end_frame.setRange(0, LAST_FRAME_MAX)
        self.end_frame.setSpecialValueText("end")
        self.end_frame.setToolTip(
            "Frame to stop before: '0 to 500' localizes 500 frames, 0 to 499. "
            "'end' (the lowest value) runs to the last frame."
        )
        self.device = QComboBox()
        self.device.addItems(["auto", "cpu", "cuda", "mps"])
        self.device.setEditable(True)  # "cuda:1"
        self.device.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.device.setToolTip(
            "Where the network runs: 'auto' takes a CUDA graphics card, else Apple's, else the "
            "processor. A second card is 'cuda:1'."
        )

    def _lay_out(self) -> None:
        for box in (self.first_frame, self.end_frame):
            # else ten digits, by Qt's hint, or 70 px, by napari's style, make the dock wide
            box.setStyleSheet("QSpinBox { min-width: 40px; }")
        frames = QHBoxLayout()
        frames.setContentsMargins(0, 0, 0, 0)
        frames.addWidget(self.first_frame, 1)
        frames.addWidget(QLabel("to"))
        frames.addWidget(self.end_frame, 1)
        form = make_form(self)
        form.addRow(field_label("Threshold"), self.threshold)
        form.addRow(field_label("Frames"), frames)
        form.addRow(field_label("Device"), self.device)

    def _show(self, config: LocalizeConfig) -> None:
        fields = (self.threshold, self.first_frame, self.end_frame, self.device)
        blockers = [QSignalBlocker(field) for field in fields]
        start, end = config.frames or (0, 0)
        self.threshold.setValue(config.threshold or 0.0)
        self.first_frame.setValue(start)
        self.end_frame.setValue(end)
        self.device.setCurrentText(config.device)
        for blocker in blockers:
            blocker.unblock()

    @Slot()
    def _on_edited(self) -> None:
        self.valueChanged.emit(self.value())
