"""One localization run as the dock sees it: what it is on, how fast it is, what came out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_dilatedloc import __version__
from napari_dilatedloc.config import CameraConfig, LocalizeConfig
from napari_dilatedloc.gui.layers import Placement, is_stack, metadata, movie_array
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.localize_job import RunStarted
from napari_dilatedloc.gui.open_job import TableOpened
from napari_dilatedloc.gui.watch_job import MovieGrew
from napari_dilatedloc.inference.report import LocalizedBlock, RunMeter
from napari_dilatedloc.table import Localizations, TableInfo

if TYPE_CHECKING:
    from napari_dilatedloc.gui.process_job import DriftFound


@dataclass(frozen=True)
class Asked:
    """All that a run or a preview needs.

    Attributes
    ----------
    movie : napari.layers.Image
        The movie's layer.
    pixel_size_nm : float
        Of the camera in the sample, nm.
    model : str
        Shipped name or path.
    config : LocalizeConfig
        Settings.
    camera : CameraConfig, optional
        That recorded the movie; default: the model's.
    """

    movie: Image
    pixel_size_nm: float
    model: str
    config: LocalizeConfig
    camera: CameraConfig | None = None


class Run:
    """A run over one movie with what was chosen when it started.

    Parameters
    ----------
    viewer : napari.Viewer
    movie : napari.layers.Image
    pixel_size_nm : float
    """

    def __init__(self, viewer: Any, movie: Image, pixel_size_nm: float) -> None:
        self.movie: Image | None = movie
        self.name = movie.name
        self.array = movie_array(movie)
        self.pixel_size_nm = pixel_size_nm
        self._set_up(viewer)

    def _set_up(self, viewer: Any) -> None:
        self.result: LiveResult | None = None
        self.drift: DriftFound | None = None  # that was taken off
        self.done = 0
        self.total = 0
        self.meter = RunMeter()
        self._viewer = viewer
        self._started: RunStarted | None = None

    @property
    def bar_text(self) -> str:
        """Text of the progress bar, with Qt's %p for the per cent."""
        return f"%p %  ({self.done:,} of {self.total:,} frames)"

    @property
    def so_far(self) -> str:
        """Where it is, in a few words."""
        if not self.total:
            return "loading the model…"
        return f"{100 * self.done // self.total} % of {self.total:,} frames"

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
            f"{self._left()}\n"
            f"{self.localizations:,} localizations · "
            f"{report.device} waited {100 * report.waited:.0f} %"
        )

    def _left(self) -> str:
        return f"{duration(self.meter.remaining_s)} left"

    def conclusion(self) -> str:
        """Say how long a finished run took."""
        report = self.meter.report
        return (
            f"Done: {report.frames:,} frames in {duration(report.seconds)} "
            f"({report.frames_per_second:,.0f} frames/s on {report.device})."
        )

    def kept(self) -> str:
        """Say what is kept of a run that was cut short; empty if nothing is."""
        if self.result is None or self.result.frames is None:
            return ""
        first, end = self.result.frames
        return f"Frames {first}-{end - 1} are kept ({self.done:,} of {self.total:,})."

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
            self.result.info = replace(self.result.info, n_frames=len(self.array))
            self.result.finish(partial=not self.complete)

    def _make_result(self) -> LiveResult:
        if self.movie is None:
            raise RuntimeError("frames were localized before the movie had a layer")
        shape = (int(self.array.shape[1]), int(self.array.shape[2]))
        info = TableInfo(self.pixel_size_nm, shape=shape, n_frames=len(self.array))
        provenance: dict[str, Any] = {"version": __version__}
        if self._started is not None:
            provenance |= {
                "model": self._started.model,
                "model_sha256": self._started.sha256,
                "threshold": self._started.threshold,
            }
        return LiveResult(
            self._viewer,
            self.movie.name,
            Placement.from_layer(self.movie),
            shape,
            info,
            provenance,
            None if self._started is None else self._started.z_range_nm,
        )


class WatchedRun(Run):
    """A run over a movie that is still being written; the movie's layer grows with it.

    Parameters
    ----------
    viewer : napari.Viewer
    path : Path
        Folder, or the first file.
    """

    def __init__(self, viewer: Any, path: Path) -> None:
        self.movie = None
        self.name = path.stem
        self.array = np.zeros((0, 0, 0), np.uint16)
        self.pixel_size_nm = 0.0
        self._followed: int | None = None  # frame that the slider was put on
        self._set_up(viewer)

    @property
    def bar_text(self) -> str:
        """Text of the progress bar; nobody knows of how many."""
        return f"{self.done:,} of {self.total:,} frames so far"

    @property
    def so_far(self) -> str:
        """Where it is, in a few words."""
        return f"{self.done:,} frames so far" if self.done else "waiting for frames…"

    def _left(self) -> str:
        return "recording"

    def grow(self, grown: MovieGrew) -> None:
        """Show the frames there are."""
        self.array = grown.movie
        if self.movie is None:
            self.pixel_size_nm = grown.pixel_size_nm
            self.movie = self._add_movie()
            self._show_frame(0)
        elif self.movie in self._viewer.layers:
            self.movie.data = grown.movie

    def take(self, block: LocalizedBlock) -> None:
        """Add a block; the slider goes along with what is done, until the user moves it."""
        super().take(block)
        if self.movie is not None and self.movie in self._viewer.layers:
            here = Placement.from_layer(self.movie).frame_on_show(self._viewer)
            if here == self._followed:
                self._show_frame(self.done - 1)

    def _show_frame(self, frame: int) -> None:
        place = Placement.from_layer(self.movie) if self.movie is not None else None
        dims = self._viewer.dims
        if place is not None:  # not a step: other layers, as a volume, may begin elsewhere
            dims.set_point(dims.ndim - 3, place.translate[0] + frame * place.scale[0])
        self._followed = frame

    def _add_movie(self) -> Image:
        first = np.asarray(self.array[0])
        info = TableInfo(self.pixel_size_nm, shape=(first.shape[0], first.shape[1]))
        low, high = (float(level) for level in np.percentile(first[::2, ::2], (1, 99.9)))
        layer = Image(
            self.array,
            name=self.name,
            contrast_limits=(low, max(high, low + 1)),
            metadata=metadata(info),
            **Placement.from_pixel_size(self.pixel_size_nm).frame_keywords(),
        )
        added: Image = self._viewer.add_layer(layer)
        return added


class OpenedRun(Run):
    """A table that was read again, as a run that has ended.

    Parameters
    ----------
    viewer : napari.Viewer
    opened : TableOpened
    """

    def __init__(self, viewer: Any, opened: TableOpened) -> None:
        self.movie = None
        self.name = opened.name
        self.array = np.zeros((opened.info.n_frames or 0, 0, 0), np.uint16)
        self.pixel_size_nm = opened.info.pixel_size_nm
        self._set_up(viewer)
        self.result = LiveResult(
            viewer,
            opened.name,
            self._placement(viewer, opened),
            opened.shape,
            opened.info,
            {"version": __version__},
            opened.z_range_nm,
        )

    def take_table(self, table: Localizations) -> None:
        """Add a part of the table, in order of frame."""
        if self.result is not None and len(table):
            first, end = int(table.frame[0]), int(table.frame[-1]) + 1
            self.result.append(first, end, table)

    def finish(self) -> None:
        """Bring the layers up to date."""
        if self.result is not None:
            self.result.finish(partial=False)

    def _placement(self, viewer: Any, opened: TableOpened) -> Placement:
        """Over the movie it came from if that is open, else where pixel (0, 0) is 0."""
        if opened.placement is not None:
            return opened.placement
        for layer in viewer.layers:
            if (
                layer.name == opened.name
                and is_stack(layer)
                and layer.data.shape[-2:] == opened.shape
            ):
                return Placement.from_layer(layer)
        return Placement.from_pixel_size(self.pixel_size_nm)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
