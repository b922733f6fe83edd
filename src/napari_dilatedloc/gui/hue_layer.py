"""A layer that tints the super-resolution image: the mean of a value in every sub-pixel.

It lies on the image and multiplies it, so brightness stays density, the graphics card mixes the
two, and both grow in place. The status bar shows the value itself.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QTimer

from napari_dilatedloc.gui.colours import RAINBOW, ColourBy, Limits, limits_of, values_of
from napari_dilatedloc.gui.layers import DENSITY_STYLE
from napari_dilatedloc.gui.store import LocalizationStore
from napari_dilatedloc.render import sub_pixels
from napari_dilatedloc.table import Localizations

SLICE_MS = 12
"""Work at a time: the event loop answers in between."""
GUESS = 20_000
"""Localizations that limits are taken from."""


def pixels_of(table: Localizations, shape: tuple[int, ...], magnification: int) -> np.ndarray:
    """Sub-pixel of each localization as a place in the flat image, (N,) int; -1 outside of it."""
    v, u = sub_pixels(table, magnification)
    height, width = shape
    inside = (v >= 0) & (v < height) & (u >= 0) & (u < width)  # NaN: False
    places = np.full(len(table), -1, np.intp)
    places[inside] = v[inside].astype(np.intp) * width + u[inside].astype(np.intp)
    return places


class MeanImage:
    """Mean value of the localizations in each sub-pixel; grows block by block.

    Attributes
    ----------
    mean : array (H m, W m) float32
        0 where there is none.
    """

    def __init__(self, shape: tuple[int, ...], magnification: int) -> None:
        self.mean = np.zeros(shape, np.float32)
        self._count = np.zeros(shape, np.float32)
        self._magnification = magnification

    def clear(self) -> None:
        """Forget all localizations."""
        self.mean[:] = 0
        self._count[:] = 0

    def add(self, table: Localizations, values: np.ndarray) -> None:
        """Take localizations with their values; those of unknown value do not count."""
        index = pixels_of(table, self.mean.shape, self._magnification)
        good = np.isfinite(values) & (index >= 0)
        index, values = index[good], values[good]
        places, which = np.unique(index, return_inverse=True)
        count, mean = self._count.reshape(-1), self.mean.reshape(-1)
        more = np.bincount(which, minlength=len(places))
        sums = np.bincount(which, weights=values, minlength=len(places))
        before = count[places]
        mean[places] = (mean[places] * before + sums) / (before + more)
        count[places] = before + more


class HueLayer:
    """The tinting layer over one super-resolution image.

    Works through the blocks of a store in slices of the event loop's idle time, so that choosing a
    colour for ten million localizations does not freeze napari, and so that what comes during a
    run is taken the same way.

    Parameters
    ----------
    viewer : napari.Viewer
    image : napari.layers.Image
        The density; it is shown grey and hides the movie while this layer is there.
    store : LocalizationStore
        What is shown; may grow.
    by : ColourBy
    magnification : int
    pixel_size_nm : float
    limits : (float, float), optional
        First and last colour; default: from what there is, until the user sets them.
    """

    def __init__(
        self,
        viewer: Any,
        image: Image,
        store: LocalizationStore,
        by: ColourBy,
        magnification: int,
        pixel_size_nm: float,
        limits: Limits | None = None,
    ) -> None:
        self.by = by
        self._viewer = viewer
        self._density = image
        self._store = store
        self._pixel_size = pixel_size_nm
        self._image = MeanImage(image.data.shape, magnification)
        self._taken = 0  # blocks of the store
        self._over = False  # whether it has let go of the viewer
        self._fixed = limits is not None
        image.colormap, image.blending = "gray", "translucent_no_depth"
        active = viewer.layers.selection.active
        self.layer = Image(
            self._image.mean,
            name=f"{image.name}: {by.label}",
            colormap=RAINBOW,
            blending="multiplicative",
            contrast_limits=limits or self._guess(),
            interpolation2d="nearest",
            scale=image.scale,
            translate=image.translate,
            units=image.units,
            axis_labels=image.axis_labels,
            visible=image.visible,
        )
        viewer.layers.insert(viewer.layers.index(image) + 1, self.layer)
        self.layer.colorbar.visible = True
        viewer.layers.selection.active = active
        self._limits = tuple(self.layer.contrast_limits)
        self._timer = QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._work)
        viewer.layers.events.removed.connect(self._on_removed)
        image.events.visible.connect(self._on_visible)
        self.catch_up()

    @property
    def limits(self) -> Limits:
        """First and last colour as the user has them now."""
        low, high = self.layer.contrast_limits
        return float(low), float(high)

    @property
    def busy(self) -> bool:
        """Whether blocks are waiting to be taken."""
        return self._taken < self._store.blocks

    def catch_up(self) -> None:
        """Take what came since, in idle time."""
        if self.busy and self.layer in self._viewer.layers:
            self._timer.start()

    def restart(self) -> None:
        """Take all blocks anew, since the store tells of other localizations now."""
        self._image.clear()
        self._taken = 0
        self.catch_up()

    def remove(self) -> None:
        """Take the layer away, and give the density its own colours back."""
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        else:
            self._let_go()

    def _work(self) -> None:
        until = time.monotonic() + SLICE_MS / 1000
        while self.busy and time.monotonic() < until:
            block = self._store.block(self._taken)
            self._image.add(block, values_of(block, self.by, self._pixel_size))
            self._taken += 1
        if not self.busy:
            self._timer.stop()
            self._show()

    def _show(self) -> None:
        """Show what was taken; the limits follow until the user touches them."""
        if not self._fixed and tuple(self.layer.contrast_limits) == self._limits:
            self.layer.contrast_limits = self._guess()
            self._limits = tuple(self.layer.contrast_limits)
        self.layer.refresh(thumbnail=False, extent=False, highlight=False)

    def _guess(self) -> Limits:
        return limits_of(values_of(self._store.sample(GUESS), self.by, self._pixel_size))

    def _on_removed(self, event: Any) -> None:
        if event.value == self.layer:
            self._let_go()
        elif event.value == self._density:
            self._let_go()
            # alone it would tint the movie; later, since napari may be removing several layers
            QTimer.singleShot(0, self.remove)

    def _on_visible(self, _event: Any) -> None:
        """Hide with the image: alone this layer would tint the movie."""
        self.layer.visible = self._density.visible

    def _let_go(self) -> None:
        if self._over:
            return
        self._over = True
        self._timer.stop()
        self._density.events.visible.disconnect(self._on_visible)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for name, value in DENSITY_STYLE.items():
            setattr(self._density, name, value)
