"""How long napari's event loop is away while the dock localizes or trains: a heartbeat, as JSON.

A timer beats every 10 ms; whatever comes later than that is time in which a click would have
waited. Opens the real dock on a simulated movie, first idle, then localizing it, or training:

    xvfb-run -a -s "-screen 0 1400x900x24" python scripts/heartbeat.py --frames 2000 --colour z
    xvfb-run -a -s "-screen 0 1400x900x24" python scripts/heartbeat.py --train 90
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QObject, Qt, QTimer, Slot

BEAT_MS = 10
LONG_MS = 100
TIMEOUT_S = 3600


class Heartbeat(QObject):
    """Notes how late each beat of a timer of this thread is, and what the thread did meanwhile."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._late: list[float] = []
        self._own: list[float] = []
        self._last = self._spent = 0.0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._beat)

    def start(self) -> None:
        """Begin anew."""
        self._late, self._own = [], []
        self._last, self._spent = time.perf_counter(), time.thread_time()
        self._timer.start()

    def stop(self) -> dict[str, Any]:
        """End; what was seen.

        Returns
        -------
        dict
            As `summarize` gives it.
        """
        self._beat()
        self._timer.stop()
        return summarize(self._late, self._own)

    @Slot()
    def _beat(self) -> None:
        now, spent = time.perf_counter(), time.thread_time()
        self._late.append(max(0.0, 1000 * (now - self._last) - BEAT_MS))
        self._own.append(1000 * (spent - self._spent))
        self._last, self._spent = now, spent


def summarize(late_ms: list[float], own_ms: list[float]) -> dict[str, Any]:
    """Percentiles of beats.

    Parameters
    ----------
    late_ms, own_ms : list of float
        How late each came, and how long the event loop's own thread computed since the one
        before, ms. The latter hardly depends on what else the machine does.

    Returns
    -------
    dict
        ``beats``; ``p50_ms``, ``p99_ms``, ``max_ms`` of how late they came; ``own_p99_ms`` and
        ``own_max_ms``; ``share_over_100_ms``: of all time, how much lay in longer gaps.
    """
    late = np.asarray(late_ms)
    gaps = late + BEAT_MS
    p50, p99 = np.percentile(late, (50, 99)).tolist()
    return {
        "beats": len(late),
        "p50_ms": round(p50, 2),
        "p99_ms": round(p99, 2),
        "max_ms": round(float(late.max()), 2),
        "own_p99_ms": round(float(np.percentile(own_ms, 99)), 2),
        "own_max_ms": round(float(np.max(own_ms)), 2),
        f"share_over_{LONG_MS}_ms": round(float(gaps[gaps > LONG_MS].sum() / gaps.sum()), 4),
    }


def wait_until(done: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Let the event loop run, as it does in napari, until something is so."""
    end = time.monotonic() + timeout_s
    loop, look = QEventLoop(), QTimer()
    look.setInterval(50)
    look.timeout.connect(lambda: loop.quit() if done() or time.monotonic() > end else None)
    look.start()
    loop.exec()
    look.stop()
    if not done():
        raise TimeoutError(f"waited {timeout_s:.0f} s in vain")


def demo_movie(model: str, frames: int, size: int) -> tuple[np.ndarray, float]:
    """Simulated movie (T, Y, X) for a shipped model, ADU, and its pixel size, nm."""
    from napari_dilatedloc.network.checkpoint import load_model
    from napari_dilatedloc.psf.build import build_psf
    from napari_dilatedloc.simulation.structure import simulate_structure

    loaded = load_model(model)
    psf = build_psf(loaded.info.psf, loaded.psf_tensors)
    movie, _ = simulate_structure(psf, loaded.info.camera, frames=frames, size=(size, size), seed=1)
    return movie, loaded.info.pixel_size_nm


def measure(
    viewer: Any, model: str, frames: int, size: int, *, colour: str = "nothing", idle_s: float = 3.0
) -> dict[str, Any]:
    """Heartbeat of a viewer with the dock: idle, and while it localizes a simulated movie."""
    from napari_dilatedloc.gui.colours import ColourBy

    movie, pixel = demo_movie(model, frames, size)
    viewer.add_image(movie, name="movie", scale=(1, pixel, pixel), units=("pixel", "nm", "nm"))
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    dock.model_step.set_model(model)
    dock.results.colour.setCurrentIndex(list(ColourBy).index(ColourBy(colour)))
    heart = Heartbeat()
    now = time.monotonic()
    wait_until(lambda: time.monotonic() > now + 1)  # napari's first drawing
    heart.start()
    now = time.monotonic()
    wait_until(lambda: time.monotonic() > now + idle_s)
    idle = heart.stop()
    heart.start()
    began = time.process_time()
    dock.start()
    wait_until(lambda: not dock.worker.state.busy)
    running = heart.stop()
    run = dock.runner.run
    return {
        "idle": idle,
        "running": running,
        "state": dock.worker.state.value,
        "frames": run.done,
        "localizations": run.localizations,
        "frames_per_second": round(run.meter.report.frames_per_second, 1),
        "cpu_seconds": round(time.process_time() - began, 1),
        "size_px": size,
        "colour": colour,
        "cores": os.cpu_count(),
    }


def measure_training(viewer: Any, model: str, seconds: float) -> dict[str, Any]:
    """Heartbeat of a viewer with the dock while it trains, from its first step on."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    dock.psf_step.choose_preset(model)
    wait_until(lambda: dock.psf_step.chosen is not None)
    dock.steps.train.expand()
    step = dock.train_step
    heart = Heartbeat()
    with tempfile.TemporaryDirectory() as folder:
        step.form.set_out(Path(folder) / "model.safetensors")
        step.train()
        wait_until(lambda: step.log.last is not None and step.log.last.step > 0)
        heart.start()
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > end)
        training = heart.stop()
        steps = step.log.last.step
        step.train()  # stops
        wait_until(lambda: not step.worker.state.busy)
    return {"training": training, "steps": steps, "seconds": seconds, "cores": os.cpu_count()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="astigmatism", help="shipped model")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--size", type=int, default=128, help="side of the frames, px")
    parser.add_argument("--colour", default="nothing", help="nothing, z, photons, precision, frame")
    parser.add_argument("--train", type=float, metavar="SECONDS", help="train so long instead")
    given = parser.parse_args()
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()  # not among the user's last runs
    viewer = napari.Viewer(show=True)
    if given.train:
        result = measure_training(viewer, given.model, given.train)
    else:
        result = measure(viewer, given.model, given.frames, given.size, colour=given.colour)
    viewer.close()
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
