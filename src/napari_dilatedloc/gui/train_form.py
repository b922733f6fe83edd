"""A form that edits a `TrainingConfig`: what the movies look like and how long to train."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from qtpy.QtCore import QSignalBlocker, QStandardPaths, Qt, Signal, Slot
from qtpy.QtWidgets import QComboBox, QFileDialog, QLabel, QPushButton, QWidget

from napari_dilatedloc.config import TrainingConfig
from napari_dilatedloc.gui.camera_form import CameraForm, first_sentence
from napari_dilatedloc.gui.exact_box import ExactBox, RangeField
from napari_dilatedloc.gui.preferences import preferences
from napari_dilatedloc.gui.style import Tone, field_label, make_form, narrow, set_tone
from napari_dilatedloc.network.shipped import SUFFIX, available_models

AUTO, NOTHING = "auto", "none"
FROM_NOTHING = "From nothing it takes hours: enter some hundred minutes."
ENOUGH_MINUTES = 60.0
MODEL_FILTER = f"DilatedLoc models (*{SUFFIX})"
CHECKS: dict[str, int] = {
    "validate_every": 100,
    "validation_frames": 150,
    "validation_per_plane": 20,
    "test_emitters": 2000,
}
"""About one short check of the accuracy a minute or two; 'Stop' keeps the best of them."""
RANGES = {"photons": "Photons", "bg": "Background", "density_per_um2": "Density"}


def default_settings() -> TrainingConfig:
    """Defaults of a training that starts from weights, with checks often enough to watch."""
    minutes = TrainingConfig().for_fine_tuning().minutes
    return TrainingConfig(minutes=minutes, **CHECKS)


class TrainForm(QWidget):
    """Ranges, length, start and file; `value` gives a config, `setValue` shows one.

    What the form has no field for (z range, on-time, network ...) is kept as `setValue` got it.

    Signals
    -------
    changed
        Any field.
    """

    changed = Signal()

    def __init__(self, camera: CameraForm, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config = default_settings()
        self._out = Path()
        self.camera = camera
        self._make_fields()
        form = make_form(self)
        for name, text in RANGES.items():
            form.addRow(field_label(text), self.ranges[name])
        form.addRow(self.more)
        for text, field in (
            ("Start from", self.start),
            ("Length", self.minutes),
            ("Save as", self.out_button),
        ):
            form.addRow(field_label(text), field)
        form.addRow(self.note)
        self._show(self._config)
        for field in (*self.ranges.values(), camera):
            field.changed.connect(self.changed)
        self.minutes.valueChanged.connect(self._on_length)
        self.start.currentIndexChanged.connect(self._on_length)
        self.out_button.clicked.connect(self._ask)

    @property
    def init(self) -> str:
        """Weights to start from: "auto", a model's name, or "none"."""
        return str(self.start.currentData())

    def set_init(self, name: str) -> None:
        """Choose the weights to start from: "auto", a model's name or file, or "none"."""
        place = self.start.findData(name)
        if place < 0:
            place = self.start.count() - 1
            self.start.insertItem(place, Path(name).name, name)
            self.start.setItemData(place, name, Qt.ItemDataRole.ToolTipRole)
        self.start.setCurrentIndex(place)

    @property
    def out(self) -> Path:
        """Model file to write."""
        return self._out

    @property
    def settings_trouble(self) -> str:
        """Why there is no such simulation, one sentence; empty if there may be."""
        if self.camera.trouble:
            return self.camera.trouble
        try:
            self.value()
        except ValidationError as error:
            return first_sentence(error)
        return ""

    @property
    def trouble(self) -> str:
        """Why training cannot begin with these settings; empty if it can."""
        if self.settings_trouble:
            return self.settings_trouble
        if self._out.exists():
            return f"{self._out.name} is there already: choose another name under 'Save as'."
        return ""

    def value(self) -> TrainingConfig:
        """Read the settings on show.

        Raises
        ------
        pydantic.ValidationError
            If they contradict each other; see `trouble`.
        """
        ranges = {name: field.value() for name, field in self.ranges.items()}
        changes = {
            "simulation": self._config.simulation.replace(**ranges),
            "camera": self.camera.value(),
            "minutes": self.minutes.value() or None,
        }
        # keeps what was stated and what was not, which fine-tuning looks at
        return self._config.model_copy(update=changes)

    def setValue(self, config: TrainingConfig) -> None:
        """Show settings."""
        self._config = config
        self.camera.setValue(config.camera)  # who else shows the camera must hear of it
        self._show(config)
        self.changed.emit()

    def set_out(self, path: str | Path) -> None:
        """Choose the model file to write."""
        path = Path(path)
        self._out = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
        name = self._out.name
        self.out_button.setText(name if len(name) <= 32 else f"{name[:12]}…{name[-19:]}")
        self.out_button.setToolTip(f"File of the new model: {self._out}. Click for another one.")
        self.changed.emit()

    def suggest_out(self, folder: str | Path | None, name: str) -> None:
        """Choose a file that is not there yet.

        It comes to lie in the folder of models of the preferences, else in the one given, else
        among the documents.
        """
        folder = preferences().models_folder or folder
        if folder is None:
            documents = QStandardPaths.StandardLocation.DocumentsLocation
            folder = QStandardPaths.writableLocation(documents) or Path.home()
        plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
        candidates = (f"{plain}{'' if n == 1 else f'-{n}'}{SUFFIX}" for n in range(1, 1000))
        paths = (Path(folder) / candidate for candidate in candidates)
        self.set_out(next(path for path in paths if not path.exists()))

    def _make_fields(self) -> None:
        photons = RangeField(0.0, 1e7, 0, 100.0)
        photons.setToolTip(
            "Photons that a molecule sends into the microscope while it is on for a whole frame: "
            "the dimmest and the brightest that matter. A program that sums the pixels of a spot "
            "gives somewhat less."
        )
        background = RangeField(0.0, 1e6, 1, 5.0, "/px")
        background.setToolTip(
            "Background in photons per pixel and frame: lowest and highest over field and movie."
        )
        density = RangeField(0.0, 1000.0, 3, 0.05, "/um²")
        density.setToolTip(
            "Molecules that are on at a time, per square micrometre: in the emptiest and in the "
            "fullest part. 1 per um² is crowded for astigmatism, 0.1 for a tetrapod."
        )
        self.ranges = {"photons": photons, "bg": background, "density_per_um2": density}
        self.more = QLabel()
        self.more.setWordWrap(True)
        set_tone(self.more, Tone.MUTED)
        self.more.setToolTip("'Match to movie' estimates these too.")
        self.start = QComboBox()
        self.start.addItem("nearest shipped model", AUTO)
        for name in available_models():
            self.start.addItem(name, name)
        self.start.addItem("nothing (hours)", NOTHING)
        self.start.setToolTip(
            "Weights to begin with. From a model for a similar PSF minutes suffice; from nothing "
            "it takes hours."
        )
        narrow(self.start)
        self.minutes = ExactBox(0.0, 100_000.0, 1, 1.0, " min")
        self.minutes.setToolTip(
            "How long to train, minutes by the clock. Longer is better, with less and less gain."
        )
        self.out_button = QPushButton()
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.note.hide()

    def _show(self, config: TrainingConfig) -> None:
        simulation = config.simulation
        for name, field in self.ranges.items():
            with QSignalBlocker(field):
                field.setValue(getattr(simulation, name))
        with QSignalBlocker(self.minutes):
            # 0 minutes stand for a length in steps
            self.minutes.setSpecialValueText(f"{config.steps:,} steps")
            self.minutes.setValue(config.minutes or 0.0)
        z = simulation.z_range_nm
        heights = "all z of the PSF" if z is None else f"z {z[0]:.0f} to {z[1]:.0f} nm"
        self.more.setText(f"on for {simulation.lifetime_frames:.2g} frames, {heights}")
        self._say_length()

    def _say_length(self) -> None:
        short = self.init == NOTHING and 0 < self.minutes.value() < ENOUGH_MINUTES
        self.note.setText(FROM_NOTHING if short else "")
        self.note.setVisible(short)

    @Slot()
    def _on_length(self) -> None:
        self._say_length()
        self.changed.emit()

    @Slot()
    def _ask(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Save the new model as",
            str(self._out),
            MODEL_FILTER,
            options=QFileDialog.Option.DontConfirmOverwrite,  # models are never overwritten
        )
        if path:
            self.set_out(path)
