"""A form that edits a `LocalizeConfig`."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, Signal, Slot
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSlider,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.engine_form import EngineForm
from napari_dilatedloc.gui.layers import movie_array
from napari_dilatedloc.gui.region_form import RegionForm
from napari_dilatedloc.gui.style import field_label, make_form

LAST_FRAME_MAX = 2_147_483_647
SLIDER_STEPS = 999  # of 0.001, as fine as the box


class LocalizeForm(QWidget):
    """Threshold, frames, region and device; `value` gives a config, `setValue` shows one.

    Parameters
    ----------
    viewer : napari.Viewer, optional
        Whose Shapes layers are offered as region.

    Signals
    -------
    valueChanged : LocalizeConfig
        A field was changed by the user or by `setValue`.
    """

    valueChanged = Signal(object)

    def __init__(self, viewer: Any | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config = LocalizeConfig()
        self._movie_length: int | None = None
        self._own_threshold = 0.0
        self._make_fields(viewer)
        self._lay_out()
        self._show(self._config)
        self.threshold.valueChanged.connect(self._place_slider)
        self.slider.valueChanged.connect(self._on_slider)
        for changed in (
            self.threshold.valueChanged,
            self.first_frame.valueChanged,
            self.end_frame.valueChanged,
            self.region.changed,
            self.device.currentTextChanged,
            self.engine.changed,
        ):
            changed.connect(self._on_edited)
        self.more_button.toggled.connect(self._show_more)
        self._show_more(False)

    def value(self) -> LocalizeConfig:
        """Read the settings on show."""
        threshold = self.threshold.value()
        start, end = self.first_frame.value(), self.end_frame.value()
        every = start == 0 and end == self.end_frame.minimum()
        config = self._config.replace(
            threshold=None if threshold == self.threshold.minimum() else round(threshold, 3),
            frames=None if every else (start, end or self._frames_or_max()),
            roi=self.region.value(),
            device=self.device.currentText(),
        )
        return self.engine.value(config)

    @property
    def trouble(self) -> str:
        """Why these settings cannot be used, one sentence; empty if they can."""
        frames = self.value().frames
        if frames is not None and frames[0] >= frames[1]:
            return f"Frames {frames[0]} to {frames[1]} hold none: enter an end after the start."
        return self.region.trouble

    def setValue(self, config: LocalizeConfig) -> None:
        """Show settings."""
        changed = config != self.value()
        self._config = config
        self._show(config)
        if changed:
            self.valueChanged.emit(config)

    def set_movie(self, movie: Image | None) -> None:
        """Limit the fields to the frames and pixels of the chosen movie."""
        self.region.set_movie(movie)
        self.set_movie_length(None if movie is None else len(movie_array(movie)))

    def set_movie_length(self, frames: int | None) -> None:
        """Limit the frame fields to the frames of the chosen movie."""
        before = self.value()
        self._movie_length = frames
        with QSignalBlocker(self.first_frame), QSignalBlocker(self.end_frame):
            self.first_frame.setMaximum(LAST_FRAME_MAX if frames is None else max(0, frames - 1))
            self.end_frame.setMaximum(LAST_FRAME_MAX if frames is None else frames)
        if self.value() != before:
            self.valueChanged.emit(self.value())

    def show_own_threshold(self, threshold: float) -> None:
        """Let the slider stand where the model's own threshold is, so that it is moved from there.

        0 where it is not known.
        """
        self._own_threshold = threshold
        self._place_slider()

    def disconnect_viewer(self) -> None:
        """Stop following layers, before the widget goes."""
        self.region.disconnect_viewer()

    def _frames_or_max(self) -> int:
        return self._movie_length if self._movie_length is not None else LAST_FRAME_MAX

    def _make_fields(self, viewer: Any | None) -> None:
        self.threshold = QDoubleSpinBox()
        self.threshold.setRange(0.0, SLIDER_STEPS / 1000)
        self.threshold.setDecimals(3)
        self.threshold.setSingleStep(0.05)
        self.threshold.setSpecialValueText("model's own")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, SLIDER_STEPS)
        tip = (
            "Smallest detection probability, 0 to 1. Lower finds more molecules and more false "
            "ones; 'model's own' (the lowest value) takes the one the model was tuned for. The "
            "preview follows at once."
        )
        self.threshold.setToolTip(tip)
        self.slider.setToolTip(tip)
        self._make_frame_fields()
        self.region = RegionForm(viewer)
        self.device = QComboBox()
        self.device.addItems(["auto", "cpu", "cuda", "mps"])
        self.device.setEditable(True)  # "cuda:1"
        self.device.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.device.setToolTip(
            "Where the network runs: 'auto' takes a CUDA graphics card, else Apple's, else the "
            "processor. A second card is 'cuda:1'."
        )
        self.engine = EngineForm()
        self.more_button = QToolButton()
        self.more_button.setCheckable(True)
        self.more_button.setAutoRaise(True)
        self.more_button.setToolTip("Engine, precision and sizes: of use for very large movies.")

    def _make_frame_fields(self) -> None:
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

    def _lay_out(self) -> None:
        for box in (self.first_frame, self.end_frame):
            # else ten digits, by Qt's hint, or 70 px, by napari's style, make the dock wide
            box.setStyleSheet("QSpinBox { min-width: 40px; }")
        threshold, frames = QHBoxLayout(), QHBoxLayout()
        for row in (threshold, frames):
            row.setContentsMargins(0, 0, 0, 0)
        threshold.addWidget(self.slider, 1)
        threshold.addWidget(self.threshold)
        frames.addWidget(self.first_frame, 1)
        frames.addWidget(QLabel("to"))
        frames.addWidget(self.end_frame, 1)
        fields = QWidget()
        form = make_form(fields)
        form.addRow(field_label("Threshold"), threshold)
        form.addRow(field_label("Frames"), frames)
        form.addRow(field_label("Region"), self.region)
        form.addRow(field_label("Device"), self.device)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (fields, self.more_button, self.engine):
            column.addWidget(widget)

    def _show(self, config: LocalizeConfig) -> None:
        fields = (self.threshold, self.slider, self.first_frame, self.end_frame, self.device)
        blockers = [QSignalBlocker(field) for field in (*fields, self.region)]
        start, end = config.frames or (0, 0)
        self.threshold.setValue(config.threshold or 0.0)
        self._place_slider()
        self.first_frame.setValue(start)
        self.end_frame.setValue(end)
        self.region.setValue(config.roi)
        self.device.setCurrentText(config.device)
        self.engine.setValue(config)
        for blocker in blockers:
            blocker.unblock()

    @Slot(bool)
    def _show_more(self, shown: bool) -> None:
        self.engine.setVisible(shown)
        self.more_button.setText("▾ Fewer settings" if shown else "▸ More settings")

    @Slot()
    def _place_slider(self) -> None:
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(1000 * (self.threshold.value() or self._own_threshold)))

    @Slot(int)
    def _on_slider(self, value: int) -> None:
        self.threshold.setValue(value / 1000)

    @Slot()
    def _on_edited(self) -> None:
        self.valueChanged.emit(self.value())
