"""Real frames beside simulated ones, with histograms, spectra and what was found."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

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
LINE = 80
"""Characters in a line of text."""


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

    figure = Figure(figsize=(15, 12), dpi=100, layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(6.6, 4.9))[:, 0]
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
    real, simulated = (
        sample.photons.flatten(0, 1).numpy() for sample in (match.real, match.matched.frames)
    )
    length = match.real.adu.shape[1]
    seen = [
        _seen(spots, length, len(frames))
        for spots, frames in (
            (match.matched.real.spots, real),
            (match.matched.simulated.spots, simulated),
        )
    ]
    chosen = _chosen(seen[0][0])
    rows = (
        ("real", BLUE, real, seen[0], chosen),
        ("simulated", ORANGE, simulated, seen[1], _alike(seen[0][:, chosen], seen[1])),
    )
    grey = {"cmap": "gray", "norm": _grey(real[chosen]), "interpolation": "nearest"}
    axes = part.subplots(2, len(chosen), squeeze=False)
    for line, (name, colour, frames, (counts, _), places) in zip(axes, rows, strict=True):
        for axis, place in zip(line, places, strict=True):
            image = axis.imshow(frames[place], **grey)
            axis.set(xticks=[], yticks=[])
            number = f"{counts[place]:.0f} spot{'' if counts[place] == 1 else 's'}"
            where = f"{_where(match, *divmod(place, length))}: " if name == "real" else ""
            axis.set_title(where + number, fontsize=10)
        line[0].set_ylabel(name, fontsize=14, color=colour, fontweight="bold")
    height, width = match.real.size
    bar = part.colorbar(image, ax=axes.ravel().tolist(), shrink=0.6, pad=0.01)
    bar.set_label(f"photons per pixel, {height} x {width} px shown")


def _grey(shown: NDArray[np.float32]) -> Any:
    """Grey scale by a root, so that dim spots are seen and bright ones keep their shape."""
    from matplotlib.colors import PowerNorm

    low, high = (float(np.quantile(shown, share)) for share in (0.005, 0.9997))
    return PowerNorm(0.7, low, max(high, low + 1e-3))


def _where(match: MovieMatch, run: int, frame: int) -> str:
    """Frame of the movie, and which part of it unless all windows are the same."""
    number = f"frame {match.real.first_frame[run] + frame}"
    y, x = match.real.origin[run].tolist()
    return number if len(match.real.origin.unique(dim=0)) == 1 else f"{number}, y {y}, x {x}"


def _seen(spots: Spots, length: int, frames: int) -> NDArray[np.float64]:
    """Number of spots in each frame of all runs, and their photons together, (2, N)."""
    index = spots.run * length + spots.frame
    each = [np.bincount(index, weights, frames) for weights in (None, spots.photons)]
    return np.stack(each).astype(np.float64)


def _chosen(counts: NDArray[np.float64]) -> list[int]:
    """Frames with few, usual, more and most spots."""
    order = np.argsort(counts, kind="stable")
    places = np.unique((np.array(SHOWN) * (len(order) - 1)).round().astype(int))
    return [int(place) for place in order[places]]


def _alike(wanted: NDArray[np.float64], seen: NDArray[np.float64]) -> list[int]:
    """Frames, none twice, with the spots (2, n) wanted: by their number, then by their light."""
    counts, light = np.abs(seen[:, None] - wanted[..., None])
    cost = counts + light / (light.max() + 1.0)  # the light counts for less than one spot
    return [int(place) for place in linear_sum_assignment(cost)[1]]


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
    axis.set_title(
        f"Radial spectrum, real over simulated: {coarse:.2f} coarse, {fine:.2f} fine", fontsize=11
    )
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
        "In the movie: middle (5% to 95%)",
        f"  background  {e.bg} photons per px",
        f"  photons     {e.photons} of a molecule in a frame",
        f"  density     {e.density_per_um2} per µm²",
        f"  on-time     {life}",
        f"  z           {e.z_range_nm[0]:.0f} to {e.z_range_nm[1]:.0f} nm",
        "",
    ]
    lines = [(row, "black") for row in rows]
    for verdict in match.verdicts:
        if verdict.checked:
            said = f"{verdict.level}: {verdict.sentence}"
            wrapped = textwrap.wrap(said, LINE, subsequent_indent="  ")
            lines += [(line, COLOURS[verdict.level]) for line in wrapped]
    step = min(0.045, 1 / max(len(lines), 1))
    for number, (text, colour) in enumerate(lines):
        axis.text(
            0.0, 1 - number * step, text, color=colour, fontsize=9, family="monospace", va="top",
            transform=axis.transAxes,
        )  # fmt: skip
