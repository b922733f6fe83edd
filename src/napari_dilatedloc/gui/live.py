"""The growing result of a run: its table, its image and the points of the frame on show."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
from napari.layers import Image, Points

from napari_dilatedloc import render
from napari_dilatedloc.gui.layers import (
    Placement,
    contrast_limits,
    features,
    image_layer,
    magnification_for,
    metadata,
    points_style,
)
from napari_dilatedloc.table import Localizations, TableInfo


class LocalizationStore:
    """Localizations in blocks of frames; any frame is found by two binary searches."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._blocks: list[Localizations] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, start: int, block: Localizations) -> None:
        """Add the localizations of the frames from `start` on; blocks come in frame order."""
        self._starts.append(start)
        self._blocks.append(block.sorted_by_frame())
        self._count += len(block)

    def at_frame(self, frame: int) -> Localizations:
        """Localizations of one frame."""
        place = bisect_right(self._starts, frame) - 1
        if place < 0:
            return Localizations.empty()
        block = self._blocks[place]
        first, last = np.searchsorted(block.frame, [frame, frame + 1])
        return block[first:last]

    def table(self) -> Localizations:
        """All localizations in frame order."""
        return Localizations.concatenate(self._blocks)


class FramePoints:
    """A small (y, x) Points layer that shows the localizations of the movie's current frame.

    A layer with all of them is no longer fluid at a million; this one holds a hundred. It lives
    as long as its layer is in the viewer, even when the dock is closed.
    """

    def __init__(
        self, viewer: Any, movie: Image, store: LocalizationStore, info: TableInfo, name: str
    ) -> None:
        self._viewer = viewer
        self._movie_ndim = movie.ndim
        self._placement = Placement.from_layer(movie)
        self._store = store
        self._pixel_size = info.pixel_size_nm
        self._shown: tuple[int, int] | None = None
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
        dims = self._viewer.dims
        axis = dims.ndim - self._movie_ndim
        if axis < 0:
            return 0
        return round((dims.point[axis] - self._placement.translate[0]) / self._placement.scale[0])

    def update(self) -> None:
        """Show the current frame, if it or the number of localizations changed."""
        frame = self.frame
        found = self._store.at_frame(frame)
        if self._shown == (frame, len(found)):
            return
        self._shown = (frame, len(found))
        self.layer.selected_data = set()
        self.layer.data = np.column_stack([found.y, found.x])
        self.layer.features = features(found, self._pixel_size)


class LiveResult:
    """Table and layers of one run; grows block by block.

    Parameters
    ----------
    viewer : napari.Viewer
    movie : napari.layers.Image
        The movie the run is on; its layers are placed over it.
    shape : tuple of int
        (height, width) of the movie, px.
    info : TableInfo
    provenance : dict
        Small plain values kept in the layers' metadata.
    """

    def __init__(
        self,
        viewer: Any,
        movie: Image,
        shape: tuple[int, int],
        info: TableInfo,
        provenance: dict[str, Any],
    ) -> None:
        self.info = info
        self.store = LocalizationStore()
        self.placement = Placement.from_layer(movie)
        self.magnification = magnification_for(shape, info.pixel_size_nm)
        self.frames: tuple[int, int] | None = None
        self._viewer = viewer
        self._name = movie.name
        active = viewer.layers.selection.active
        side = tuple(length * self.magnification for length in shape)
        self._image = np.zeros(side, np.float32)
        data, keywords, _ = image_layer(
            self._image,
            info,
            f"{movie.name} super-resolution",
            self.magnification,
            placement=self.placement,
            **provenance,
        )
        self.image_layer: Image = viewer.add_image(data, **keywords)
        self.points = FramePoints(
            viewer, movie, self.store, info, f"{movie.name} localizations (this frame)"
        )
        viewer.layers.selection.active = active  # napari selects every layer it is given
        self._limits = tuple(self.image_layer.contrast_limits)
        self._dirty = False

    def append(self, start: int, stop: int, localizations: Localizations) -> None:
        """Take the localizations of frames start:stop; `refresh` shows them."""
        self.frames = (start if self.frames is None else self.frames[0], stop)
        self.store.append(start, localizations)
        render.add_histogram(self._image, localizations, self.magnification)
        self._dirty = True

    def refresh(self) -> None:
        """Show what came since the last time; cheap enough for twice a second."""
        if not self._dirty:
            return
        self._dirty = False
        if self.image_layer in self._viewer.layers:
            if tuple(self.image_layer.contrast_limits) == self._limits:  # not touched by the user
                self.image_layer.contrast_limits = contrast_limits(self._image)
                self._limits = tuple(self.image_layer.contrast_limits)
            self.image_layer.refresh(thumbnail=False, extent=False, highlight=False)
        if self.points.layer in self._viewer.layers:
            self.points.update()

    def finish(self, partial: bool) -> None:
        """Show everything; a cut-short result says in its name which frames it holds."""
        self._dirty = True
        self.refresh()
        if self.image_layer in self._viewer.layers:
            self.image_layer.refresh(thumbnail=True, extent=False, highlight=False)
        if partial and self.frames is not None:
            label = f"(frames {self.frames[0]}-{self.frames[1] - 1})"
            self.image_layer.name = f"{self.image_layer.name} {label}"
            self.points.layer.name = f"{self.points.layer.name} {label}"
        for layer in (self.image_layer, self.points.layer):
            ours = dict(layer.metadata)
            ours_key = next(iter(ours))
            ours[ours_key] = {**ours[ours_key], "frames": list(self.frames or (0, 0))}
            layer.metadata = ours

    def hide(self) -> None:
        """Hide the layers, for a newer result over the same movie."""
        self.image_layer.visible = False
        self.points.layer.visible = False
