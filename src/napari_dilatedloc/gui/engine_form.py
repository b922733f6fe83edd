"""How a localization runs: what most people never touch."""

from __future__ import annotations

from typing import get_args

from qtpy.QtCore import QSignalBlocker, Signal, Slot
from qtpy.QtWidgets import QComboBox, QSpinBox, QWidget

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.style import field_label, make_form, narrow

AUTOMATIC = "automatic"
MOST = 1_000_000


class EngineForm(QWidget):
    """Engine, precision and sizes of a `LocalizeConfig`.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make_fields()
        form = make_form(self)
        for text, field in (
            ("Engine", self.engine),
            ("Precision", self.precision),
            ("Batch", self.batch_frames),
            ("Block", self.block_frames),
            ("Blocks ahead", self.prefetch_blocks),
            ("Tile", self.tile_size),
        ):
            form.addRow(field_label(text), field)
        for combo in (self.engine, self.precision):
            combo.currentIndexChanged.connect(self._tell)
        for box in (self.batch_frames, self.block_frames, self.prefetch_blocks, self.tile_size):
            box.valueChanged.connect(self._tell)

    def value(self, config: LocalizeConfig) -> LocalizeConfig:
        """Config with the settings on show in place of its own."""
        return config.replace(
            engine=self.engine.currentText(),
            precision=self.precision.currentText(),
            batch_frames=_number(self.batch_frames),
            block_frames=_number(self.block_frames),
            prefetch_blocks=self.prefetch_blocks.value(),
            tile_size=_number(self.tile_size),
        )

    def setValue(self, config: LocalizeConfig) -> None:
        """Show settings; tells nobody."""
        for field, text in ((self.engine, config.engine), (self.precision, config.precision)):
            with QSignalBlocker(field):
                field.setCurrentText(text)
        for box, number in (
            (self.batch_frames, config.batch_frames),
            (self.block_frames, config.block_frames),
            (self.prefetch_blocks, config.prefetch_blocks),
            (self.tile_size, config.tile_size),
        ):
            with QSignalBlocker(box):
                box.setValue(box.minimum() if number is None else number)

    def _make_fields(self) -> None:
        self.engine = _choice("engine")
        self.engine.setToolTip(
            "How the network runs. 'auto' takes the fastest that agrees with 'exact', which goes "
            "layer by layer in float32; 'compiled' needs half a minute to begin."
        )
        self.precision = _choice("precision")
        self.precision.setToolTip(
            "Numbers the network computes with. 'bfloat16' is up to twice as fast on processors "
            "and cards that have it, and costs about 2 nm; elsewhere it changes nothing."
        )
        self.batch_frames = _box(0, AUTOMATIC, " frames")
        self.batch_frames.setToolTip(
            "Frames the network sees at a time; 'automatic' finds it from the memory there is."
        )
        self.block_frames = _box(0, AUTOMATIC, " frames")
        self.block_frames.setToolTip(
            "Frames read at a time; 'automatic' are 64, on a card 256. Fewer: the first result "
            "comes sooner, and Cancel answers sooner with large frames."
        )
        self.prefetch_blocks = _box(2, "", " blocks")
        self.prefetch_blocks.setToolTip(
            "Blocks of frames in memory, so that reading and network do not wait for each other."
        )
        self.tile_size = _box(63, AUTOMATIC, " px")
        self.tile_size.setSingleStep(64)
        self.tile_size.setToolTip(
            "Longest side of the pieces that large frames are cut into, px; at least 64. The "
            "result does not depend on it; with smaller ones it needs less memory "
            "and Cancel answers sooner."
        )

    @Slot()
    def _tell(self) -> None:
        self.changed.emit()


def _choice(field: str) -> QComboBox:
    combo = QComboBox()
    combo.addItems(get_args(LocalizeConfig.model_fields[field].annotation))
    narrow(combo)
    return combo


def _box(least: int, least_text: str, suffix: str) -> QSpinBox:
    """Box for a number; its least value stands for None if it has a text of its own."""
    box = QSpinBox()
    box.setRange(least, MOST)
    box.setSuffix(suffix)
    box.setSpecialValueText(least_text)
    return box


def _number(box: QSpinBox) -> int | None:
    is_none = box.specialValueText() and box.value() == box.minimum()
    return None if is_none else box.value()
