"""The localizations of the movie's current frame, as a small layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Points

from napari_dilatedloc.gui.colours import ColourBy, Limits, colours_of, values_of
from napari_dilatedloc.gui.layers import (
    POINTS_COLOUR,
    Placement,
    features,
    metadata,
    points_style,
)
from napari_dilatedloc.gui.store import LocalizationStore
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
