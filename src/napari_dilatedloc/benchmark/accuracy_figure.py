"""The picture of a model's accuracy: error bars, bounds, sub-pixel phases, photons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.phases import BINS, PhaseHistogram
from napari_dilatedloc.files import replacing
from napari_dilatedloc.training.accuracy import AccuracyReport
from napari_dilatedloc.training.isolated import IsolatedAccuracy
from napari_dilatedloc.training.pairs import Pairs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats64 = NDArray[np.float64]

COLOURS = {"x": "#D55E00", "y": "#0072B2", "z": "#009E73"}  # told apart by colour-blind readers
DECILES = 10


def reliability(sigma: Floats64, error: Floats64) -> tuple[Floats64, Floats64]:
    """Predicted and actual error in ten equally large groups of rising predicted sigma.

    Parameters
    ----------
    sigma, error : ndarray (N,)
        In one unit.

    Returns
    -------
    predicted, actual : ndarray (10,)
        Root mean squares; errors beyond 5 sigma are taken as 5 sigma, as wrong pairings would rule
        the mean.
    """
    order = np.argsort(sigma)
    bounded = np.clip(error, -5 * sigma, 5 * sigma)
    groups = [group for group in np.array_split(order, DECILES) if len(group)]
    predicted = [np.sqrt(np.mean(sigma[group] ** 2)) for group in groups]
    actual = [np.sqrt(np.mean(bounded[group] ** 2)) for group in groups]
    return np.array(predicted), np.array(actual)


def accuracy_figure(report: AccuracyReport, title: str) -> Figure:
    """All panels on one page."""
    from matplotlib.figure import Figure  # slow to import, and seldom needed

    figure = Figure(figsize=(14, 8), layout="constrained")
    axes = figure.subplots(2, 3)
    found = report.pairs.only_found()
    _calibration(axes[0, 0], found, report.pixel_size_nm)
    _scores(axes[0, 1], found)
    _photons(axes[0, 2], found)
    _bounds(axes[1, 0], report.isolated, ("x", "y"))
    _bounds(axes[1, 1], report.isolated, ("z",))
    _phases(axes[1, 2], report.phases)
    figure.suptitle(title)
    return figure


def save_accuracy_figure(path: Path, report: AccuracyReport, title: str) -> None:
    """Write the picture, .png, .pdf or .svg; whole or not at all."""
    figure = accuracy_figure(report, title)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format=path.suffix.lstrip(".").lower() or None)


def _calibration(axis: Axes, found: Pairs, pixel_size_nm: float) -> None:
    largest = 1.0
    for name, unit_nm in (("x", pixel_size_nm), ("y", pixel_size_nm), ("z_nm", 1.0)):
        sigma = getattr(found, f"sigma_{name}") * unit_nm
        if not len(sigma):
            continue
        predicted, actual = reliability(sigma, getattr(found, f"error_{name}") * unit_nm)
        axis.plot(predicted, actual, "o-", ms=4, label=name[0], color=COLOURS[name[0]])
        largest = max(largest, float(predicted.max()), float(actual.max()))
    axis.plot([0, largest], [0, largest], ":", color="grey", label="true error bars")
    _label(axis, "Error bars, in deciles", "predicted error (nm)", "actual rms error (nm)")


def _scores(axis: Axes, found: Pairs) -> None:
    edges = np.linspace(-5, 5, 51)
    for name in ("x", "y", "z_nm"):
        counts, _ = np.histogram(found.z_scores(name), edges)
        density = counts / max(len(found), 1) / np.diff(edges)
        axis.stairs(density, edges, label=name[0], color=COLOURS[name[0]])
    normal = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    axis.plot(edges, normal, ":", color="grey", label="standard normal")
    _label(axis, "Errors in units of the error bar", "error / predicted error", "density")


def _photons(axis: Axes, found: Pairs) -> None:
    if len(found):
        axis.plot(found.photons, found.photons + found.error_photons, ".", ms=1, color="#0072B2")
        top = float(found.photons.max())
        axis.plot([0, top], [0, top], ":", color="grey")
        axis.set_xlim(0, 1.05 * top)
        axis.set_ylim(0, 1.3 * top)
    axis.set_title("Photons")
    axis.set_xlabel("true photons")
    axis.set_ylabel("photons found")


def _bounds(axis: Axes, isolated: IsolatedAccuracy, names: tuple[str, ...]) -> None:
    for name in names:
        colour = COLOURS[name]
        rmse, crlb = (getattr(isolated, f"{kind}_{name}_nm") for kind in ("rmse", "crlb"))
        axis.plot(isolated.z_nm, rmse, "o-", ms=4, color=colour, label=f"RMSE {name}")
        axis.plot(isolated.z_nm, crlb, "--", color=colour, label=f"CRLB {name}")
    title = "Isolated molecules, " + ("axial" if names == ("z",) else "lateral")
    _label(axis, title, "z (nm)", "standard deviation (nm)")


def _phases(axis: Axes, phases: PhaseHistogram) -> None:
    edges = np.linspace(-0.5, 0.5, BINS + 1)
    for name, values in zip(("x", "y"), phases.deviation, strict=True):
        axis.stairs(100 * values, edges, label=name, color=COLOURS[name])
    axis.axhspan(-5, 5, color="grey", alpha=0.15)
    _label(axis, "Sub-pixel phase", "place in the pixel (px)", "surplus over flat (%)")
    axis.set_ylim(min(-12.0, axis.get_ylim()[0]), max(12.0, axis.get_ylim()[1]))


def _label(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(title)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    if "surplus" not in y:
        axis.set_ylim(bottom=0)
    axis.legend(frameon=False)
