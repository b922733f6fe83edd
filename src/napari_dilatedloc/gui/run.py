"""One localization run as the dock sees it: what it is on, how fast it is, what came out."""

from __future__ import annotations

from typing import Any

from napari.layers import Image

from napari_dilatedloc import __version__
from napari_dilatedloc.gui.layers import movie_array
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.localize_job import RunStarted
from napari_dilatedloc.inference.report import LocalizedBlock, RunMeter
from napari_dilatedloc.table import TableInfo


class Run:
    """A run over one movie with what was chosen when it started.

    Parameters
    ----------
    viewer : napari.Viewer
    movie : napari.layers.Image
    pixel_size_nm : float
    """

    def __init__(self, viewer: Any, movie: Image, pixel_size_nm: float) -> None:
        self.movie = movie
        self.array = movie_array(movie)
        self.pixel_size_nm = pixel_size_nm
        self.result: LiveResult | None = None
        self.done = 0
        self.total = 0
        self._viewer = viewer
        self._started: RunStarted | None = None
        self.meter = RunMeter()

    @property
    def complete(self) -> bool:
        """Whether every frame asked for is done."""
        return self.total > 0 and self.done >= self.total

    @property
    def localizations(self) -> int:
        """Localizations so far."""
        return 0 if self.result is None else len(self.result.store)

    def begin(self, started: RunStarted) -> str:
        """Note that the model is loaded; returns what to say about it."""
        self._started = started
        low, high = started.z_range_nm
        return (
            f"Trained for {started.pixel_size_nm:g} nm pixels and z from {low:g} to {high:g} nm; "
            f"threshold {started.threshold:g}."
        )

    def take(self, block: LocalizedBlock) -> None:
        """Add a block; makes the layers with the first one."""
        if self.result is None:
            self.result = self._make_result()
        first = 0 if self._started is None else self._started.first_frame
        self.result.append(first + block.start, first + block.stop, block.localizations)
        self.meter.add(block)
        self.done, self.total = block.stop, block.total

    def figures(self) -> str:
        """Speed, time left, localizations and waiting, for the line below the bar."""
        report = self.meter.report
        return (
            f"{report.frames_per_second:,.0f} frames/s · {report.mb_per_second:,.1f} MB/s · "
            f"{duration(self.meter.remaining_s)} left\n"
            f"{self.localizations:,} localizations · "
            f"{report.device} waited {100 * report.waited:.0f} %"
        )

    def conclusion(self) -> str:
        """Say how long a finished run took."""
        report = self.meter.report
        return (
            f"Done: {report.frames:,} frames in {duration(report.seconds)} "
            f"({report.frames_per_second:,.0f} frames/s on {report.device})."
        )

    def summary(self) -> str:
        """Say in two lines what there is."""
        if self.result is None or self.result.frames is None:
            return "No result yet."
        first, end = self.result.frames
        per_frame = self.localizations / max(end - first, 1)
        sub_pixel = self.pixel_size_nm / self.result.magnification
        return (
            f"{self.localizations:,} localizations, frames {first}-{end - 1}\n"
            f"{per_frame:.1f} a frame · image with {sub_pixel:.3g} nm pixels"
        )

    def finish(self) -> None:
        """Bring the layers up to date; name the frames they hold if some are missing."""
        if self.result is not None:
            self.result.finish(partial=not self.complete)

    def _make_result(self) -> LiveResult:
        shape = (int(self.array.shape[1]), int(self.array.shape[2]))
        info = TableInfo(self.pixel_size_nm, shape=shape, n_frames=len(self.array))
        provenance: dict[str, Any] = {"version": __version__}
        if self._started is not None:
            provenance |= {
                "model": self._started.model,
                "model_sha256": self._started.sha256,
                "threshold": self._started.threshold,
            }
        return LiveResult(self._viewer, self.movie, shape, info, provenance)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
