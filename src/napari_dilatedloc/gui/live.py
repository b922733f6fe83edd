"""The growing result of a run: its table and its layers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from napari_dilatedloc import render
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui.colours import ColourBy, Limits, colours_of, limits_of, values_of
from napari_dilatedloc.gui.frame_points import FramePoints
from napari_dilatedloc.gui.hue_layer import GUESS, SLICE_MS, HueLayer, pixels_of
from napari_dilatedloc.gui.layers import (
    METADATA_KEY,
    POINTS_CAP,
    Placement,
    contrast_limits,
    image_layer,
    magnification_for,
    points_layer,
)
from napari_dilatedloc.gui.store import LocalizationStore, Mask
from napari_dilatedloc.table import Localizations, TableInfo

CORRECTED_AT_A_TIME = 100_000
"""Rows: some 10 ms of work."""


@dataclass(frozen=True)
class Kept:
    """What a result kept at one moment, for a job: the user may filter on meanwhile.

    Attributes
    ----------
    store : LocalizationStore
        Nobody else changes it.
    info : TableInfo
        What goes with its table: with the filter in its recipe.
    """

    store: LocalizationStore
    info: TableInfo


class Attached(Protocol):
    """Layers that were made of a result, and go where it goes."""

    @property
    def layers(self) -> tuple[Any, ...]:
        """Those that are in the viewer still."""


class LiveResult:
    """Table and layers of one run; grows block by block.

    Parameters
    ----------
    viewer : napari.Viewer
    name : str
        Of the movie.
    placement : Placement
        Where it lies; the layers come to lie over it.
    shape : tuple of int
        (height, width) of the movie, px.
    info : TableInfo
    provenance : dict
        Small plain values kept in the layers' metadata.
    z_range_nm : (float, float), optional
        z that the model covers: first and last colour.
    """

    def __init__(
        self,
        viewer: Any,
        name: str,
        placement: Placement,
        shape: tuple[int, int],
        info: TableInfo,
        provenance: dict[str, Any],
        z_range_nm: Limits | None = None,
    ) -> None:
        self.info, self.shape = info, shape
        self.store = LocalizationStore()
        self.placement = placement
        self.magnification = magnification_for(shape, info.pixel_size_nm)
        self.frames: tuple[int, int] | None = None
        self.viewer = viewer
        self.name = name
        self.z_range_nm = z_range_nm
        self.attached: list[Attached] = []
        self._hidden: list[Any] = []  # layers of these that were on show before it was hidden
        self._hue: HueLayer | None = None
        active = viewer.layers.selection.active
        side = tuple(length * self.magnification for length in shape)
        self._image = np.zeros(side, np.float32)
        data, keywords, _ = image_layer(
            self._image,
            info,
            f"{name} super-resolution",
            self.magnification,
            placement=self.placement,
            **provenance,
        )
        self.image_layer: Image = viewer.add_image(data, **keywords)
        self._points: FramePoints | None = None
        # a layer takes napari a tenth of a second or more, so they come one at a time
        self._later: list[Callable[[], None]] = [self._add_frame_points]
        viewer.layers.selection.active = active  # napari selects every layer it is given
        self._limits = tuple(self.image_layer.contrast_limits)
        self._dirty = False
        self._mask: Mask | None = None
        self._filter = FilterConfig()
        self._places: NDArray[np.int32] | None = None  # pixel of each row, while filtering
        self._corrections: deque[tuple[np.ndarray, np.ndarray]] = deque()  # rows, 1 or -1
        self._timer = QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._correct)
        if self.placement.units[1] != "pixel":
            viewer.canvas.overlays.scale_bar.visible = True

    @property
    def points(self) -> FramePoints:
        """Circles of the current frame."""
        if self._points is None:
            active = self.viewer.layers.selection.active
            name = f"{self.name} localizations (this frame)"
            self._points = FramePoints(self.viewer, self.placement, self.store, self.info, name)
            self.viewer.layers.selection.active = active
        return self._points

    def _add_frame_points(self) -> None:
        self.points.update()

    @property
    def written_info(self) -> TableInfo:
        """What goes with the table that is written: with the filter in its recipe."""
        if self._mask is None:
            return self.info
        return self.info.after("filter", self._filter.stated(), len(self.store))

    @property
    def kept(self) -> Kept:
        """What is kept now."""
        return Kept(self.store.snapshot(), self.written_info)

    @property
    def filter_config(self) -> FilterConfig:
        """What it is filtered by."""
        return self._filter

    @property
    def hue(self) -> HueLayer | None:
        """The layer that tints the image, if it is tinted."""
        return self._hue

    def append(self, start: int, stop: int, localizations: Localizations) -> None:
        """Take the localizations of frames start:stop; `refresh` shows them."""
        self.frames = (start if self.frames is None else self.frames[0], stop)
        self.store.append(start, localizations)
        render.add_histogram(self._image, localizations, self.magnification)
        self._dirty = True

    def filter(self, config: FilterConfig, mask: Mask | None) -> None:
        """Show some localizations only, in image and colours; None: all. `settle` does the rest.

        The image is corrected where the mask changed, so it follows a drag.

        Parameters
        ----------
        config : FilterConfig
            What the mask was made by, for the recipe of what is written.
        mask : ndarray of bool (total,), optional
            In the order of `LocalizationStore.everything`.
        """
        if self._places is None:
            self._places = self.find_places()
        whole = np.ones(self.store.total, dtype=bool)
        before, now = (whole if m is None else m for m in (self._mask, mask))
        self.store.keep(mask)
        self._mask, self._filter = mask, config
        changed = np.flatnonzero((before != now) & (self._places >= 0))
        signs = np.where(now[changed], 1, -1).astype(np.int8)
        for start in range(0, len(changed), CORRECTED_AT_A_TIME):
            part = slice(start, start + CORRECTED_AT_A_TIME)
            self._corrections.append((changed[part], signs[part]))
        self._correct()
        if self._hue is not None:
            self._hue.restart()

    def find_places(self) -> NDArray[np.int32]:
        """Pixel of each localization of a table that has ended, (total,); -1 outside the image.

        Takes long at ten million, so a worker may ask, and `know_places` then takes it.
        """
        everything = self.store.everything()
        return pixels_of(everything, self._image.shape, self.magnification).astype(np.int32)

    def know_places(self, places: NDArray[np.int32]) -> None:
        """Take what `find_places` found."""
        self._places = places

    @property
    def correcting(self) -> bool:
        """Whether the image still follows the last filter."""
        return bool(self._corrections)

    def _correct(self) -> None:
        """Add and take away localizations, and show it when all is done."""
        until = time.monotonic() + SLICE_MS / 1000
        flat = self._image.reshape(-1)
        while self._corrections and self._places is not None:
            rows, signs = self._corrections.popleft()
            np.add.at(flat, self._places[rows], signs.astype(np.float32))
            if time.monotonic() > until:
                break
        self._dirty = True
        if self._corrections:
            self._timer.start()
            return
        self._timer.stop()
        if self.image_layer in self.viewer.layers:
            self.image_layer.refresh(thumbnail=False, extent=False, highlight=False)

    def settle(self) -> None:
        """Let contrast and circles follow a filter."""
        if self._points is not None and self._points.layer in self.viewer.layers:
            self._points.renew()
        self.refresh()

    def refresh(self) -> None:
        """Show what came since the last time; cheap enough for twice a second."""
        if self._later:
            self._later.pop(0)()
        if not self._dirty:
            return
        self._dirty = False
        if self.image_layer in self.viewer.layers:
            if tuple(self.image_layer.contrast_limits) == self._limits:  # not touched by the user
                self.image_layer.contrast_limits = contrast_limits(self._image)
                self._limits = tuple(self.image_layer.contrast_limits)
            self.image_layer.refresh(thumbnail=False, extent=False, highlight=False)
        if self._hue is not None:
            self._hue.catch_up()
        if self._points is not None and self._points.layer in self.viewer.layers:
            if self._hue is not None:
                self._points.colour(self._hue.by, self._hue.limits)
            self._points.update()

    def colour(self, by: ColourBy, *, later: bool = False) -> None:
        """Colour image and circles by a value; the image stays in its place and grows on.

        `later` leaves it to one of the next refreshes.
        """
        if later:
            self._later.append(partial(self.colour, by))
            return
        hue = self._hue
        if hue is not None and hue.by is by and hue.layer in self.viewer.layers:
            return
        if hue is not None:
            hue.remove()
            self._hue = None
        limits = self._first_limits(by)
        if by is not ColourBy.NOTHING and self.image_layer in self.viewer.layers:
            self._hue = HueLayer(
                self.viewer,
                self.image_layer,
                self.store,
                by,
                self.magnification,
                self.info.pixel_size_nm,
                self.z_range_nm if by is ColourBy.Z else None,
            )
        if self.points.layer in self.viewer.layers:
            self.points.colour(by, limits)

    def add_points(self, by: ColourBy) -> str:
        """Add all localizations, or an even sample, as one Points layer; says how many."""
        total = len(self.store)
        some = self.store.sample(POINTS_CAP)
        data, keywords, _ = points_layer(
            some,
            self.info,
            f"{self.name} localizations",
            placement=self.placement,
            total=total,
        )
        if by is not ColourBy.NOTHING:
            values = values_of(some, by, self.info.pixel_size_nm)
            limits = self._hue.limits if self._hue is not None else self._first_limits(by)
            keywords["border_color"] = colours_of(values, limits)
        self.viewer.add_points(data, **keywords)
        if len(some) == total:
            return f"Added all {total:,} localizations as points."
        return (
            f"Added {len(some):,} of {total:,} localizations as points, an even sample: with more, "
            "napari is no longer fluid."
        )

    def _first_limits(self, by: ColourBy) -> Limits:
        if by is ColourBy.Z and self.z_range_nm is not None:
            return self.z_range_nm
        return limits_of(values_of(self.store.sample(GUESS), by, self.info.pixel_size_nm))

    def finish(self, partial: bool) -> None:
        """Show everything; a cut-short result says in its name which frames it holds."""
        while self._later:
            self._later.pop(0)()
        self._dirty = True
        self.refresh()
        if self.image_layer in self.viewer.layers:
            self.image_layer.refresh(thumbnail=True, extent=False, highlight=False)
        if partial and self.frames is not None:
            label = f"(frames {self.frames[0]}-{self.frames[1] - 1})"
            self.image_layer.name = f"{self.image_layer.name} {label}"
            self.points.layer.name = f"{self.points.layer.name} {label}"
        said = {"frames": list(self.frames or (0, 0)), "n_frames": self.info.n_frames}
        for layer in (self.image_layer, self.points.layer):
            ours = layer.metadata[METADATA_KEY]
            layer.metadata = {**layer.metadata, METADATA_KEY: {**ours, **said}}

    def show(self, visible: bool) -> None:
        """Show the layers, or hide them for a newer result over the same movie."""
        self.image_layer.visible = visible
        self.points.layer.visible = visible
        if not visible:
            theirs = (layer for one in self.attached for layer in one.layers)
            self._hidden = [layer for layer in theirs if layer.visible]
        for layer in self._hidden:
            layer.visible = visible

    def remove(self) -> None:
        """Take the layers away."""
        self._timer.stop()
        if self._hue is not None:
            self._hue.remove()
        theirs = [layer for one in self.attached for layer in one.layers]
        for layer in (*theirs, self.image_layer, self.points.layer):
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
