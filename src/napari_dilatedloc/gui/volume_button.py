"""The result on show as a volume: an image layer (z, y, x), for napari's 3-D view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import QPushButton, QWidget

from napari_dilatedloc import render
from napari_dilatedloc.gui.layers import Placement, metadata
from napari_dilatedloc.gui.live import Kept, LiveResult
from napari_dilatedloc.gui.psf_layers import z_unit_among
from napari_dilatedloc.gui.worker import GeneratorWorker, State

_USE = (
    "Adds the localizations as a volume (z, y, x): each a Gaussian as wide as its precision in x, "
    "y and z. Voxels follow the precision, up to 256 MiB. Ctrl+Y turns napari to 3-D."
)
NOT_WORTH_SAYING = 1.2
"""Voxels are larger than the precision allows by so much, and nobody would see it."""
SAMPLE_STEP = 4
"""Every so many voxels along y and x are enough for the contrast."""


@dataclass(frozen=True)
class PlanesDone:
    """How far a volume is."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class VolumeDrawn:
    """A volume (Z, Y, X) float32, where its voxels lie, and the range of brightness to show."""

    image: np.ndarray
    grid: render.VoxelGrid
    limits: tuple[float, float]

    @property
    def said(self) -> str:
        """One or two sentences."""
        z, y, _ = self.grid.voxel_nm
        said = f"Added a volume with voxels of {y:.3g} × {y:.3g} × {z:.3g} nm (x, y, z)."
        if self.grid.coarser > NOT_WORTH_SAYING:
            said += (
                f" The precision allows {self.grid.coarser:.1f} times smaller ones, but the field "
                "is too large for that: filter to a part of it, such as x_nm<5000."
            )
        return f"{said} Ctrl+Y shows it in space."


class VolumeButton(QPushButton):
    """Makes the volume of a result, in the background; pressed again, it cancels.

    Signals
    -------
    said : str
        One sentence.
    failed : str, str
        One sentence and details.
    """

    said = Signal(str)
    failed = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("To 3-D volume", parent)
        self._result: LiveResult | None = None
        self._drawn: LiveResult | None = None  # by the worker
        self._trouble = ""
        self.worker = GeneratorWorker(self)
        self.clicked.connect(self._on_clicked)
        self.worker.yielded.connect(self._on_yielded)
        self.worker.failed.connect(self.failed)
        self.worker.state_changed.connect(self._on_state)
        self._update()

    def show_result(self, result: LiveResult | None, trouble: str) -> None:
        """Take another result; `trouble` says why nothing can be done with it."""
        if result is not self._result:
            self.worker.cancel()
        self._result, self._trouble = result, trouble
        self._update()

    def shut_down(self) -> None:
        """Stop the worker (closing time)."""
        self._drawn = None
        self.worker.stop_and_wait()

    @Slot()
    def _on_clicked(self) -> None:
        if self.worker.state.busy:
            self.worker.cancel()
        elif self._result is not None:
            self._drawn = self._result
            self.worker.start(partial(volume_job, self._result.kept))

    @Slot(list)
    def _on_yielded(self, items: list[PlanesDone | VolumeDrawn]) -> None:
        last = items[-1]
        if isinstance(last, PlanesDone):
            self.said.emit(f"Drawing the volume: plane {last.done} of {last.total}…")
        elif self._drawn is not None and self._drawn is self._result:
            self._drawn.attached.append(VolumeLayer(self._drawn, last))
            self.said.emit(last.said)

    @Slot(object)
    def _on_state(self, state: State) -> None:
        if state is State.CANCELLED:
            self.said.emit("Cancelled; no volume was added.")
        self._update()

    def _update(self) -> None:
        busy = self.worker.state.busy
        self.setText("Cancel volume" if busy else "To 3-D volume")
        self.setEnabled(self.worker.state is State.RUNNING if busy else not self._trouble)
        self.setToolTip("Stops; no layer is added." if busy else self._trouble or _USE)


class VolumeLayer:
    """The layer of a volume, which goes with the result it is of.

    Parameters
    ----------
    result : LiveResult
    drawn : VolumeDrawn
    """

    def __init__(self, result: LiveResult, drawn: VolumeDrawn) -> None:
        self._viewer = viewer = result.viewer
        active = viewer.layers.selection.active
        self.layer: Image = viewer.add_layer(
            Image(
                drawn.image,
                name=f"{result.name} volume",
                colormap="inferno",
                blending="additive",
                contrast_limits=drawn.limits,
                gamma=0.7,
                metadata=metadata(result.info),
                **volume_keywords(
                    drawn.grid, result.placement, result.info.pixel_size_nm, viewer.layers
                ),
            )
        )
        viewer.layers.selection.active = active

    @property
    def layers(self) -> tuple[Any, ...]:
        """The layer, unless the user has taken it away."""
        return (self.layer,) if self.layer in self._viewer.layers else ()


def volume_keywords(
    grid: render.VoxelGrid, placement: Placement, pixel_size_nm: float, layers: Any
) -> dict[str, Any]:
    """Layer keywords for a volume over its movie; z in the movie's unit of length, 0 at focus."""
    a_pixel = np.abs(placement.scale[1:])
    per_nm = float(a_pixel.mean()) / pixel_size_nm
    step = 1 / grid.view.magnification  # camera px
    first = [corner - 0.5 + step / 2 for corner in grid.view.corner]
    plane = zip(placement.translate[1:], placement.scale[1:], first, strict=True)
    z_unit = z_unit_among(layers)
    return {
        "scale": (grid.z_step_nm * per_nm, *(scale * step for scale in placement.scale[1:])),
        "translate": (
            (grid.z_range_nm[0] + grid.z_step_nm / 2) * per_nm,
            *(begin + px * scale for begin, scale, px in plane),
        ),
        "units": (placement.units[1] if z_unit == "nm" else z_unit, *placement.units[1:]),
        "axis_labels": ("z", "y", "x"),
    }


def volume_job(kept: Kept, stop: Event) -> Iterator[PlanesDone | VolumeDrawn]:
    """Draw what was kept of a result, plane by plane; meant for a worker thread.

    Raises
    ------
    ValueError
        If no localization has a z.
    """
    table = kept.store.table()
    grid = render.VoxelGrid.around(table, kept.info.pixel_size_nm)
    image = np.zeros(grid.size, np.float32)
    drawn = render.planes(table, grid.view, grid.z_range_nm, grid.z_step_nm)
    for number, plane in enumerate(drawn):
        image[number] = plane
        if stop.is_set():
            return
        yield PlanesDone(number + 1, len(image))
    limits = render.contrast_limits(image[:, ::SAMPLE_STEP, ::SAMPLE_STEP])
    yield VolumeDrawn(image, grid, limits)
