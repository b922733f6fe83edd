"""The summary panel of a table: the image and all quality figures on one page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dilatedloc.analysis.frc import THRESHOLD
from napari_dilatedloc.analysis.quality import Distribution, Quality
from napari_dilatedloc.render import MIN_SIGMA_PX, contrast_limits, gaussian, whole_field
from napari_dilatedloc.table import Localizations, TableInfo

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#D55E00", "#009E73", "#C1272D", "#666666"
"""Okabe & Ito's colours, told apart by colour-blind readers."""

OVERVIEW_PIXELS = 900


def quality_figure(found: Quality, table: Localizations, info: TableInfo) -> Figure:
    """All panels on one page.

    Parameters
    ----------
    found : Quality
        Figures of the table.
    table, info : Localizations, TableInfo
        The table itself, for its image.
    """
    from matplotlib.figure import Figure  # slow to import, and seldom needed

    figure = Figure(figsize=(16, 11.5), dpi=100, layout="constrained")
    grid = figure.add_gridspec(3, 4)
    _overview(figure.add_subplot(grid[:2, :2]), table, info)
    _frc(figure.add_subplot(grid[0, 2]), found)
    _nena(figure.add_subplot(grid[0, 3]), found)
    _per_frame(figure.add_subplot(grid[1, 2]), found)
    _phases(figure.add_subplot(grid[1, 3]), found)
    last = [figure.add_subplot(grid[2, k]) for k in range(4)]
    _histogram(last[0], found, "photons", "Photons", "photons a localization", BLUE)
    _histogram(last[1], found, "bg", "Background", "photons a pixel", GREY)
    _histogram(last[2], found, "sigma_lateral_nm", "Predicted precision, lateral", "nm", ORANGE)
    if found.nena is not None and "sigma_lateral_nm" in found.distributions:
        label = f"NeNA {found.nena.sigma_nm:.1f} nm"
        last[2].axvline(found.nena.sigma_nm, color=RED, ls="--", label=label)
        last[2].legend(fontsize=9)
    axial = "sigma_z_nm" if "sigma_z_nm" in found.distributions else "z_nm"
    title = "Predicted precision, axial" if axial == "sigma_z_nm" else "z"
    _histogram(last[3], found, axial, title, "nm", GREEN)
    return figure


def _overview(axis: Any, table: Localizations, info: TableInfo) -> None:
    """Image of the whole field with a scale bar."""
    corner, shape = whole_field(table, info.shape)
    magnification = OVERVIEW_PIXELS / max(shape)
    # a spot narrower than a pixel of the overview would be a speck
    image = gaussian(
        table,
        shape,
        magnification,
        corner=corner,
        isotropic=True,
        min_sigma_px=max(MIN_SIGMA_PX, 0.5 / magnification),
    )
    low, high = contrast_limits(image, 99.0)
    height, width = shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axis.imshow(image, cmap="inferno", vmin=low, vmax=high, extent=extent, interpolation="nearest")
    axis.set(xticks=[], yticks=[], facecolor="black")
    length_um = _round_length(0.2 * width * info.pixel_size_nm / 1e3)
    bar = length_um * 1e3 / info.pixel_size_nm
    right, bottom = width - 0.5 - 0.04 * width, height - 0.5 - 0.04 * height
    axis.plot([right - bar, right], [bottom, bottom], color="white", lw=4, solid_capstyle="butt")
    axis.text(
        right - bar / 2,
        bottom - 0.015 * height,
        f"{length_um:g} µm",
        color="white",
        ha="center",
        va="bottom",
        fontsize=11,
    )
    nm = info.pixel_size_nm / magnification
    axis.set_title(f"{len(table):,} localizations, {nm:.0f} nm a pixel", fontsize=11)


def _round_length(about: float) -> float:
    """1, 2 or 5 times a power of ten, at most `about`."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(k * power for k in (5, 2, 1) if k * power <= about * (1 + 1e-9))


def _frc(axis: Any, found: Quality) -> None:
    if found.frc is None:
        _empty(axis, "Fourier ring correlation", found.missing.get("frc", ""))
        return
    frc = found.frc
    axis.axhline(0, color=GREY, lw=0.6)
    axis.plot(1e3 * frc.frequency, frc.correlation, color=BLUE)
    axis.axhline(THRESHOLD, color=GREY, ls="--", lw=1, label="threshold 1/7")
    end = 1e3 * float(frc.frequency[-1])
    if math.isfinite(frc.resolution_nm):
        axis.axvline(1e3 / frc.resolution_nm, color=RED, ls="--", lw=1)
        spread = f" ± {frc.spread_nm:.1f}" if math.isfinite(frc.spread_nm) else ""
        title = f"FRC resolution {frc.resolution_nm:.1f}{spread} nm"
        end = min(end, 2.5e3 / frc.resolution_nm)
    else:
        title = "FRC: no crossing of 1/7"
    axis.set(xlim=(0, end), ylim=(-0.15, 1.05))
    axis.legend(fontsize=9)
    _frame(axis, title, "spatial frequency (1/µm)", "correlation")


def _nena(axis: Any, found: Quality) -> None:
    if found.nena is None:
        _empty(axis, "Precision from adjacent frames", found.missing.get("nena", ""))
        return
    nena = found.nena
    width = nena.distance_nm[1] - nena.distance_nm[0]
    axis.bar(nena.distance_nm, 1e3 * nena.density, width, color=BLUE, alpha=0.5)
    axis.plot(nena.distance_nm, 1e3 * nena.fitted, color=RED, label="fit")
    axis.set_xlim(0, nena.distance_nm[-1] + width / 2)
    axis.legend(fontsize=9)
    _frame(
        axis,
        f"NeNA precision {nena.sigma_nm:.1f} ± {max(nena.error_nm, 0.01):.2g} nm",
        "distance to neighbour in next frame (nm)",
        "pairs (‰ per nm)",
    )


def _per_frame(axis: Any, found: Quality) -> None:
    axis.step(found.frame, found.per_frame, where="mid", color=BLUE)
    axis.set(ylim=(0, 1.1 * max(float(found.per_frame.max()), 1e-9)))
    mean = found.localizations / max(1, found.frames)
    _frame(axis, f"{mean:.3g} localizations a frame", "frame", "localizations a frame")


def _phases(axis: Any, found: Quality) -> None:
    deviation, noise = found.phases.deviation, found.phases.noise
    if not np.isfinite(deviation).all():
        _empty(axis, "Place within the pixel", "no positions")
        return
    bins = deviation.shape[1]
    edges = np.linspace(-0.5, 0.5, bins + 1)
    axis.axhspan(-200 * noise, 200 * noise, color=GREY, alpha=0.2, label="chance (2 s.d.)")
    for values, name, colour in zip(deviation, "xy", (ORANGE, BLUE), strict=True):
        axis.stairs(100 * values, edges, color=colour, label=name, lw=1.6, baseline=None)
    span = max(5.0, 130 * float(np.abs(deviation).max()), 260 * noise)
    axis.set(ylim=(-span, span), xlim=(-0.5, 0.5))
    axis.legend(fontsize=9, ncols=3)
    p = found.phases.p
    chance = f"p = {p:.2g}" if math.isfinite(p) else "too few for a test"
    chance = "p < 0.001" if p < 1e-3 else chance
    _frame(
        axis,
        f"Place within the pixel ({chance})",
        "distance from the pixel's centre (px)",
        "surplus over flat (%)",
    )


def _histogram(axis: Any, found: Quality, name: str, title: str, label: str, colour: str) -> None:
    shown: Distribution | None = found.distributions.get(name)
    if shown is None:
        _empty(axis, title, "the table does not know it")
        return
    axis.stairs(shown.counts / shown.counts.sum() * 100, shown.edges, fill=True, color=colour)
    axis.axvline(shown.median, color="black", lw=1)
    axis.set_xlim(shown.edges[0], shown.edges[-1])
    unit = " nm" if name.endswith("nm") else ""
    _frame(axis, f"{title}: median {_number(shown.median)}{unit}", label, "localizations (%)")


def _number(value: float) -> str:
    """Three digits, and no power of ten for thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _empty(axis: Any, title: str, reason: str) -> None:
    axis.set_title(title, fontsize=11)
    axis.set(xticks=[], yticks=[])
    axis.text(
        0.5, 0.5, reason, ha="center", va="center", color=GREY, wrap=True, transform=axis.transAxes
    )


def _frame(axis: Any, title: str, x_label: str, y_label: str) -> None:
    axis.set_title(title, fontsize=11)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.grid(alpha=0.3)
