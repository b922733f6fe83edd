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
from napari_dilatedloc.matching.spots import Spots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE = "#0072B2", "#D55E00"
"""Okabe & Ito's colours: real blue, simulated orange."""
COLOURS = {"problem": "#C1272D", "warning": "#B8860B", "ok": "#2E7D32"}
SHOWN = (0.3, 0.6, 0.8, 0.97)
"""Frames shown, by their place among all when sorted by the number of spots."""
LINE = 62


def match_figure(match: MovieMatch, title: str = "") -> Figure:
    """Picture of a match; four frames of each, from few to many spots.

    Parameters
    ----------
    match : MovieMatch
        What `match.match_movie` gave.
    title : str
        Above the picture.
    """
    from matplotlib.figure import Figure  # slow to import, and seldom needed

    figure = Figure(figsize=(15, 12.5), dpi=100, layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(6.6, 5.4))[:, 0]
    _frames(top, match)
    if title:
        figure.suptitle(title, fontsize=14)
    left, right = bottom.subfigures(1, 2, squeeze=False, width_ratios=(1.25, 1))[0]
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
    """Real frames above simulated ones with as many spots, all on one grey scale."""
    runs = len(match.real.adu)
    rows = (
        ("real", BLUE, match.real.photons.numpy(), _counts(match.matched.real.spots, match, runs)),
        (
            "simulated",
            ORANGE,
            match.matched.frames.photons.numpy()[:runs],
            _counts(match.matched.simulated.spots, match, runs),
        ),
    )
    chosen = [_chosen(counts) for _, _, _, counts in rows]
    shown = np.stack([rows[0][2][run, frame] for run, frame in chosen[0]])
    low, high = np.quantile(shown, 0.005), np.quantile(shown, 0.9985)
    grey = {"cmap": "gray", "vmin": low, "vmax": max(high, low + 1e-3), "interpolation": "nearest"}
    axes = part.subplots(2, len(shown), squeeze=False)
    for line, places, (name, colour, frames, counts) in zip(axes, chosen, rows, strict=True):
        for axis, (run, frame) in zip(line, places, strict=True):
            image = axis.imshow(frames[run, frame], **grey)
            axis.set(xticks=[], yticks=[])
            count = int(counts[run, frame])
            number = f"{count} spot{'' if count == 1 else 's'}"
            if name == "real":
                y, x = match.real.origin[run].tolist()
                number = f"frame {match.real.first_frame[run] + frame}, y {y}, x {x}: {number}"
            axis.set_title(number, fontsize=10)
        line[0].set_ylabel(name, fontsize=14, color=colour, fontweight="bold")
    height, width = match.real.size
    bar = part.colorbar(image, ax=axes.ravel().tolist(), shrink=0.6, pad=0.01)
    bar.set_label(f"photons per pixel, {height} x {width} px shown")


def _counts(spots: Spots, match: MovieMatch, runs: int) -> NDArray[np.int64]:
    """Spots seen in each frame of the first runs, (runs, L)."""
    length = match.real.adu.shape[1]
    index = (spots.run * length + spots.frame)[spots.run < runs]
    return np.bincount(index, minlength=runs * length).reshape(runs, length)


def _chosen(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Run and frame of frames with few, usual, more and most spots."""
    order = np.argsort(counts.ravel(), kind="stable")
    places = np.unique((np.array(SHOWN) * (len(order) - 1)).round().astype(int))
    return [(int(k) // counts.shape[1], int(k) % counts.shape[1]) for k in order[places]]


def _histogram(axis: Any, comparison: Comparison) -> None:
    for name, share, colour in (
        ("real", comparison.real, BLUE),
        ("simulated", comparison.simulated, ORANGE),
    ):
        axis.stairs(share, comparison.edges, color=colour, lw=1.8, label=name)
    axis.set_yscale("log")
    held = np.flatnonzero(comparison.real + comparison.simulated > 0)
    axis.set_xlim(comparison.edges[held[0]], comparison.edges[held[-1] + 1])
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
        f"photons     {e.photons.median:.0f} ({e.photons.low:.0f} to {e.photons.high:.0f})",
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
