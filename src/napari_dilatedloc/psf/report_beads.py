"""Panels of a calibration report that show single beads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.psf.calibration import Calibration

MAX_STACKS = 4
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#D55E00", "#009E73", "#C1272D", "#666666"
"""Okabe & Ito's colours, told apart by colour-blind readers: y blue, x orange, z green."""


def places(axis: Any, calibration: Calibration) -> None:
    """Beads on the largest value over z; several stacks side by side."""
    from matplotlib.colors import PowerNorm
    from matplotlib.patches import Rectangle

    shown = calibration.projections[:MAX_STACKS]
    height = max(one.shape[0] for one in shown)
    gap = 4
    lefts: list[int] = []
    strips: list[NDArray[np.float32]] = []
    for one in shown:
        lefts.append(sum(strip.shape[1] for strip in strips))
        padded = np.full((height, one.shape[1] + gap), np.nan, dtype=np.float32)
        padded[: one.shape[0], : one.shape[1]] = one
        strips.append(padded)
    image = np.concatenate(strips, axis=1)[:, :-gap]
    low, high = float(np.nanmin(image)), float(np.nanmax(image))
    axis.imshow(image, cmap="gray", norm=PowerNorm(0.5, low, max(high, low + 1e-6)))
    side = calibration.psf.config.roi_size
    for number, bead in enumerate(calibration.beads, start=1):
        if bead.stack >= len(shown):
            continue
        x, colour = bead.x + lefts[bead.stack], "#40E0A0" if bead.kept else "#FF6060"
        corner = round(x) - side / 2, round(bead.y) - side / 2
        axis.add_patch(Rectangle(corner, side, side, fill=False, color=colour, lw=1.5))
        text = f"{number}" if bead.kept else f"{number} {short_reason(bead.reason)}"
        place = max(corner[0], 0), max(corner[1], 0)
        axis.text(
            place[0] + 1,
            place[1] + 1,
            text,
            color=colour,
            fontsize=10,
            fontweight="bold",
            va="top",
            clip_on=True,
            bbox={"color": "black", "alpha": 0.6, "pad": 1},
        )
    more = len(calibration.projections) - len(shown)
    title = "Beads on the projection: used green, rejected red"
    frame(axis, f"{title} ({more} more stacks)" if more else title, "x (px)", "y (px)")
    axis.grid(False)
    axis.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))


def short_reason(reason: str) -> str:
    """One word for a reason."""
    words = {
        "border": "border",
        "another bead": "neighbour",
        "saturated": "saturated",
        "dim": "dim",
        "moved": "drifts",
        "another size": "size",
        "correlation": "unlike",
        "aligned": "unlike",
    }
    return next((word for part, word in words.items() if part in reason), "rejected")


def likeness(axis: Any, calibration: Calibration) -> None:
    """Correlation of each compared bead with the average."""
    compared = [
        (number, bead)
        for number, bead in enumerate(calibration.beads, start=1)
        if np.isfinite(bead.correlation) and bead.correlation > -1
    ]
    for kept, marker, colour, label in ((True, "o", GREEN, "used"), (False, "x", RED, "rejected")):
        chosen = [(number, bead.correlation) for number, bead in compared if bead.kept is kept]
        if chosen:
            numbers, values = zip(*chosen, strict=True)
            axis.plot(numbers, values, marker, color=colour, ms=8, label=label)
    frame(axis, "Likeness of the beads", "bead", "correlation with the average")
    count = len(calibration.beads)
    axis.set_xticks(range(1, count + 1, max(1, count // 12)))
    lowest = min((bead.correlation for _, bead in compared), default=0.9)
    axis.set(xlim=(0.5, count + 0.5), ylim=(min(0.98, lowest - 0.2 * (1 - lowest)), 1.002))
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.legend(fontsize=9, loc="lower right")


def drift(axis: Any, calibration: Calibration) -> None:
    """Lateral movement of each bead over the stack, relative to the others."""
    compared = [
        (number, bead)
        for number, bead in enumerate(calibration.beads, start=1)
        if np.isfinite(bead.drift_nm)
    ]
    if len(calibration.kept) < 2:
        compared = []
    span = max([20.0, *(1.3 * bead.drift_nm for _, bead in compared)])
    for number, bead in compared:
        colour = GREEN if bead.kept else RED
        axis.annotate(
            "",
            (bead.drift_x_nm, bead.drift_y_nm),
            (0, 0),
            arrowprops={"arrowstyle": "->", "color": colour, "shrinkA": 0, "shrinkB": 0},
        )
        axis.annotate(
            str(number),
            (bead.drift_x_nm, bead.drift_y_nm),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=9,
            color=colour,
        )
    axis.set(xlim=(-span, span), ylim=(span, -span), aspect="equal")
    frame(
        axis, "Drift over the stack relative to the beads' median", "drift x (nm)", "drift y (nm)"
    )
    if len(calibration.kept) < 2:
        axis.text(
            0.5,
            0.6,
            "one bead: nothing to\ncompare it with",
            ha="center",
            color=GREY,
            transform=axis.transAxes,
        )


def frame(axis: Any, title: str, x_label: str, y_label: str) -> None:
    """Title, labels and a faint grid."""
    axis.set_title(title, fontsize=11)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.grid(alpha=0.3)
