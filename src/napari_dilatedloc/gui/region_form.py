"""Which part of the frame is localized: all of it, a rectangle in numbers, or one that is drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from napari.layers import Image, Shapes
from qtpy.QtCore import QSignalBlocker, Signal, Slot
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSpinBox, QVBoxLayout, QWidget

from napari_dilatedloc.gui.layer_combo import LayerCombo
from napari_dilatedloc.gui.layers import METADATA_KEY, Placement, movie_array

Region = tuple[int, int, int, int]
"""y0, x0, y1, x1 in px, half-open."""

WHOLE, NUMBERS, DRAW = "whole frame", "numbers", "draw a rectangle…"
PX_MAX = 99_999
_NOTHING_DRAWN = "Drag a rectangle over the movie, or choose 'whole frame' as the region."


def bounding_box(shapes: Shapes, movie: Image) -> Region | None:
    """Pixels of a movie that the selected shape, else the newest one, touches; None without one.

    Not cut at the movie's border.
    """
    if not len(shapes.data):
        return None
    chosen = sorted(shapes.selected_data) or [len(shapes.data) - 1]
    corners = [shapes.data_to_world(corner) for k in chosen for corner in shapes.data[k]]
    lead = np.zeros(max(0, movie.ndim - shapes.ndim))  # (y, x) over (t, y, x)
    in_px = np.array([movie.world_to_data((*lead, *corner)[-movie.ndim :]) for corner in corners])
    (y0, x0), (y1, x1) = in_px[:, -2:].min(0), in_px[:, -2:].max(0)
    # pixel k reaches from k - 0.5 to k + 0.5
    first = math.floor(y0 + 0.5), math.floor(x0 + 0.5)
    return (*first, math.ceil(y1 + 0.5), math.ceil(x1 + 0.5))


class RegionForm(QWidget):
    """Choice of a region; `value` gives it in px of the movie.

    Without a viewer only the whole frame and numbers are offered.

    Signals
    -------
    changed
        Another region, by the user or because its shape was moved.
    """

    changed = Signal()

    def __init__(self, viewer: Any | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._movie: Image | None = None
        self._followed: Shapes | None = None
        self._make_fields()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.choice)
        column.addWidget(self.numbers)
        self.choice.layer_changed.connect(self._on_chosen)
        for box in self.boxes:
            box.valueChanged.connect(self._on_number)
        self._show_numbers()

    def value(self) -> Region | None:
        """Give the region; None for the whole frame."""
        if self.choice.currentText() == WHOLE and self.choice.layer is None:
            return None
        y0, x0, y1, x1 = (box.value() for box in self.boxes)
        return y0, x0, y1, x1

    @property
    def trouble(self) -> str:
        """Why there is no such region, one sentence; empty if there is."""
        region = self.value()
        if region is None:
            return ""
        if self._followed is not None and not len(self._followed.data):
            return _NOTHING_DRAWN
        y0, x0, y1, x1 = region
        if y0 >= y1 or x0 >= x1:
            return (
                f"The region y {y0} to {y1}, x {x0} to {x1} px holds no pixel of the movie: enter "
                "ends after the starts, or draw it inside the frame."
            )
        if self._movie is not None:
            height, width = movie_array(self._movie).shape[-2:]
            if y1 > height or x1 > width:
                return (
                    f"The region ends at y {y1}, x {x1} px, but the frames are {height} x {width} "
                    "px: make it smaller, or choose 'whole frame'."
                )
        return ""

    def setValue(self, region: Region | None) -> None:
        """Show a region, as numbers."""
        before = self.value()
        with QSignalBlocker(self.choice):
            self.choice.setCurrentText(WHOLE if region is None else NUMBERS)
        self._stop_following()
        self._fill(region or (0, 0, 0, 0))
        self._show_numbers()
        if self.value() != before:
            self.changed.emit()

    def set_movie(self, movie: Image | None) -> None:
        """Take the movie whose pixels count."""
        if movie is not self._movie:
            self._watch_scale(False)
            self._movie = movie
            self._watch_scale(True)
            self._read()

    def disconnect_viewer(self) -> None:
        """Stop following layers, before the widget goes."""
        self._stop_following()
        self._watch_scale(False)
        if self._viewer is not None:
            self.choice.disconnect_viewer()

    def _make_fields(self) -> None:
        offers = (WHOLE, NUMBERS) if self._viewer is None else (WHOLE, NUMBERS, DRAW)
        self.choice = LayerCombo(self._viewer, lambda layer: isinstance(layer, Shapes), offers)
        self.choice.setToolTip(
            "Part of the frame to localize. A Shapes layer stands for the rectangle around its "
            "selected shape and follows it. Results keep the coordinates of the whole frame."
        )
        self.numbers = QWidget()
        grid = QHBoxLayout(self.numbers)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        self.boxes = tuple(QSpinBox() for _ in range(4))
        y0, x0, y1, x1 = self.boxes
        for word, low, high, what in (("y", y0, y1, "row"), ("x", x0, x1, "column")):
            grid.addWidget(QLabel(word))
            for box, tip in (
                (low, f"First {what} of the region, px, counted from 0."),
                (high, f"{what.capitalize()} that the region stops before, px."),
            ):
                box.setRange(0, PX_MAX)
                box.setToolTip(tip)
                box.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)  # room for digits
                # else four digits by napari's style make the dock wide
                box.setStyleSheet("QSpinBox { min-width: 24px; padding: 0px 2px; }")
                box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            grid.addWidget(low, 1)
            grid.addWidget(QLabel("–"))
            grid.addWidget(high, 1)

    def _fill(self, region: Region) -> None:
        for box, number in zip(self.boxes, region, strict=True):
            with QSignalBlocker(box):
                box.setValue(max(0, number))

    def _show_numbers(self) -> None:
        self.numbers.setVisible(self.value() is not None)

    @Slot()
    def _on_number(self) -> None:
        """Numbers entered by hand are no longer those of a shape."""
        if self.choice.layer is not None:
            with QSignalBlocker(self.choice):
                self.choice.setCurrentText(NUMBERS)
            self._stop_following()
        self.changed.emit()

    @Slot()
    def _on_chosen(self) -> None:
        if self.choice.layer is None and self.choice.currentText() == DRAW:
            self._draw()
            return
        self._follow()

    @Slot()
    def _follow(self) -> None:
        """Follow the chosen Shapes layer; one that was removed leaves its numbers."""
        layer = self.choice.layer
        if layer is None and self._followed is not None:
            with QSignalBlocker(self.choice):
                self.choice.setCurrentText(NUMBERS)
        self._stop_following()
        if layer is not None:
            self._followed = layer
            layer.events.data.connect(self._read)
            layer.selected_data.events.items_changed.connect(self._read)
            self._read()
        elif self.value() == (0, 0, 0, 0) and self._movie is not None:
            height, width = movie_array(self._movie).shape[-2:]
            self._fill((0, 0, height, width))
        self._show_numbers()
        self.changed.emit()

    def _stop_following(self) -> None:
        if self._followed is not None:
            self._followed.events.data.disconnect(self._read)
            self._followed.selected_data.events.items_changed.disconnect(self._read)
            self._followed = None

    def _read(self, _event: Any = None) -> None:
        """Take the rectangle round the followed shape, cut at the movie's border."""
        if self._followed is None or self._movie is None:
            return
        before = self.value()
        box = bounding_box(self._followed, self._movie)
        height, width = movie_array(self._movie).shape[-2:]
        if box is None:
            self._fill((0, 0, 0, 0))
        else:
            y0, x0, y1, x1 = box
            self._fill((max(0, y0), max(0, x0), min(height, y1), min(width, x1)))
        if self.value() != before:
            self.changed.emit()

    def _draw(self) -> None:
        """Add a Shapes layer over the movie, ready for a rectangle."""
        place = None if self._movie is None else Placement.from_layer(self._movie)
        layer = self._viewer.add_shapes(
            name="Region",
            ndim=2,
            edge_color="#ffd54f",
            edge_width=1,
            face_color="transparent",
            metadata={METADATA_KEY: {"region": True}},
            **({} if place is None else place.plane_keywords()),
        )
        layer.mode = "add_rectangle"
        self.choice.select(layer)

    def _watch_scale(self, watch: bool) -> None:
        if self._movie is not None:
            for event in (self._movie.events.scale, self._movie.events.translate):
                if watch:
                    event.connect(self._on_movie_moved)
                else:
                    event.disconnect(self._on_movie_moved)

    def _on_movie_moved(self, _event: Any = None) -> None:
        """Keep a region drawn here on its pixels when the movie gets its scale in nm."""
        shapes, movie = self._followed, self._movie
        if movie is None or shapes is None:
            return
        if shapes.metadata.get(METADATA_KEY, {}).get("region"):
            place = Placement.from_layer(movie).plane_keywords()
            with shapes.events.data.blocker(self._read):
                shapes.scale, shapes.translate = place["scale"], place["translate"]
