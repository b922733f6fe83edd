"""Real frames beside simulated ones, with histograms, spectra and what was found."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.files import replacing
from napari_dilatedloc.matching.compare import Comparison
from napari_dilatedloc.matching.match import MovieMatch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE = "#0072B2", "#D55E00"
"""Okabe & Ito's colours: real blue, simulated orange."""
COLOURS = {"problem": "#C1272D", "warning": "#B8860B", "ok": "#2E7D32"}
COLUMNS = 4
LINE = 62


def match_figure(match: MovieMatch, title: str = "") -> Figure:
    """Picture of a match; of four runs the middle frame, all on one grey scale.

    Parameters
    ----------
    match : MovieMatch
        What `match.match_movie` gave.
    title : str
        Above the picture.
    """
    from matplotlib.figure import Figure  # slow to import, and seldom needed

    figure = Figure(figsize=(15, 12.5), dpi=100, layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(6.6, 5.4))
    _frames(top, match)
    if title:
        figure.suptitle(title, fontsize=14)
    left, right = bottom.subfigures(1, 2, width_ratios=(1.25, 1))
    histogram, spectrum = left.subplots(2, 1)
    _histogram(histogram, match.comparison)
    _spectrum(spectrum, match.comparison)
    _words(right, match)
    return figure


def save_match(path: Path, match: MovieMatch, title: str = "") -> None:
    """Write the picture, .png, .pdf or .svg; whole or not at all."""
    figure = match_figure(match, title)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _frames(part: Any, match: MovieMatch) -> None:
    real, simulated = (_chosen(s.photons.numpy()) for s in (match.real, match.matched.frames))
    low, high = np.quantile(real, 0.01), np.quantile(real, 0.9985)
    grey = {"cmap": "gray", "vmin": low, "vmax": max(high, low + 1e-3), "interpolation": "nearest"}
    axes = part.subplots(2, len(real), squeeze=False)
    for row, frames in zip(axes, (real, simulated), strict=True):
        for axis, frame in zip(row, frames, strict=False):
            shown = axis.imshow(frame, **grey)
            axis.set(xticks=[], yticks=[])
    for axis, name, colour in zip(axes[:, 0], ("real", "simulated"), (BLUE, ORANGE), strict=True):
        axis.set_ylabel(name, fontsize=14, color=colour, fontweight="bold")
    size = match.real.size
    length = match.real.adu.shape[1]
    for axis, origin, first in zip(
        axes[0], match.real.origin.tolist(), match.real.first_frame, strict=False
    ):
        axis.set_title(
            f"frame {first + length // 2}, from y {origin[0]}, x {origin[1]}", fontsize=10
        )
    bar = part.colorbar(shown, ax=axes.ravel().tolist(), shrink=0.6, pad=0.01)
    bar.set_label(f"photons per pixel ({size[0]} x {size[1]} px shown)")


def _chosen(photons: NDArray[np.float32]) -> NDArray[np.float32]:
    """Middle frames of the first runs; of one long run frames all over it."""
    runs, length = photons.shape[:2]
    if runs >= COLUMNS:
        return photons[:COLUMNS, length // 2]
    flat = photons[0]
    return flat[np.linspace(0, length - 1, min(COLUMNS, length)).round().astype(int)]


def _histogram(axis: Any, comparison: Comparison) -> None:
    for name, share, colour in (
        ("real", comparison.real, BLUE),
        ("simulated", comparison.simulated, ORANGE),
    ):
        axis.stairs(share, comparison.edges, color=colour, lw=1.8, label=name)
    axis.set_yscale("log")
    axis.set(xlabel="photons per pixel", ylabel="share of pixels")
    axis.set_title(f"Histogram, {comparison.overlap:.0%} in common", fontsize=11)
    _clean(axis)


def _spectrum(axis: Any, comparison: Comparison) -> None:
    axis.plot(comparison.frequency, comparison.real_power, color=BLUE, lw=1.8, label="real")
    axis.plot(
        comparison.frequency, comparison.simulated_power, color=ORANGE, lw=1.8, label="simulated"
    )
    axis.set_yscale("log")
    axis.set(xlabel="spatial frequency (cycles per pixel)", ylabel="power (photons² per pixel)")
    coarse, fine = comparison.power_ratio
    axis.set_title(f"Radial spectrum, real {coarse:.2f}x coarse, {fine:.2f}x fine", fontsize=11)
    _clean(axis)


def _clean(axis: Any) -> None:
    axis.grid(alpha=0.25)
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def _words(part: Any, match: MovieMatch) -> None:
    """Estimate and verdicts as text."""
    axis = part.subplots()
    axis.axis("off")
    e = match.estimate
    life = "unknown" if e.lifetime_frames is None else f"{e.lifetime_frames:.2g} frames"
    rows = [
        f"background  {e.bg.median:.4g} photons per px ({e.bg.low:.3g} to {e.bg.high:.3g})",
        f"photons     {e.photons.median:.4g} ({e.photons.low:.3g} to {e.photons.high:.4g})",
        f"density     {e.density_per_um2.median:.3g} per µm² ({e.density_per_um2.low:.2g} to "
        f"{e.density_per_um2.high:.2g})",
        f"on-time     {life}",
        f"z           {e.z_range_nm[0]:.0f} to {e.z_range_nm[1]:.0f} nm",
    ]
    lines: list[tuple[str, str]] = [(row, "black") for row in rows] + [("", "black")]
    for verdict in match.verdicts:
        if verdict.checked:
            wrapped = textwrap.wrap(f"{verdict.level}: {verdict.sentence}", LINE)
            lines += [(line, COLOURS[verdict.level]) for line in wrapped]
    step = min(0.045, 1 / max(len(lines), 1))
    for number, (text, colour) in enumerate(lines):
        axis.text(
            0.0, 1 - number * step, text, color=colour, fontsize=9, family="monospace", va="top",
            transform=axis.transAxes,
        )  # fmt: skip
