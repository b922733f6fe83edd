"""Remake the screenshots of the documentation; look at them afterwards.

xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py [dock] [train] [psf]
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
import torch
from qtpy.QtWidgets import QApplication

from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.gui.colours import ColourBy
from napari_dilatedloc.gui.dock import DilatedLocDock
from napari_dilatedloc.psf.build import build_psf
from napari_dilatedloc.psf.presets import PRESETS

IMAGES = Path(__file__).parent / "images"
SIZE = (1400, 900)
TIMEOUT_S = 1500.0
FRAME = 42
TRAIN_MINUTES = 2.0

logger = logging.getLogger("screenshots")


def wait_until(done: Callable[[], bool]) -> None:
    """Run the event loop until something is so."""
    end = time.monotonic() + TIMEOUT_S
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {TIMEOUT_S:.0f} s in vain")
        QApplication.processEvents()
        time.sleep(0.01)


def settle(seconds: float = 1.0) -> None:
    """Let napari draw."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end)


def save(viewer: napari.Viewer, name: str) -> None:
    """Save the whole window."""
    settle()
    IMAGES.mkdir(exist_ok=True)
    viewer.screenshot(str(IMAGES / name), canvas_only=False, flash=False)
    logger.info("wrote %s", IMAGES / name)


def open_viewer() -> napari.Viewer:
    """Empty window."""
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(*SIZE)
    settle()
    return viewer


def open_dock(viewer: napari.Viewer) -> DilatedLocDock:
    """Our dock."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    assert isinstance(dock, DilatedLocDock)
    return dock


def take_dock() -> None:
    """Sample, preview, run, result."""
    viewer = open_viewer()
    viewer.open_sample("napari-dilatedloc", "blinking")
    dock = open_dock(viewer)
    dock.model_step.set_model("astigmatism")
    settle()
    viewer.reset_view()
    viewer.dims.set_current_step(0, FRAME)
    save(viewer, "tour-movie.png")
    preview = dock.localize_step.preview
    preview.button.click()
    wait_until(lambda: preview.look is not None)
    settle()
    save(viewer, "tour-preview.png")
    preview.button.click()
    dock.start()
    wait_until(lambda: dock.result is not None and dock.result.frames[1] > 100)
    settle(0.5)
    save(viewer, "dock-running.png")
    wait_until(lambda: not dock.worker.state.busy)
    viewer.dims.set_current_step(0, FRAME)
    colour = dock.results.colour
    colour.setCurrentIndex(colour.findData(ColourBy.Z))
    colour.activated.emit(colour.currentIndex())
    settle(3.0)
    save(viewer, "dock.png")
    take_filter(viewer, dock)
    take_quality(viewer, dock)
    take_clusters(viewer, dock)
    take_volume(viewer, dock)
    viewer.close()


def take_filter(viewer: napari.Viewer, dock: DilatedLocDock) -> None:
    """Dim and uncertain localizations taken away."""
    dock.results.filter_step.expand()
    filters = dock.results.filter
    wait_until(filters.form.isEnabled)
    filters.form.rows["photons"].changed.emit("photons", 900.0, None)
    filters.form.rows["sigma_z_nm"].changed.emit("sigma_z_nm", None, 60.0)
    settle()
    dock.steps.ensureWidgetVisible(filters.form.clear_button)
    save(viewer, "tour-filter.png")


def take_quality(viewer: napari.Viewer, dock: DilatedLocDock) -> None:
    """Figures of the whole result, and filaments drawn sharply."""
    results = dock.results
    results.filter.clear()
    wait_until(lambda: not results.filter.worker.state.busy)
    results.filter_step.collapse()
    results.colour.setCurrentIndex(results.colour.findData(ColourBy.NOTHING))
    results.colour.activated.emit(results.colour.currentIndex())
    results.sharp_box.setChecked(True)
    viewer.scene.camera.zoom *= 3
    results.quality_step.expand()
    results.quality.judge()
    wait_until(lambda: results.quality.judged is not None)
    settle(2.0)
    dock.steps.ensureWidgetVisible(results.quality.picture)
    save(viewer, "tour-quality.png")


def take_clusters(viewer: napari.Viewer, dock: DilatedLocDock) -> None:
    """Dense parts of the filaments."""
    results = dock.results
    results.quality_step.collapse()
    results.sharp_box.setChecked(False)
    results.cluster_step.expand()
    results.clusters.setValue(ClusterConfig(radius_nm=90.0, min_points=15))
    results.clusters.button.click()
    wait_until(lambda: results.clusters.shown is not None)
    viewer.layers["Blinking filaments"].visible = False
    viewer.reset_view()
    viewer.scene.camera.zoom *= 1.8
    settle(2.0)
    dock.steps.ensureWidgetVisible(results.clusters.figures)
    save(viewer, "tour-clusters.png")


def take_volume(viewer: napari.Viewer, dock: DilatedLocDock) -> None:
    """The filaments in space."""
    results = dock.results
    results.clusters.undo()
    results.cluster_step.collapse()
    results.volume_button.click()
    wait_until(lambda: not results.volume_button.worker.state.busy)
    for layer in viewer.layers:
        layer.visible = layer.name.endswith("volume")
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    viewer.scene.camera.angles = (0, 30, 60)
    settle(8.0)  # until napari has said what it has to say of frames beside nm
    dock.steps.ensureWidgetVisible(results.line)
    save(viewer, "tour-volume.png")


def take_train() -> None:
    """Match to the sample, and a short fine-tuning."""
    viewer = open_viewer()
    viewer.open_sample("napari-dilatedloc", "blinking")
    dock = open_dock(viewer)
    step = dock.train_step
    dock.psf_step.choose_preset("astigmatism")
    wait_until(lambda: dock.psf_step.chosen is not None)
    for box in dock.steps.boxes:
        box.collapse()
    dock.steps.model.expand()
    dock.steps.train.expand()
    step.match_button.click()
    wait_until(lambda: not step.worker.state.busy)
    dock.steps.ensureWidgetVisible(step.match_view)
    save(viewer, "tour-match.png")
    with tempfile.TemporaryDirectory() as folder:
        step.form.set_out(Path(folder) / "model.safetensors")
        step.form.minutes.setValue(TRAIN_MINUTES)
        step.train_button.click()
        wait_until(lambda: not step.worker.state.busy)
        dock.steps.ensureWidgetVisible(step.status)
        save(viewer, "dock-train.png")
    viewer.close()


BEAD_PSF = PRESETS["astigmatism"].replace(depth_nm=0.0)


def bead_stack(z_step_nm: float = 50.0) -> np.ndarray:
    """Simulated beads on a cover slip, slices of 100 x 120 px; one bead is too near the border."""
    psf = build_psf(BEAD_PSF)
    half = psf.config.roi_size // 2
    low, high = psf.config.z_range_nm
    z = torch.arange(low, high + 1, z_step_nm)
    beads = [(26.3, 24.8, 2e5), (24.7, 66.2, 3e5), (62.4, 27.1, 2e5), (63.2, 71.6, 3e5)]
    beads += [(43.1, 101.7, 2e5), (93.5, 50.3, 2e5)]
    stack = np.full((len(z), 100 + 2 * half, 120 + 2 * half), 30.0)
    for y, x, photons in beads:
        row, column = round(y), round(x)
        rois = psf.rois(z, torch.full_like(z, y - row), torch.full_like(z, x - column))
        stack[:, row : row + 2 * half + 1, column : column + 2 * half + 1] += photons * rois.numpy()
    inner = stack[:, half:-half, half:-half]
    return np.random.default_rng(1).poisson(100 + inner).astype(np.uint16)


def take_psf() -> None:
    """Beads, calibration, PSF, curve."""
    viewer = open_viewer()
    viewer.add_image(bead_stack(), name="beads", colormap="gray")
    dock = open_dock(viewer)
    step = dock.psf_step
    for box in dock.steps.boxes:
        box.collapse()
    dock.steps.psf.expand()
    wait_until(lambda: not step.worker.state.busy)
    step.origin.setCurrentIndex(step.origin.findData("beads"))
    step.beads.pixel_size.setValue(BEAD_PSF.pixel_size_nm)
    step.beads.z_step.setValue(50.0)
    step.beads.roi_size.setValue(27)
    step.calibrate()
    wait_until(lambda: not step.worker.state.busy)
    step.show_psf()
    wait_until(lambda: not step.looker.state.busy)
    settle()
    viewer.reset_view()
    save(viewer, "psf.png")
    viewer.close()


def main(*names: str) -> None:
    """Take the screenshots named, or all."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    shots = {"dock": take_dock, "train": take_train, "psf": take_psf}
    for name in names or shots:
        shots[name]()


if __name__ == "__main__":
    main(*sys.argv[1:])
