"""The microscope, as phase retrieval needs it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QWidget

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.gui.style import field_label, make_form


class OpticsForm(QWidget):
    """Objective, colour and refractive indices.

    Signals
    -------
    changed
        Any field.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        shown = VectorialPSFConfig()
        self.na = _box(shown.na, 0.3, 1.7, 2, 0.01)
        self.na.setToolTip("Numerical aperture, as engraved on the objective.")
        self.wavelength = _box(shown.wavelength_nm, 300.0, 1200.0, 0, 5.0, " nm")
        self.wavelength.setToolTip("Middle of the emission of the beads, nm.")
        self.immersion = _box(shown.n_immersion, 1.0, 2.0, 3, 0.001)
        self.immersion.setToolTip("Refractive index of the immersion: oil 1.518, silicone 1.406.")
        self.medium = _box(shown.n_medium, 1.0, 2.0, 3, 0.001)
        self.medium.setToolTip("Refractive index around the molecules: water 1.33, buffer 1.35.")
        self.depth = _box(shown.depth_nm, 0.0, 100_000.0, 0, 100.0, " nm")
        self.depth.setToolTip(
            "Height of the focus above the cover slip in the movies the PSF is for, nm; "
            "0 right at the cover slip, where the beads are."
        )
        form = make_form(self)
        for text, box in (
            ("NA", self.na),
            ("Emission", self.wavelength),
            ("Immersion", self.immersion),
            ("Medium", self.medium),
            ("Depth", self.depth),
        ):
            form.addRow(field_label(text), box)
            box.valueChanged.connect(self.changed)

    @property
    def trouble(self) -> str:
        """Why there is no such microscope, one sentence; empty if there may be."""
        indices = min(self.immersion.value(), VectorialPSFConfig().n_cover)
        if self.na.value() >= indices:
            return (
                f"The NA must be smaller than the refractive indices of immersion and cover slip "
                f"({indices:g}), got {self.na.value():g}: correct one of them."
            )
        return ""

    def value(self) -> VectorialPSFConfig:
        """Read the settings on show."""
        return VectorialPSFConfig(
            na=self.na.value(),
            wavelength_nm=self.wavelength.value(),
            n_immersion=self.immersion.value(),
            n_medium=self.medium.value(),
            depth_nm=self.depth.value(),
        )


def _box(
    value: float, least: float, most: float, decimals: int, step: float, suffix: str = ""
) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(least, most)
    box.setDecimals(decimals)
    box.setSingleStep(step)
    box.setSuffix(suffix)
    box.setValue(value)
    return box
