"""What napari calls: reader, writer, sample data and the menu actions (see napari.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import napari
import napari.viewer
import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QApplication, QInputDialog

from napari_dilatedloc import render
from napari_dilatedloc.gui.layers import (
    LayerData,
    Placement,
    field_of,
    image_layer,
    localizations_from_points,
    magnification_for,
    metadata,
    pixel_size_nm,
    points_layer,
)
from napari_dilatedloc.io.tables import can_read, needs_pixel_size, read_table, write_table
from napari_dilatedloc.table import Localizations, TableInfo

SAMPLE_MODEL = "astigmatism"
SAMPLE_FRAMES = 300
SAMPLE_SHAPE = (64, 64)


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerData]] | None:
    """Reader of a localization table; None for any file that is not one (a foreign CSV)."""
    if not isinstance(path, str):
        if len(path) != 1:
            return None
        path = path[0]
    return partial(_read, path) if can_read(path) else None


def write_points(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a Points layer as a table; the suffix decides the format."""
    localizations, info = localizations_from_points(data, attributes)
    return [str(written) for written in write_table(path, localizations, info)]


def sample() -> list[LayerData]:
    """Movie of blinking filaments, simulated on the spot with the PSF of the shipped model."""
    from napari_dilatedloc.network.checkpoint import load_model
    from napari_dilatedloc.psf.build import build_psf
    from napari_dilatedloc.simulation.structure import simulate_structure

    model = load_model(SAMPLE_MODEL)
    size = model.info.pixel_size_nm
    movie, _ = simulate_structure(
        build_psf(model.info.psf, model.psf_tensors),
        model.info.camera,
        frames=SAMPLE_FRAMES,
        size=SAMPLE_SHAPE,
        seed=1,
    )
    info = TableInfo(size, shape=SAMPLE_SHAPE, n_frames=SAMPLE_FRAMES)
    keywords = {
        "name": "Blinking filaments",
        "contrast_limits": [float(level) for level in np.percentile(movie, (1, 99.9))],
        "metadata": metadata(info),
        **Placement.from_pixel_size(size).frame_keywords(),
    }
    return [(movie, keywords, "image")]


def localize_stack(viewer: napari.viewer.Viewer) -> None:
    """Open the dock on the active layer, and start when nothing is missing."""
    active = viewer.layers.selection.active
    dock = _dock(viewer)
    if dock.select_movie(active):
        dock.start()


def calibrate_psf(viewer: napari.viewer.Viewer) -> None:
    """Open the dock where a PSF is measured, with the active layer as the bead stack."""
    active = viewer.layers.selection.active
    _dock(viewer).calibrate_from(active)


def export_localizations(viewer: napari.viewer.Viewer) -> None:
    """Ask for a file and write the table of the dock's last run."""
    _dock(viewer).export()


def _dock(viewer: napari.viewer.Viewer) -> Any:
    """Our dock, which is opened if it is not."""
    return viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")[1]


def _read(path: str, *_: Any) -> list[LayerData]:
    """Image of all localizations and a Points layer (t, y, x) of at most 200,000 of them."""
    localizations, info = _read_table(path)
    name = Path(path).stem
    shape = info.shape or field_of(localizations)
    magnification = magnification_for(shape, info.pixel_size_nm)
    image = render.histogram(localizations, shape, magnification)
    return [
        image_layer(image, info, f"{name} super-resolution", magnification, source=path),
        points_layer(localizations, info, name, source=path),
    ]


def _read_table(path: str) -> tuple[Localizations, TableInfo]:
    """Read a table; where it knows no pixel size, that of the movie on show, or ask the user."""
    size = None
    if needs_pixel_size(path):
        size = _pixel_size_on_show() or _ask_pixel_size(Path(path).name)
    return read_table(path, pixel_size_nm=size)


def _pixel_size_on_show() -> float | None:
    viewer = napari.current_viewer()
    for layer in reversed(viewer.layers if viewer is not None else []):
        if isinstance(layer, Image) and layer.ndim >= 3:
            try:
                size = pixel_size_nm(layer)
            except ValueError:  # pixels that are not square; another layer may know
                continue
            if size is not None:
                return size
    return None


def _ask_pixel_size(name: str) -> float | None:
    if QApplication.instance() is None:
        return None
    size, accepted = QInputDialog.getDouble(
        None, f"Open {name}", "Pixel size of the camera in the sample, nm:", 100.0, 1.0, 10000.0, 2
    )
    return size if accepted else None
