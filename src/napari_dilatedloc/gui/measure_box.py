"""Profiles along drawn lines and figures of drawn regions, of the result on show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import Slot
from qtpy.QtWidgets import QDoubleSpinBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_dilatedloc.gui.layers import Placement
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.plot_theme import ThemedPlot
from napari_dilatedloc.gui.status_line import StatusLine
from napari_dilatedloc.gui.style import field_label, make_form

if TYPE_CHECKING:
    from napari_dilatedloc.analysis.profiles import Peak, Profile
    from napari_dilatedloc.analysis.roi_statistics import RoiStatistics

LINES = ("line", "path")
ELLIPSE_CORNERS = 64
PLOT_HEIGHT = 150
_NO_RESULT = "There is no result yet: run Localize first."
_NOTHING_DRAWN = (
    "Draw a line, a rectangle, an ellipse or a polygon in a Shapes layer first; the selected shape "
    "counts, else the newest."
)


class ProfilePlot(ThemedPlot):
    """Counts along a line, with the fitted peak."""

    def show_profile(self, profile: Profile, peak: Peak | None) -> None:
        """Draw it."""
        from napari_dilatedloc.analysis.profiles import gaussian

        axis = self.clear(PLOT_HEIGHT)
        axis.stairs(profile.counts, profile.edges_nm, fill=True, color="tab:blue", alpha=0.7)
        if peak is not None:
            x = np.linspace(0, profile.length_nm, 300)
            curve = gaussian(x, peak.centre_nm, peak.sigma_nm, peak.height, peak.offset)
            axis.plot(x, curve, color="tab:orange", linewidth=1.5)
        axis.set_xlabel("along the line (nm)", fontsize=8)
        axis.set_title("Localizations a bin", fontsize=8, loc="left")
        axis.tick_params(labelsize=7)
        self.show_drawn()


class MeasureBox(QWidget):
    """Measures the shape that was drawn last, over the localizations on show."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._result: LiveResult | None = None
        self.width = _nm_box(100.0, "Width of the band around a line that counts, nm.")
        self.bin = _nm_box(10.0, "Width of a bin along a line, nm.")
        self.button = QPushButton("Measure the drawn shape")
        self.figures = QLabel()
        self.figures.setWordWrap(True)
        self.plot = ProfilePlot()
        self.line = StatusLine()
        fields = QWidget()
        form = make_form(fields)
        form.addRow(field_label("Line width"), self.width)
        form.addRow(field_label("Bins"), self.bin)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (fields, self.button, self.figures, self.plot, self.line):
            layout.addWidget(widget)
        self.button.clicked.connect(self.measure)
        self.show_result(None)

    def show_result(self, result: LiveResult | None) -> None:
        """Take another result; None: there is none, or it still grows."""
        self._result = result
        self._forget()
        self.button.setEnabled(result is not None)
        self.button.setToolTip(
            _NO_RESULT
            if result is None
            else "A line gives a profile with the width of its peak; a closed shape gives count, "
            "area, density, photons and precision inside."
        )

    @Slot()
    def measure(self) -> None:
        """Measure the selected shape, else the newest, of the topmost Shapes layer."""
        self._forget()
        if self._result is None:
            return
        drawn = drawn_shape(self._result.viewer, self._result.placement)
        if drawn is None:
            self.line.show_error(_NOTHING_DRAWN)
            return
        kind, corners = drawn
        try:
            if kind in LINES:
                self._profile(self._result, corners)
            else:
                self._statistics(self._result, corners)
        except ValueError as error:
            text = str(error)
            self.line.show_error(f"{text[0].upper()}{text[1:]}.")

    def _profile(self, result: LiveResult, corners: np.ndarray) -> None:
        from napari_dilatedloc.analysis.profiles import fit_peak, line_profile

        pixel = result.info.pixel_size_nm
        width, bin_nm = self.width.value() / pixel, self.bin.value()
        table = result.store.table()
        profile = line_profile(table, pixel, corners, width_px=width, bin_nm=bin_nm)
        try:
            peak = fit_peak(profile)
        except ValueError:  # a profile without a peak is one all the same
            peak = None
        self.plot.show_profile(profile, peak)
        self._say(profile_said(profile, peak))

    def _statistics(self, result: LiveResult, corners: np.ndarray) -> None:
        from napari_dilatedloc.analysis.roi_statistics import roi_statistics

        found = roi_statistics(result.store.table(), result.info.pixel_size_nm, corners)
        self._say(statistics_said(found))

    def _say(self, text: str) -> None:
        self.figures.setText(text)
        self.figures.show()

    def _forget(self) -> None:
        self.figures.hide()
        self.plot.hide()
        self.line.show_status("")


def drawn_shape(viewer: Any, placement: Placement) -> tuple[str, np.ndarray] | None:
    """Kind and corners (P, 2) y, x in px of the shape that is meant; None without one.

    It is the selected one, else the newest, of the active Shapes layer, else of the topmost that
    has one.
    """
    active = viewer.layers.selection.active
    for layer in (active, *reversed(viewer.layers)):
        if isinstance(layer, Shapes) and len(layer.data):
            which = max(layer.selected_data, default=len(layer.data) - 1)
            kind = str(layer.shape_type[which])
            corners = np.array([layer.data_to_world(corner) for corner in layer.data[which]])
            px = (corners[:, -2:] - placement.translate[1:]) / placement.scale[1:]
            return kind, _outline(px) if kind == "ellipse" else px
    return None


def profile_said(profile: Profile, peak: Peak | None) -> str:
    """One or two lines."""
    said = f"{len(profile.rows):,} localizations along {profile.length_nm:,.0f} nm"
    if peak is None:
        return f"{said}; no peak across it."
    return (
        f"{said}\npeak at {peak.centre_nm:.0f} nm, full width at half maximum {peak.fwhm_nm:.1f} nm"
    )


def statistics_said(found: RoiStatistics) -> str:
    """A few lines; what is unknown is left out."""
    lines = [
        f"{found.count:,} localizations in {found.area_um2:.3g} µm², "
        f"{found.density_per_um2:,.0f} per µm²"
    ]
    figures = (
        ("{:,.0f} photons", found.photons),
        ("{:.0f} background", found.bg),
        ("precision {:.1f} nm", found.sigma_lateral_nm),
        ("in z {:.1f} nm", found.sigma_z_nm),
        ("z {:.0f} nm on average", found.z_nm),
        ("spread {:.0f} nm", found.z_spread_nm),
    )
    known = [text.format(value) for text, value in figures if np.isfinite(value)]
    lines += [", ".join(known[i : i + 2]) for i in range(0, len(known), 2)]
    if found.count:
        lines.append(f"frames {found.first_frame}-{found.last_frame}, on in {found.frames:,}")
    return "\n".join(lines)


def _outline(box: np.ndarray) -> np.ndarray:
    """Polygon (P, 2) of an ellipse given by the four corners of its box, which may be turned."""
    middle = box.mean(axis=0)
    one, other = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    turn = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)[:, None]
    outline: np.ndarray = middle + np.cos(turn) * one + np.sin(turn) * other
    return outline


def _nm_box(value: float, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0.5, 100_000)
    box.setDecimals(1)
    box.setValue(value)
    box.setSuffix(" nm")
    box.setToolTip(tip)
    return box
