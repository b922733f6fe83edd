"""The last step of a training run: calibrate the written model, test it, write it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.network.checkpoint import Model, load_model, save_model
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.training.accuracy import (
    EMITTERS,
    AccuracyReport,
    StandardTest,
    field_frames,
    judge,
    model_psf,
    run_test,
    standard_density,
    standard_test,
)
from napari_dilatedloc.training.calibration import calibration_simulation, fit_calibration

Progress = Callable[[str, float], None]
"""Told what is being done and which share of it is done, 0-1."""


def finish_model(
    path: str | Path,
    *,
    emitters: int = EMITTERS,
    per_plane: int = 100,
    device: str = "cpu",
    progress: Progress | None = None,
) -> AccuracyReport:
    """Calibrate and test a model file; write threshold, calibration, metrics and test set into it.

    Parameters
    ----------
    path : str or Path
        Model file as the trainer wrote it; replaced when everything is done.
    emitters : int
        About how many the test has, and the calibration.
    per_plane : int
        Isolated molecules at each of 15 heights.
    device : str
        Where the network runs.
    progress : callable, optional
        Told ``(what, share done)``; one that raises ends it and leaves the file as it was.

    Returns
    -------
    AccuracyReport
        ``accuracy`` holds the figures that were written.
    """
    path = Path(path)
    report = progress or _silent
    model = load_model(path, device)
    psf = model_psf(model)
    model = calibrated(model, psf, report, emitters=emitters)
    test = standard_test(model.info, emitters=emitters, per_plane=per_plane)
    judged = tested(model, psf, test, report)
    info = model.info.replace(metrics=judged.accuracy.to_dict(), test_set=judged.accuracy.test_set)
    save_model(path, model.network, info, model.psf_tensors)
    return judged


def calibrated(model: Model, psf: PSF, report: Progress, *, emitters: int = EMITTERS) -> Model:
    """Same model with its threshold and calibration fitted anew, with progress."""
    info = model.info
    report("calibrating", 0.0)
    simulation = calibration_simulation(info.simulation, standard_density(info.z_range_nm))
    fitted = fit_calibration(
        model,
        Simulator(psf, build_camera(info.camera).typical, simulation),
        frames=field_frames(emitters, simulation.density_per_um2[0], info.pixel_size_nm),
        min_photons=max(simulation.min_photons, simulation.photons[1] / 20),
        progress=lambda share: report("calibrating", share),
    )
    changes = {"threshold": fitted.threshold, "calibration": fitted.calibration}
    return replace(model, info=info.replace(**changes))


def tested(model: Model, psf: PSF, test: StandardTest, report: Progress) -> AccuracyReport:
    """Figures of a test, with progress."""
    parts = []
    for part in run_test(model, psf, test):
        parts.append(part)
        report("testing", min(1.0, sum(p.frames for p in parts) / test.frames))
    report("isolated molecules", 0.0)
    judged = judge(model, psf, test, parts)
    report("isolated molecules", 1.0)
    return judged


def _silent(what: str, share: float) -> None:
    """Progress nobody looks at."""
