"""Remake the screenshots of the documentation; look at them afterwards.

xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py [MODEL]
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

from napari_dilatedloc.gui.dock import DilatedLocDock

IMAGES = Path(__file__).parent / "images"
SIZE = (1400, 900)
TIMEOUT_S = 600.0
FRAME = 42

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


def main(model: str = "astigmatism") -> None:
    """Sample, dock, run, result."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(*SIZE)
    settle()
    viewer.open_sample("napari-dilatedloc", "blinking")
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    assert isinstance(dock, DilatedLocDock)
    dock.model_step.set_model(model)
    settle()
    viewer.reset_view()
    dock.start()
    wait_until(lambda: dock.result is not None and dock.result.frames[1] > 100)
    settle(0.5)
    save(viewer, "dock-running.png")
    wait_until(lambda: not dock.worker.state.busy)
    viewer.dims.set_current_step(0, FRAME)
    save(viewer, "dock.png")
    viewer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
