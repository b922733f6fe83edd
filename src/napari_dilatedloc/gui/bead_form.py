"""Which beads to calibrate from, and how."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Points
from qtpy.QtCore import QSignalBlocker, Signal, Slot
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QSpinBox,
    QWidget,
)

from napari_dilatedloc.config import BeadSettings, VectorialPSFConfig
from napari_dilatedloc.gui.exact_box import ExactBox
from napari_dilatedloc.gui.layer_combo import LayerCombo
from napari_dilatedloc.gui.layers import (
    has_length_unit,
    is_stack,
    known_pixel_size_nm,
    plane_distance_nm,
)
from napari_dilatedloc.gui.optics_form import OpticsForm
from napari_dilatedloc.gui.style import field_label, make_form, narrow

AUTOMATIC = "automatic"


class BeadForm(QWidget):
    """Bead stack, beads and settings; `value` gives the settings, `setValue` shows some.

    Signals
    -------
    changed
        Any field.
    """

    changed = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer_trouble = ""
        self._make_fields()
        self._lay_out()
        self._active_event = viewer.layers.selection.events.active
        self._active_event.connect(self._on_active)
        self.stack_combo.layer_changed.connect(self._on_stack)
        self.method.currentIndexChanged.connect(self._on_method)
        for signal in (
            self.points_combo.layer_changed,
            self.pixel_size.valueChanged,
            self.z_step.valueChanged,
            self.roi_size.valueChanged,
            self.z_direction.currentIndexChanged,
            self.optics.changed,
        ):
            signal.connect(self.changed)
        self._on_method()
        self._on_active()
        self._on_stack()

    def disconnect_viewer(self) -> None:
        """Stop following the viewer's layers, before the widget goes."""
        self._active_event.disconnect(self._on_active)
        self.stack_combo.disconnect_viewer()
        self.points_combo.disconnect_viewer()

    @property
    def stack(self) -> Image | None:
        """The chosen bead stack."""
        return self.stack_combo.layer

    @property
    def points(self) -> Points | None:
        """Layer of beads picked by hand; None to search for them."""
        return self.points_combo.layer

    @property
    def trouble(self) -> str:
        """Why there is nothing to calibrate, one sentence; empty if there is."""
        if self.stack is None:
            return "Open a bead stack first: an image layer with slices, rows and columns."
        if self._layer_trouble:
            return self._layer_trouble
        if not self.pixel_size.value():
            return "Enter the pixel size in nm: camera pixel divided by magnification."
        if not self.z_step.value():
            return "Enter the z step in nm: how far the stage moved from slice to slice."
        if self.roi_size.value() % 2 == 0:
            return f"The ROI must be odd, got {self.roi_size.value()} px: use one more or less."
        if self.points is not None and not len(self.points.data):
            return f"Layer '{self.points.name}' holds no points: click on beads to add some."
        return self.optics.trouble if self._phase else ""

    def value(self) -> BeadSettings:
        """Read the settings on show."""
        optics: VectorialPSFConfig | None = self.optics.value() if self._phase else None
        return BeadSettings(
            pixel_size_nm=self.pixel_size.value() or None,
            z_step_nm=self.z_step.value() or None,
            roi_size=self.roi_size.value(),
            z_direction=self.z_direction.currentData(),
            optics=optics,
        )

    def setValue(self, settings: BeadSettings) -> None:
        """Show settings; lengths that are None stay, or are taken from the stack."""
        method = "spline" if settings.optics is None else "phase"
        if settings.optics is not None:
            self.optics.setValue(settings.optics)
        for field, value in (
            (self.pixel_size, settings.pixel_size_nm),
            (self.z_step, settings.z_step_nm),
            (self.roi_size, settings.roi_size),
        ):
            with QSignalBlocker(field):
                if value is not None:
                    field.setValue(value)
        for combo, data in ((self.z_direction, settings.z_direction), (self.method, method)):
            with QSignalBlocker(combo):
                combo.setCurrentIndex(combo.findData(data))
        self._on_method()

    def reset(self) -> None:
        """Show the defaults and what the stack knows about itself."""
        self.optics.setValue(VectorialPSFConfig())
        with QSignalBlocker(self.z_step), QSignalBlocker(self.pixel_size):
            self.z_step.setValue(0.0)
            self.pixel_size.setValue(0.0)
        self.setValue(BeadSettings())
        self._on_stack()

    @property
    def _phase(self) -> bool:
        return self.method.currentData() == "phase"

    def _make_fields(self) -> None:
        self._make_layer_fields()
        self._make_method_fields()

    def _make_layer_fields(self) -> None:
        self.stack_combo = LayerCombo(self._viewer, is_stack)
        self.stack_combo.setToolTip(
            "Image layer with beads recorded through focus: slices, rows, columns. "
            "Follows the layer you select."
        )
        self.points_combo = LayerCombo(
            self._viewer, lambda layer: isinstance(layer, Points), first=AUTOMATIC
        )
        self.points_combo.setToolTip(
            "Which beads to use. To pick them by hand add a Points layer, click on good beads and "
            "choose that layer here; a click may be off by a few pixels."
        )
        self.pixel_size = _nm_box("not known", 10_000.0, 2)
        self.pixel_size.setToolTip(
            "Side of a camera pixel in the sample, nm: camera pixel divided by magnification. "
            "Taken from the layer where it knows."
        )
        self.z_step = _nm_box("not known", 10_000.0, 1)
        self.z_step.setToolTip(
            "Distance from slice to slice, nm. A wrong one makes every z wrong by the same factor."
        )
        self.roi_size = QSpinBox()
        self.roi_size.setRange(7, 201)
        self.roi_size.setSingleStep(2)
        self.roi_size.setSuffix(" px")
        self.roi_size.setValue(BeadSettings().roi_size)
        self.roi_size.setToolTip(
            "Side of the square around a bead, px, odd. It must hold the whole spot at both ends "
            "of the stack (25 for astigmatism, 41 to 61 for tetrapods); beads nearer to each other "
            "than this are left out."
        )

    def _make_method_fields(self) -> None:
        self.z_direction = QComboBox()
        self.z_direction.addItem("up (z grows)", "up")
        self.z_direction.addItem("down (z falls)", "down")
        self.z_direction.setToolTip(
            "Whether later slices show the beads at larger z (farther from the cover slip, as if "
            "the beads had moved up) or at smaller z. The wrong choice turns every z around."
        )
        self.method = QComboBox()
        self.method.addItem("average (spline)", "spline")
        self.method.addItem("phase retrieval", "phase")
        self.method.setToolTip(
            "'average' takes the mean of all beads as it is, in seconds. 'phase retrieval' then "
            "fits the aberrations of the objective to them, in a minute or two: it needs the "
            "optics, and also serves molecules deeper in the sample."
        )
        narrow(self.z_direction)
        narrow(self.method)
        self.optics = OpticsForm()
        self.apply_scale = QCheckBox("show the stack in nm")
        self.apply_scale.setToolTip(
            "Sets the scale of the stack to these numbers when you calibrate, with z = 0 in the "
            "middle slice, so that the slider shows stack and PSF at the same z."
        )

    def _lay_out(self) -> None:
        form: QFormLayout = make_form(self)
        for text, field in (
            ("Stack", self.stack_combo),
            ("Beads", self.points_combo),
            ("Pixel size", self.pixel_size),
            ("z step", self.z_step),
            ("z direction", self.z_direction),
            ("ROI", self.roi_size),
            ("Method", self.method),
        ):
            form.addRow(field_label(text), field)
        form.addRow(self.optics)
        form.addRow(self.apply_scale)

    @Slot()
    def _on_active(self, _event: Any = None) -> None:
        """Take the layer the user selects, if it is a stack."""
        active = self._viewer.layers.selection.active
        if active is not None and is_stack(active):
            self.stack_combo.select(active)

    @Slot()
    def _on_stack(self) -> None:
        """Show what the stack knows about itself."""
        stack, size, step = self.stack, None, None
        self._layer_trouble = ""
        if stack is not None:
            step = plane_distance_nm(stack)
            try:
                size = known_pixel_size_nm(stack)
            except ValueError as error:
                self._layer_trouble = str(error)
            # ticked only where there is no scale of the user's to lose
            self.apply_scale.setHidden(step is not None and has_length_unit(stack))
            self.apply_scale.setChecked(step is None and bool(stack.scale[-3] == 1))
        with QSignalBlocker(self.pixel_size), QSignalBlocker(self.z_step):
            self.pixel_size.setValue(size or 0.0)
            if step is not None:
                self.z_step.setValue(step)
        self.changed.emit()

    @Slot()
    def _on_method(self) -> None:
        self.optics.setVisible(self._phase)
        self.changed.emit()


def _nm_box(lowest: str, most: float, decimals: int) -> ExactBox:
    """Length in nm whose 0 stands for `lowest`."""
    box = ExactBox(0.0, most, decimals, 1.0, " nm")
    box.setSpecialValueText(lowest)
    return box
