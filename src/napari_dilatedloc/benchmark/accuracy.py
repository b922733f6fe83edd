"""The standard test of a model file, with its progress."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from napari_dilatedloc.config import ModelInfo
from napari_dilatedloc.network.checkpoint import Model, load_model, save_model
from napari_dilatedloc.network.shipped import find_model
from napari_dilatedloc.training.accuracy import (
    EMITTERS,
    AccuracyReport,
    judge,
    model_psf,
    run_test,
    standard_test,
)
from napari_dilatedloc.training.finish import calibrated


@dataclass(frozen=True)
class AccuracyBenchmark:
    """What is measured.

    Attributes
    ----------
    model : str
        Shipped name or file.
    density_per_um2 : float, optional
        Instead of the standard density for the PSF's depth.
    emitters, per_plane : int
        About how many emitters blink; isolated molecules at each of 15 heights.
    calibrate : bool
        Fit threshold and calibration anew before; otherwise the file's are used.
    device : str
        Where the network runs.
    """

    model: str
    density_per_um2: float | None = None
    emitters: int = EMITTERS
    per_plane: int = 100
    calibrate: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class AccuracyStep:
    """What is being done; the last step has the report and the model as it was tested."""

    what: str
    share: float
    report: AccuracyReport | None = None
    model: Model | None = None


def benchmark_accuracy(settings: AccuracyBenchmark) -> Iterator[AccuracyStep]:
    """Test a model step by step."""
    yield AccuracyStep("loading", 0.0)
    model = load_model(settings.model, settings.device)
    psf = model_psf(model)
    if settings.calibrate:
        yield AccuracyStep("calibrating", 0.05)
        model = calibrated(model, psf, lambda what, share: None, emitters=settings.emitters)
    test = standard_test(
        model.info,
        density_per_um2=settings.density_per_um2,
        emitters=settings.emitters,
        per_plane=settings.per_plane,
    )
    parts, done = [], 0
    yield AccuracyStep("testing", 0.3)
    for part in run_test(model, psf, test):
        parts.append(part)
        done += part.frames
        yield AccuracyStep("testing", 0.3 + 0.5 * min(1.0, done / test.frames))
    yield AccuracyStep("isolated molecules", 0.8)
    report = judge(model, psf, test, parts)
    yield AccuracyStep("done", 1.0, report, _with_figures(model, report))


def write_figures(name_or_path: str, model: Model) -> Path:
    """Put threshold, calibration, metrics and test set of a tested model into its file."""
    path = find_model(name_or_path)
    save_model(path, model.network, model.info, model.psf_tensors)
    return path


def _with_figures(model: Model, report: AccuracyReport) -> Model:
    info: ModelInfo = model.info.replace(
        metrics=report.accuracy.to_dict(), test_set=report.accuracy.test_set
    )
    return replace(model, info=info)
