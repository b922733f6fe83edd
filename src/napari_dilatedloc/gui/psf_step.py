"""Which PSF: a built-in one, one from a file, or one measured on beads; and what it can do."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal, Slot
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_dilatedloc.config import PSFFile, PSFSettings
from napari_dilatedloc.gui.latest_worker import LatestWorker
from napari_dilatedloc.gui.layers import METADATA_KEY, movie_array
from napari_dilatedloc.gui.psf_job import (
    ChosenPSF,
    Look,
    calibrate_job,
    load_job,
    look_job,
    presets_job,
    report_job,
    save_job,
)
from napari_dilatedloc.gui.psf_layers import (
    bead_layer,
    corner_beside,
    picked_places,
    psf_layer,
    scale_stack,
    z_unit_among,
)
from napari_dilatedloc.gui.psf_panel import PSFPanel
from napari_dilatedloc.gui.worker import Job, State

if TYPE_CHECKING:
    from napari_dilatedloc.psf.base import PSF

SAVE_FILTER = "DilatedLoc PSF (*.psf.h5);;SMAP calibration (*_3dcal.mat)"


class PSFStep(PSFPanel):
    """Choice of a PSF.

    Signals
    -------
    changed
        Another PSF, or none.
    """

    changed = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self._viewer = viewer
        self._chosen: ChosenPSF | None = None
        self._calibrated: ChosenPSF | None = None
        self._preset: str | None = None
        self._stack: Any = None
        self._calibrating = False
        self._layer_wanted = False
        self._names_asked = False
        self._names_known = False
        self.worker = LatestWorker(self)
        self.looker = LatestWorker(self)
        self._connect()
        self._update()

    @property
    def psf(self) -> PSF | None:
        """The chosen PSF."""
        return None if self._chosen is None else self._chosen.psf

    @property
    def source(self) -> str:
        """Where it is from, in words; empty if there is none."""
        return "" if self._chosen is None else self._chosen.source

    @property
    def chosen(self) -> ChosenPSF | None:
        """The chosen PSF with all that is known of it."""
        return self._chosen

    def value(self) -> PSFSettings:
        """Read where the PSF is from, and how beads are measured."""
        return PSFSettings(
            origin=self.origin.currentData(),
            preset=self._preset,
            file=self.file.value(),
            beads=self.beads.value(),
        )

    def setValue(self, settings: PSFSettings) -> None:
        """Take a PSF from where settings say; one from beads is measured by the button only."""
        self.worker.cancel()
        self.beads.reset()
        self.beads.setValue(settings.beads)
        self.file.setValue(settings.file)
        self._preset, self._chosen, self._calibrated = settings.preset, None, None
        with QSignalBlocker(self.origin):
            self.origin.setCurrentIndex(self.origin.findData(settings.origin))
        self.forget()
        self._on_origin()
        self.changed.emit()

    @Slot()
    def prepare(self) -> None:
        """List the built-in PSFs, when the step is opened for the first time."""
        if not self._names_asked and not self.worker.state.busy:
            self._run(lambda stop: iter(()))

    @Slot(str)
    def choose_preset(self, name: str) -> None:
        """Take a built-in PSF."""
        self._preset = name
        self._run(partial(load_job, name, None, "up"), "Loading…")

    @Slot(object)
    def load_file(self, file: PSFFile) -> None:
        """Take the PSF of a file."""
        job = partial(load_job, file.path, file.pixel_size_nm, file.z_direction)
        self._run(job, "Reading the file…")

    @Slot()
    def calibrate(self) -> None:
        """Measure the PSF on the chosen beads; while that runs: cancel it."""
        if self._calibrating:
            self.worker.cancel()
            return
        stack = self.beads.stack
        if self.beads.trouble or stack is None:
            self.status.show_error(self.beads.trouble)
            return
        points, settings = self.beads.points, self.beads.value()
        picks = None if points is None else picked_places(points, stack)
        self._stack = stack
        job = partial(calibrate_job, movie_array(stack), settings, picks, stack.name)
        self._run(job, "Calibrating…", calibrating=True)

    @Slot()
    def show_psf(self) -> None:
        """Put the PSF into a layer and its curve into the step."""
        self.curve.show()
        look = self.curve.look
        if look is not None and look.chosen is self._chosen:
            self._put_layer(look)
        elif self._chosen is not None:
            self._layer_wanted = True
            self._look()

    @Slot()
    def save(self) -> None:
        """Ask for a file and write the PSF."""
        self._ask(self.save_to, "Save the PSF", ".psf.h5", SAVE_FILTER)

    def save_to(self, path: str | Path) -> None:
        """Write the PSF; ``.mat`` for SMAP, else ours."""
        if self._chosen is not None:
            self._run(partial(save_job, Path(path), self._chosen), "Writing…")

    @Slot()
    def save_report(self) -> None:
        """Ask for a file and write the report."""
        self._ask(self.report_to, "Save the report", "-report.html", "Page and picture (*.html)")

    def report_to(self, path: str | Path) -> None:
        """Write the report of the calibration: ``.html``, with ``.png`` and ``.json`` beside."""
        if self._chosen is not None:
            light = self.curve.photons.value(), self.curve.background.value()
            self._run(partial(report_job, Path(path), self._chosen, *light), "Writing the report…")

    def shut_down(self) -> None:
        """Stop the workers and let go of the viewer."""
        self.worker.stop_and_wait()
        self.looker.stop_and_wait()
        self.beads.disconnect_viewer()

    def _connect(self) -> None:
        self.origin.currentIndexChanged.connect(self._on_origin)
        self.presets.textActivated.connect(self.choose_preset)
        self.file.chosen.connect(self.load_file)
        self.beads.changed.connect(self._update)
        self.calibrate_button.clicked.connect(self.calibrate)
        self.show_button.clicked.connect(self.show_psf)
        self.save_button.clicked.connect(self.save)
        self.report_button.clicked.connect(self.save_report)
        self.worker.state_changed.connect(self._update)
        self.worker.yielded.connect(self._on_yielded)
        self.worker.failed.connect(self._on_failed)
        self.worker.finished.connect(self._on_finished)
        self.looker.yielded.connect(self._on_looked)
        self.looker.failed.connect(self._on_look_failed)

    def _run(self, job: Job, said: str = "", *, calibrating: bool = False) -> None:
        """Start a job; before the first one the names of the built-in PSFs are listed."""
        self._names_asked = True
        self._calibrating = calibrating
        self.status.show_status(said)
        self.worker.replace(job if self._names_known else partial(_names_then, job))
        self._update()

    @Slot(list)
    def _on_yielded(self, items: list[Any]) -> None:
        for item in items:
            if isinstance(item, tuple):
                self._names_known = True
                self.list_presets(item)
            elif self.worker.superseded:
                continue
            elif isinstance(item, ChosenPSF):
                self._on_chosen(item)
            else:
                self.status.show_status(item)

    def _on_chosen(self, chosen: ChosenPSF) -> None:
        calibration = chosen.calibration
        if calibration is not None and self._stack in self._viewer.layers:
            self._calibrated = chosen
            if self.beads.apply_scale.isChecked() and not self.beads.apply_scale.isHidden():
                size = calibration.psf.config.pixel_size_nm
                scale_stack(self._stack, size, calibration.z_step_nm, calibration.falling)
                self.beads.apply_scale.hide()
                self._viewer.reset_view()
            self._put_beads(chosen)
        self._take(chosen)

    def _take(self, chosen: ChosenPSF) -> None:
        self._chosen = chosen
        self.status.show_status("")
        self.show_chosen(chosen)
        self._update()
        if not self.curve.isHidden():
            self._look()
        self.changed.emit()

    def _look(self) -> None:
        if self._chosen is not None:
            self.curve.say("Computing the curve…")
            self.looker.replace(partial(look_job, self._chosen))

    @Slot(list)
    def _on_looked(self, items: list[Any]) -> None:
        if self.looker.superseded:
            return
        for look in items:
            self.curve.show_look(look)
            if self._layer_wanted:
                self._layer_wanted = False
                self._put_layer(look)

    @Slot(str, str)
    def _on_failed(self, sentence: str, details: str) -> None:
        if not self.worker.superseded:
            self.status.show_error(sentence, details)

    @Slot(str, str)
    def _on_look_failed(self, sentence: str, details: str) -> None:
        self.curve.say("")
        self.status.show_error(sentence, details)

    @Slot()
    def _on_finished(self) -> None:
        if self.worker.state.busy:  # the next job is at work already
            return
        if self._calibrating and self.worker.state is State.CANCELLED:
            self.status.show_status("Cancelled.")
        self._calibrating = False
        self._update()

    @Slot()
    def _on_origin(self) -> None:
        """Show the fields of this origin, and take what was chosen there before."""
        self.show_origin()
        origin, file = self.origin.currentData(), self.file.value()
        if origin == "preset" and self._preset is not None:
            self.choose_preset(self._preset)
        elif origin == "file" and file is not None:
            self.load_file(file)
        elif origin == "beads" and self._calibrated is not None:
            self._take(self._calibrated)
        self._update()

    @Slot()
    def _update(self) -> None:
        self.show_state(self.worker.state, self._calibrating, self._chosen)

    def _put_layer(self, look: Look) -> None:
        """Add or renew the layer of a PSF."""
        data, keywords, _ = psf_layer(look)
        for layer in self._viewer.layers:
            ours = layer.metadata.get(METADATA_KEY, {})
            if "psf" in ours and layer.name == keywords["name"]:
                layer.data = data
                layer.scale, layer.metadata = keywords["scale"], keywords["metadata"]
                layer.translate = (keywords["translate"][0], *layer.translate[1:])
                layer.contrast_limits = keywords["contrast_limits"]
                return
        layers = self._viewer.layers
        data, keywords, _ = psf_layer(look, corner_beside(layers, look), z_unit_among(layers))
        self._viewer.add_image(data, **keywords)
        self._viewer.dims.set_point(self._viewer.dims.ndim - 3, 0.0)
        self._viewer.reset_view()

    def _put_beads(self, chosen: ChosenPSF) -> None:
        """Show the beads over their stack, in place of those of an earlier calibration."""
        if chosen.calibration is None:
            return
        picked = self.beads.points
        data, keywords, _ = bead_layer(chosen.calibration, self._stack)
        old = [
            layer
            for layer in self._viewer.layers
            if layer.metadata.get(METADATA_KEY, {}).get("beads") == self._stack.name
        ]
        for layer in old:
            self._viewer.layers.remove(layer)
        added = self._viewer.add_points(data, **keywords)
        if picked is not None and picked in old:
            self.beads.points_combo.select(added)

    def _ask(self, write: Any, title: str, suffix: str, kinds: str) -> None:
        if self._chosen is None:
            return
        path, chosen = QFileDialog.getSaveFileName(self, title, self._chosen.name + suffix, kinds)
        if path:
            if not Path(path).suffix:
                path += chosen.rpartition("*")[2].rstrip(")")
            write(path)


def _names_then(job: Job, stop: Any) -> Any:
    """Names of the built-in PSFs, then another job."""
    yield from presets_job(stop)
    yield from job(stop)
