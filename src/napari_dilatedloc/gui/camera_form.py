"""A form that edits a `CameraConfig`."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from qtpy.QtCore import QSignalBlocker, Signal, Slot
from qtpy.QtWidgets import QComboBox, QLabel, QWidget

from napari_dilatedloc.config import CameraConfig, EMCCDConfig, SCMOSConfig
from napari_dilatedloc.gui.exact_box import ExactBox
from napari_dilatedloc.gui.style import Tone, field_label, make_form, narrow, set_tone

KINDS = {"scmos": SCMOSConfig, "emccd": EMCCDConfig}
KEPT = {"baseline", "qe", "max_adu"}
"""What does not change with the kind of camera; for the rest the kinds have defaults."""


class CameraForm(QWidget):
    """Kind and numbers of a camera; `value` gives a config, `setValue` shows one.

    What the form has no field for (maps, spurious charge) is kept as `setValue` got it.

    Signals
    -------
    changed
        Any field.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config: SCMOSConfig | EMCCDConfig = SCMOSConfig()
        self._make_fields()
        self._form = make_form(self)
        for text, field in (
            ("Kind", self.kind),
            ("Baseline", self.baseline),
            ("e⁻ per ADU", self.e_per_adu),
            ("QE", self.qe),
            ("Read noise", self.read_noise),
            ("EM gain", self.em_gain),
        ):
            self._form.addRow(field_label(text), field)
        self._form.addRow(self.note)
        self._show(self._config)
        self.kind.currentIndexChanged.connect(self._on_kind)
        for box in self._boxes().values():
            box.valueChanged.connect(self.changed)

    @property
    def trouble(self) -> str:
        """Why there is no such camera, one sentence; empty if there may be."""
        try:
            self.value()
        except ValidationError as error:
            return first_sentence(error)
        return ""

    def value(self) -> CameraConfig:
        """Read the settings on show.

        Raises
        ------
        pydantic.ValidationError
            If they contradict each other; see `trouble`.
        """
        return self._config.replace(**{name: box.value() for name, box in self._boxes().items()})

    def setValue(self, config: CameraConfig) -> None:
        """Show settings."""
        self._config = config
        self._show(config)
        self.changed.emit()

    def _boxes(self) -> dict[str, ExactBox]:
        """Boxes by the name of their setting."""
        boxes = {
            "baseline": self.baseline,
            "e_per_adu": self.e_per_adu,
            "qe": self.qe,
            "read_noise_e": self.read_noise,
        }
        return boxes | ({"em_gain": self.em_gain} if self._config.kind == "emccd" else {})

    def _make_fields(self) -> None:
        self.kind = QComboBox()
        self.kind.addItem("sCMOS or CCD", "scmos")
        self.kind.addItem("EMCCD", "emccd")
        self.kind.setToolTip("EMCCD if the electron-multiplying gain was on; else sCMOS or CCD.")
        narrow(self.kind)
        self.baseline = ExactBox(0.0, 1e6, 1, 1.0, " ADU")
        self.baseline.setToolTip(
            "What a pixel counts without light, ADU (grey levels): about the darkest pixels of "
            "a movie, and what the data sheet calls offset or bias."
        )
        self.e_per_adu = ExactBox(1e-4, 1e4, 4, 0.01)
        self.e_per_adu.setToolTip(
            "Photoelectrons per grey level (ADU), from the data sheet: 0.2 to 0.5 for most sCMOS "
            "cameras, 3 to 50 for EMCCD cameras (before it is divided by the EM gain)."
        )
        self.qe = ExactBox(0.01, 1.0, 2, 0.01)
        self.qe.setToolTip("Quantum efficiency: share of the photons that the camera counts, 0-1.")
        self.read_noise = ExactBox(0.0, 1e4, 2, 0.1, " e⁻")
        self.read_noise.setToolTip(
            "Read noise, electrons (standard deviation); for an EMCCD that after the gain."
        )
        self.em_gain = ExactBox(1.0, 1e4, 1, 10.0)
        self.em_gain.setToolTip("Electron-multiplying gain, as set during the recording.")
        self.note = QLabel()
        self.note.setWordWrap(True)
        set_tone(self.note, Tone.MUTED)
        self.note.hide()

    def _show(self, config: SCMOSConfig | EMCCDConfig) -> None:
        emccd = config.kind == "emccd"
        with QSignalBlocker(self.kind):
            self.kind.setCurrentIndex(self.kind.findData(config.kind))
        for name, box in self._boxes().items():
            with QSignalBlocker(box):
                box.setValue(getattr(config, name))
        self._form.setRowVisible(self.em_gain, emccd)
        maps = getattr(config, "maps", None)
        self.note.setText(f"Per-pixel maps: {Path(maps).name}" if maps else "")
        self.note.setVisible(bool(maps))

    @Slot()
    def _on_kind(self) -> None:
        """Take what the other kind has by default, but for what does not depend on it."""
        kept = {name: getattr(self._config, name) for name in KEPT}
        kept |= {"baseline": self.baseline.value(), "qe": self.qe.value()}
        self.setValue(KINDS[self.kind.currentData()](**kept))


def first_sentence(error: ValidationError) -> str:
    """What pydantic found first, as a sentence for the user."""
    first = error.errors()[0]
    sentence = first["msg"].removeprefix("Value error, ")
    if first["loc"]:
        sentence = f"{first['loc'][-1]}: {sentence}"
    return f"{sentence[0].upper()}{sentence[1:]}."
