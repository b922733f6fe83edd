"""The growing result of a run: its table, its image and the points of the frame on show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Points

from napari_dilatedloc import render
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui.colours import ColourBy, Limits, colours_of, limits_of, values_of
from napari_dilatedloc.gui.hue_layer import GUESS, HueLayer, pixels_of
from napari_dilatedloc.gui.layers import (
    METADATA_KEY,
    POINTS_CAP,
    POINTS_COLOUR,
    Placement,
    contrast_limits,
    features,
    image_layer,
    magnification_for,
    metadata,
    points_layer,
    points_style,
)
from napari_dilatedloc.gui.store import LocalizationStore, Mask
from napari_dilatedloc.table import Localizations, TableInfo


class FramePoints:
    """A small (y, x) Points layer that shows the localizations of the movie's current frame.

    A layer with all of them is no longer fluid at a million; this one holds a hundred. It lives
    as long as its layer is in the viewer, even when the dock is closed.
    """

    def __init__(
        self,
        viewer: Any,
        placement: Placement,
        store: LocalizationStore,
        info: TableInfo,
        name: str,
    ) -> None:
        self._viewer = viewer
        self._placement = placement
        self._store = store
        self._pixel_size = info.pixel_size_nm
        self._shown: tuple[int, int] | None = None
        self._colour: tuple[ColourBy, Limits] = (ColourBy.NOTHING, (0.0, 1.0))
        self.layer: Points = viewer.add_points(
            np.zeros((0, 2), np.float32),
            features=features(Localizations.empty(), info.pixel_size_nm),
            name=name,
            metadata=metadata(info),
            **self._placement.plane_keywords(),
            **points_style(),
        )

        # napari holds methods weakly but functions strongly: these keep the follower alive
        def follow(_event: Any) -> None:
            self.update()

        def removed(event: Any) -> None:
            if event.value == self.layer:
                viewer.dims.events.current_step.disconnect(follow)
                viewer.layers.events.removed.disconnect(removed)

        viewer.dims.events.current_step.connect(follow)
        viewer.layers.events.removed.connect(removed)
        self.update()

    @property
    def frame(self) -> int:
        """Frame of the movie on show."""
        return self._placement.frame_on_show(self._viewer)

    def colour(self, by: ColourBy, limits: Limits) -> None:
        """Colour the circles by a value."""
        if self._colour == (by, limits):
            return
        self._colour = (by, limits)
        self.renew()

    def renew(self) -> None:
        """Show the current frame anew, whatever was shown."""
        self._shown = None
        self.update()

    def update(self) -> None:
        """Show the current frame, if it or the number of localizations changed."""
        frame = self.frame
        found = self._store.at_frame(frame)
        if self._shown == (frame, len(found)):
            return
        self._shown = (frame, len(found))
        show_points(self.layer, found, self._pixel_size, *self._colour)


def show_points(
    layer: Points, found: Localizations, pixel_size_nm: float, by: ColourBy, limits: Limits
) -> None:
    """Exchange what a small (y, x) Points layer of ours shows."""
    layer.selected_data = set()
    layer.data = np.column_stack([found.y, found.x])
    layer.features = features(found, pixel_size_nm)
    if by is ColourBy.NOTHING:
        layer.border_color = POINTS_COLOUR
    elif len(found):
        layer.border_color = colours_of(values_of(found, by, pixel_size_nm), limits)


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
        self._places: np.ndarray | None = None  # pixel of each localization, while filtering
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
            everything = self.store.everything()
            self._places = pixels_of(everything, self._image.shape, self.magnification)
        whole = np.ones(self.store.total, dtype=bool)
        before, now = (whole if m is None else m for m in (self._mask, mask))
        self.store.keep(mask)
        self._mask, self._filter = mask, config
        changed = np.flatnonzero((before != now) & (self._places >= 0))
        flat = self._image.reshape(-1)
        np.add.at(flat, self._places[changed], np.where(now[changed], 1, -1).astype(np.float32))
        self._dirty = True
        if self.image_layer in self.viewer.layers:
            self.image_layer.refresh(thumbnail=False, extent=False, highlight=False)
        if self._hue is not None:
            self._hue.restart()

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

    def remove(self) -> None:
        """Take the layers away."""
        if self._hue is not None:
            self._hue.remove()
        for layer in (self.image_layer, self.points.layer):
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
