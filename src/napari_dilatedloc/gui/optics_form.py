"""The microscope, as phase retrieval needs it."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QWidget

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.gui.exact_box import ExactBox
from napari_dilatedloc.gui.style import field_label, make_form


class OpticsForm(QWidget):
    """Objective, colour and refractive indices; `value` gives a config, `setValue` shows one.

    What the form has no field for (aberrations, pixel, ROI) is kept as `setValue` got it.

    Signals
    -------
    changed
        Any field.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config = VectorialPSFConfig()
        self._make_fields()
        form = make_form(self)
        for text, box in (
            ("NA", self.na),
            ("Emission", self.wavelength),
            ("Immersion", self.immersion),
            ("Medium", self.medium),
            ("Depth", self.depth),
        ):
            form.addRow(field_label(text), box)
        self.setValue(self._config)
        for box in self._boxes().values():
            box.valueChanged.connect(self.changed)

    @property
    def trouble(self) -> str:
        """Why there is no such microscope, one sentence; empty if there may be."""
        indices = min(self.immersion.value(), self._config.n_cover)
        if self.na.value() >= indices:
            return (
                f"The NA must be smaller than the refractive indices of immersion and cover slip "
                f"({indices:g}), got {self.na.value():g}: correct one of them."
            )
        return ""

    def value(self) -> VectorialPSFConfig:
        """Read the settings on show.

        Raises
        ------
        pydantic.ValidationError
            If they contradict each other; see `trouble`.
        """
        return self._config.replace(**{name: box.value() for name, box in self._boxes().items()})

    def setValue(self, config: VectorialPSFConfig) -> None:
        """Show settings."""
        self._config = config
        for name, box in self._boxes().items():
            with QSignalBlocker(box):
                box.setValue(getattr(config, name))
        self.changed.emit()

    def _boxes(self) -> dict[str, ExactBox]:
        """Boxes by the name of their setting."""
        return {
            "na": self.na,
            "wavelength_nm": self.wavelength,
            "n_immersion": self.immersion,
            "n_medium": self.medium,
            "depth_nm": self.depth,
        }

    def _make_fields(self) -> None:
        self.na = ExactBox(0.3, 1.7, 2, 0.01)
        self.na.setToolTip("Numerical aperture, as engraved on the objective.")
        self.wavelength = ExactBox(300.0, 1200.0, 0, 5.0, " nm")
        self.wavelength.setToolTip("Middle of the emission of the beads, nm.")
        self.immersion = ExactBox(1.0, 2.0, 3, 0.001)
        self.immersion.setToolTip("Refractive index of the immersion: oil 1.518, silicone 1.406.")
        self.medium = ExactBox(1.0, 2.0, 3, 0.001)
        self.medium.setToolTip("Refractive index around the molecules: water 1.33, buffer 1.35.")
        self.depth = ExactBox(0.0, 100_000.0, 0, 100.0, " nm")
        self.depth.setToolTip(
            "Height of the focus above the cover slip in the movies the PSF is for, nm; "
            "0 right at the cover slip, where the beads are."
        )
