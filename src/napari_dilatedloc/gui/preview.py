"""Look before a long run: what would be found in the frame on show."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Points
from napari.utils.colormaps import Colormap
from qtpy.QtCore import QSignalBlocker, QTimer, Signal, Slot
from qtpy.QtWidgets import QCheckBox, QPushButton, QVBoxLayout, QWidget

from napari_dilatedloc.gui.colour_bar import ColourBar
from napari_dilatedloc.gui.colours import ColourBy
from napari_dilatedloc.gui.frame_points import show_points
from napari_dilatedloc.gui.latest_worker import LatestWorker
from napari_dilatedloc.gui.layers import (
    Placement,
    features,
    metadata,
    movie_array,
    points_style,
)
from napari_dilatedloc.gui.preview_job import FrameLook, FrameResidual, OpenModel, preview_job
from napari_dilatedloc.gui.run import Asked
from napari_dilatedloc.gui.shortcuts import PREVIEW, with_keys
from napari_dilatedloc.gui.status_line import StatusLine
from napari_dilatedloc.table import Localizations, TableInfo

REST_MS = 150
"""So long the slider must rest before a frame is looked at."""
LEFT_OVER = Colormap(["#4aa3ff", "#10131a", "#ff5a3d"], name="dilatedloc residual")
"""Blue where the model is too bright, red where light is left over."""
RESIDUAL_SIGMAS = 5.0

_OFF = "Finds the molecules of the frame on show, before any long run; follows the frame slider."
_RUNNING = "Wait until the run has ended: both would compete for the processor."


class PreviewBox(QWidget):
    """A button that keeps the frame on show localized, as circles over the movie.

    Parameters
    ----------
    viewer : napari.Viewer
    asked : callable
        Gives what is to be localized, or one sentence on what is missing.

    Signals
    -------
    looked : float
        A frame was looked at; the model's own threshold.
    """

    looked = Signal(float)

    def __init__(
        self, viewer: Any, asked: Callable[[], Asked | str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._ask = asked
        self._opened = OpenModel()
        self._asked: Asked | None = None
        self._look: FrameLook | None = None
        self._points: Points | None = None
        self._residual: Image | None = None
        self._make_fields()
        self.worker = LatestWorker(self)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._start_look)
        self.button.toggled.connect(self._on_toggled)
        self.residual_box.toggled.connect(self._on_residual)
        self.worker.yielded.connect(self._on_yielded)
        self.worker.failed.connect(self._on_failed)
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def on(self) -> bool:
        """Whether the frame on show is looked at."""
        return bool(self.button.isChecked())

    @property
    def look(self) -> FrameLook | None:
        """What was found last, if it still holds for the frame on show."""
        return self._look

    @property
    def points(self) -> Points | None:
        """Layer of the circles."""
        return self._points

    @property
    def residual(self) -> Image | None:
        """Layer of what is left of the frame."""
        return self._residual

    @Slot()
    def reconsider(self) -> None:
        """Follow what is asked: another threshold only filters, all else is looked at again."""
        if not self.on:
            return
        asked = self._ask()
        if isinstance(asked, str):
            self._switch_off(asked)
            return
        before, self._asked = self._asked, asked
        if before is None or before.movie is not asked.movie:
            self._remove_layers()
        if before is not None and _same_frames(before, asked) and self._look is not None:
            if before.config.threshold != asked.config.threshold:
                self._show_look()
                if self.residual_box.isChecked():
                    self._rest.start()
            return
        self._look = None
        self._rest.start()

    def set_running(self, running: bool) -> None:
        """Give way to a run."""
        if running:
            self._switch_off("")
        self.button.setEnabled(not running)
        self.button.setToolTip(_RUNNING if running else with_keys(_OFF, PREVIEW))

    def shut_down(self) -> None:
        """Stop for good, and let go of the viewer; its layers go too."""
        self._switch_off("")
        self.worker.stop_and_wait()
        self._viewer.dims.events.current_step.disconnect(self._on_step)
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _make_fields(self) -> None:
        self.button = QPushButton("Preview this frame")
        self.button.setCheckable(True)
        self.button.setToolTip(with_keys(_OFF, PREVIEW))
        self.line = StatusLine()
        self.legend = ColourBar()
        self.legend.setToolTip("What the colours of the circles say.")
        self.residual_box = QCheckBox("show what is left of the frame")
        self.residual_box.setToolTip(
            "Frame minus the light of the molecules found and a smooth background, photons a "
            "pixel: grey noise where all is explained, red where light is left over, blue where "
            "too much was taken away."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.button, self.line, self.legend, self.residual_box):
            column.addWidget(widget)
        self._show_fields(False)

    def _show_fields(self, shown: bool) -> None:
        self.legend.setVisible(shown and self._look is not None)
        self.residual_box.setVisible(shown)

    @Slot(bool)
    def _on_toggled(self, on: bool) -> None:
        self._asked = self._look = None
        self._show_fields(on)
        if not on:
            self._rest.stop()
            self.worker.cancel()
            self.line.show_status("")
            self._remove_layers()
            return
        self.line.show_status("Looking…")
        self.reconsider()
        self._rest.stop()
        self._start_look()

    @Slot(bool)
    def _on_residual(self, shown: bool) -> None:
        if shown:
            self._start_look()
        else:
            self._residual = self._remove(self._residual)

    def _on_step(self, _event: Any = None) -> None:
        """Another frame: what was found is not of it, and it is looked at when the slider rests."""
        if not self.on or self._asked is None:
            return
        frame = self._frame()
        if self._look is not None and self._look.frame == frame:
            return
        self._look = None
        if self._points is not None:
            self._points.data = np.zeros((0, 2), np.float32)
        if self._residual is not None:
            self._residual.visible = False
        self._rest.start()

    def _frame(self) -> int:
        asked = self._asked
        if asked is None:
            return 0
        frame = Placement.from_layer(asked.movie).frame_on_show(self._viewer)
        return min(max(frame, 0), len(movie_array(asked.movie)) - 1)

    @Slot()
    def _start_look(self) -> None:
        asked = self._asked
        if not self.on or asked is None:
            return
        residual = self.residual_box.isChecked()
        if self._look is not None and not residual:
            return
        job = partial(
            preview_job,
            self._opened,
            movie_array(asked.movie),
            self._frame(),
            asked.model,
            asked.config,
            asked.camera,
            residual,
            self._look,
        )
        self.worker.replace(job)

    @Slot(list)
    def _on_yielded(self, items: list[FrameLook | FrameResidual]) -> None:
        if not self.on or self._asked is None:
            return
        for item in items:
            if item.frame != self._frame() or self.worker.superseded:
                continue  # the slider has moved on
            if isinstance(item, FrameLook):
                self._look = item
                self.looked.emit(item.own_threshold)
                self._show_look()
            elif self.residual_box.isChecked():
                self._show_residual(self._asked, item)

    @Slot(str, str)
    def _on_failed(self, sentence: str, details: str) -> None:
        if self.on:
            self._switch_off("")
            self.line.show_error(sentence, details)

    def _show_look(self) -> None:
        look, asked = self._look, self._asked
        if look is None or asked is None:
            return
        found = look.above(asked.config.threshold)
        if self._points is None:
            self._points = self._add_points(asked)
        show_points(self._points, found, asked.pixel_size_nm, ColourBy.Z, look.z_range_nm)
        self.legend.show_limits("z", look.z_range_nm, "nm")
        self._show_fields(True)
        least = look.own_threshold if asked.config.threshold is None else asked.config.threshold
        some = "1 localization" if len(found) == 1 else f"{len(found):,} localizations"
        self.line.show_status(f"{some} in this frame (threshold {least:.3g}).")

    def _add_points(self, asked: Asked) -> Points:
        info = TableInfo(asked.pixel_size_nm, shape=movie_array(asked.movie).shape[-2:])
        layer = Points(
            np.zeros((0, 2), np.float32),
            features=features(Localizations.empty(), asked.pixel_size_nm),
            name=f"{asked.movie.name} preview",
            metadata=metadata(info),
            **Placement.from_layer(asked.movie).plane_keywords(),
            **points_style(),
        )
        self._add(layer)
        return layer

    def _show_residual(self, asked: Asked, item: FrameResidual) -> None:
        left = item.photons
        noise = 1.4826 * float(np.median(np.abs(left))) or 1.0
        limits = (-RESIDUAL_SIGMAS * noise, RESIDUAL_SIGMAS * noise)
        keywords = Placement.from_layer(asked.movie).plane_keywords()
        keywords["translate"] = tuple(
            t + n * s
            for t, n, s in zip(keywords["translate"], item.corner, keywords["scale"], strict=True)
        )
        layer = self._residual
        if layer is not None and layer.data.shape == left.shape:
            layer.data, layer.translate, layer.visible = left, keywords["translate"], True
            return
        self._residual = self._remove(layer)
        fresh = Image(
            left,
            name=f"{asked.movie.name} residual (photons)",
            colormap=LEFT_OVER,
            contrast_limits=limits,
            blending="translucent_no_depth",
            interpolation2d="nearest",
            **keywords,
        )
        self._add(fresh, self._viewer.layers.index(asked.movie) + 1)
        self._residual = fresh

    def _add(self, layer: Any, place: int | None = None) -> None:
        active = self._viewer.layers.selection.active
        layers = self._viewer.layers
        layers.insert(len(layers) if place is None else place, layer)
        layers.selection.active = active  # napari selects every layer it is given

    def _switch_off(self, why: str) -> None:
        if self.on:
            self.button.setChecked(False)
        if why:
            self.line.show_error(why)

    def _remove_layers(self) -> None:
        self._points = self._remove(self._points)
        self._residual = self._remove(self._residual)

    def _remove(self, layer: Any) -> None:
        """Take a layer of ours away; whoever asks forgets it."""
        with self._viewer.layers.events.removed.blocker(self._on_removed):
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _on_removed(self, event: Any) -> None:
        """A layer of the preview that the user removes switches it off."""
        if event.value is self._points and event.value is not None:
            self._points = None
            self._switch_off("")
        elif event.value is self._residual and event.value is not None:
            self._residual = None
            with QSignalBlocker(self.residual_box):
                self.residual_box.setChecked(False)


def _same_frames(before: Asked, now: Asked) -> bool:
    """Whether the network would give the same."""
    return (
        before.movie is now.movie
        and before.model == now.model
        and before.camera == now.camera
        and before.pixel_size_nm == now.pixel_size_nm
        and before.config.replace(threshold=None, frames=None)
        == now.config.replace(threshold=None, frames=None)
    )
