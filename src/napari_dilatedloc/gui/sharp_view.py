"""What is zoomed in on, drawn anew: each localization as a Gaussian as wide as its precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Slot

from napari_dilatedloc import render
from napari_dilatedloc.gui.latest_worker import LatestWorker
from napari_dilatedloc.gui.layers import contrast_limits
from napari_dilatedloc.gui.live import LiveResult

if TYPE_CHECKING:
    from napari_dilatedloc.gui.store import LocalizationStore

REST_MS = 150
"""From the last movement to the drawing."""
GAIN = 1.3
"""The view is drawn anew where its pixels are finer than the image's by so much."""
FINEST_NM = 0.5
"""Pixels are never finer."""
LOOK = ("colormap", "blending", "gamma")
"""What the drawing takes over from the image."""
MARGIN = 0.15
"""Drawn beyond each border, in parts of the view, so that small movements show no edge."""


@dataclass(frozen=True)
class Box:
    """A part of the camera at a scale: first px (y, x), (height, width) px, pixels a px."""

    corner: tuple[float, float]
    shape: tuple[float, float]
    magnification: float


@dataclass(frozen=True)
class Drawn:
    """A box, drawn from an index of the localizations that a store told of."""

    box: Box
    image: np.ndarray
    index: render.PlaceIndex
    store: LocalizationStore


class SharpView(QObject):
    """Follows the camera of a viewer over one result; the image gives way where it is coarser.

    Parameters
    ----------
    result : LiveResult
        It has ended.
    """

    def __init__(self, result: LiveResult, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.layer: Image | None = None
        self.worker = LatestWorker(self)
        self._viewer, self._result = result.viewer, result
        self._store = result.store.snapshot()
        self._index: render.PlaceIndex | None = None
        self._box: Box | None = None
        self._opacity: float | None = None  # of the image, while it gives way
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._look)
        self.worker.yielded.connect(self._on_drawn)
        self._viewer.scene.camera.events.zoom.connect(self._on_moved)
        self._viewer.scene.camera.events.center.connect(self._on_moved)
        self._viewer.dims.events.ndisplay.connect(self._on_moved)
        self._viewer.layers.events.removed.connect(self._on_removed)
        result.image_layer.events.visible.connect(self._on_moved)
        for name in LOOK:
            result.image_layer.events[name].connect(self._on_look)
        self._rest.start()

    @Slot()
    def renew(self) -> None:
        """Draw other localizations, since a filter changed."""
        self._store = self._result.store.snapshot()
        self._index = self._box = None
        self._rest.start()

    def end(self) -> None:
        """Let go of the viewer, and give the image back; a drawing at work ends by itself."""
        self._rest.stop()
        self._viewer.scene.camera.events.zoom.disconnect(self._on_moved)
        self._viewer.scene.camera.events.center.disconnect(self._on_moved)
        self._viewer.dims.events.ndisplay.disconnect(self._on_moved)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._result.image_layer.events.visible.disconnect(self._on_moved)
        for name in LOOK:
            self._result.image_layer.events[name].disconnect(self._on_look)
        self._step_back()

    def _on_look(self, _event: Any) -> None:
        if self.layer is not None:
            for name, value in self._look_of_image().items():
                setattr(self.layer, name, value)

    def _look_of_image(self) -> dict[str, Any]:
        return {name: getattr(self._result.image_layer, name) for name in LOOK}

    def _on_moved(self, _event: Any) -> None:
        self._rest.start()

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:  # the user took it away
            self.layer = None
            self._step_back()
        elif event.value is self._result.image_layer:
            self._box = None
            self.worker.cancel()
            # later: napari may be removing several layers, and this one is among them
            self._rest.start()

    @Slot()
    def _look(self) -> None:
        """Draw what is on show, if that is finer than the image."""
        image = self._result.image_layer
        if image not in self._viewer.layers or not image.visible or self._viewer.dims.ndisplay == 3:
            self._step_back()
            return
        box = box_of(
            image.corner_pixels[:, -2:] / self._result.magnification - 0.5,
            self._viewer.scene.camera.zoom * self._result.placement.scale[1],
            self._result.info.pixel_size_nm,
        )
        if box is None or box.magnification < GAIN * self._result.magnification:
            self._step_back()
            return
        if box != self._box:
            self._box = box
            self.worker.replace(partial(_draw, self._store, self._index, box))

    @Slot(list)
    def _on_drawn(self, items: list[Drawn]) -> None:
        drawn = items[-1]
        if drawn.store is not self._store:  # of a former filter
            return
        self._index = drawn.index
        if self.worker.superseded or drawn.box != self._box:
            return
        self._show(drawn)

    def _show(self, drawn: Drawn) -> None:
        image, placed = self._result.image_layer, self._result.placement
        if self._opacity is None:
            self._opacity, image.opacity = image.opacity, 0.0
        step = [scale / drawn.box.magnification for scale in placed.scale[1:]]
        first = [
            begin + (corner - 0.5 + 0.5 / drawn.box.magnification) * scale
            for begin, corner, scale in zip(
                placed.translate[1:], drawn.box.corner, placed.scale[1:], strict=True
            )
        ]
        if self.layer is None:
            active = self._viewer.layers.selection.active
            self.layer = Image(
                drawn.image,
                name=f"{self._result.name} (zoomed in)",
                scale=step,
                translate=first,
                units=image.units,
                axis_labels=image.axis_labels,
                contrast_limits=contrast_limits(drawn.image),
                opacity=self._opacity,
                **self._look_of_image(),
            )
            self._viewer.layers.insert(self._viewer.layers.index(image) + 1, self.layer)
            self._viewer.layers.selection.active = active
            return
        self.layer.data = drawn.image
        self.layer.scale, self.layer.translate = step, first
        self.layer.contrast_limits = contrast_limits(drawn.image)
        self.layer.visible = True

    def _step_back(self) -> None:
        """Show the image itself again."""
        self._box = None
        self.worker.cancel()
        if self._opacity is not None:
            self._result.image_layer.opacity, self._opacity = self._opacity, None
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)


def box_of(corners: np.ndarray, magnification: float, pixel_size_nm: float) -> Box | None:
    """What to draw of a view.

    Parameters
    ----------
    corners : ndarray (2, 2)
        Borders of what is on show, px: (first, last) of y and x.
    magnification : float
        Pixels of the screen along a camera pixel.
    pixel_size_nm : float
        Of the camera, nm.

    Returns
    -------
    Box or None
        None where nothing is on show.
    """
    low, high = corners
    extent = high - low
    if not (extent > 0).all():
        return None
    low, extent = low - MARGIN * extent, (1 + 2 * MARGIN) * extent
    finest = pixel_size_nm / FINEST_NM
    corner, shape = (low + 0.5).round(3), extent.round(3)
    return Box(
        (float(corner[0]), float(corner[1])),
        (float(shape[0]), float(shape[1])),
        float(np.float32(min(magnification, finest))),
    )


def _draw(
    store: LocalizationStore, index: render.PlaceIndex | None, box: Box, stop: Event
) -> Iterator[Drawn]:
    """Job: the index, once, and the image of a box."""
    index = index or render.PlaceIndex(store.table())
    if stop.is_set():
        return
    part = index.within(box.corner, box.shape)
    image = render.gaussian(part, box.shape, box.magnification, corner=box.corner)
    yield Drawn(box, image, index, store)
