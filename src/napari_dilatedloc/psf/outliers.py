"""Which beads must not go into the average, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_dilatedloc.psf.average import Average, BeadFit
from napari_dilatedloc.psf.bead_stack import BeadStack
from napari_dilatedloc.psf.quality import Deviation, deviation


@dataclass(frozen=True)
class Limits:
    """What a bead must keep to be used.

    Attributes
    ----------
    correlation : float
        Smallest correlation with the average.
    drift_nm : float
        Largest lateral movement over the stack relative to the others, nm.
    size : float
        Largest relative difference of width from the others. A bead of 200 nm among such of 100 nm
        is wider by about 5%, two beads side by side by far more.
    snr : float
        Smallest ratio of peak to the noise of a pixel.
    """

    correlation: float = 0.9
    drift_nm: float = 50.0
    size: float = 0.15
    snr: float = 5.0


def outliers(
    stacks: Sequence[BeadStack],
    fits: Sequence[BeadFit],
    model: Average,
    roi_size: int,
    limits: Limits,
    pixel_size_nm: float,
) -> dict[int, str]:
    """Kept beads that are too dim, or of another size or drift than the others, with the reason.

    Which of two beads is the odd one cannot be told: sizes and drifts need three.
    """
    kept = [fit for fit in fits if fit.kept]
    peak = float(model.volume.max())
    snr = {fit.number: snr_of(fit, stacks[fit.stack], peak) for fit in kept}
    reasons = {
        number: f"too dim: peak of {value:.1f} times the noise, {limits.snr:g} needed"
        for number, value in snr.items()
        if value < limits.snr
    }
    if len(reasons) == len(kept):
        return {}  # a verdict says so
    if reasons or len(kept) < 3:
        return reasons
    images = [stack.images for stack in stacks]
    differ = {fit.number: deviation(images, fit, model, roi_size) for fit in kept}
    typical = typical_of(list(differ.values()))
    worst = max(kept, key=lambda fit: _excess(differ[fit.number], typical, limits, pixel_size_nm))
    return _reason(worst.number, differ[worst.number], typical, limits, pixel_size_nm)


def typical_of(differ: Sequence[Deviation]) -> tuple[float, float, float, float]:
    """Median size, drift in y and x (px) and fading of beads; what they have in common."""
    return (
        float(np.nanmedian([d.size for d in differ])),
        float(np.nanmedian([d.drift_y_px for d in differ])),
        float(np.nanmedian([d.drift_x_px for d in differ])),
        float(np.nanmedian([d.fading for d in differ])),
    )


def _excess(
    bead: Deviation, typical: tuple[float, ...], limits: Limits, pixel_size_nm: float
) -> float:
    """How far a bead is off, 1 at the limit."""
    drift = np.hypot(bead.drift_y_px - typical[1], bead.drift_x_px - typical[2]) * pixel_size_nm
    return float(max(drift / limits.drift_nm, abs(bead.size / typical[0] - 1) / limits.size))


def _reason(
    number: int,
    bead: Deviation,
    typical: tuple[float, ...],
    limits: Limits,
    pixel_size_nm: float,
) -> dict[int, str]:
    drift = np.hypot(bead.drift_y_px - typical[1], bead.drift_x_px - typical[2]) * pixel_size_nm
    size = bead.size / typical[0]
    if drift > max(limits.drift_nm, 4 * bead.drift_sigma_px * pixel_size_nm):
        return {number: f"moved by {drift:.0f} nm over the stack relative to the other beads"}
    if abs(size - 1) > limits.size:
        kind = "wider" if size > 1 else "narrower"
        return {number: f"another size: {abs(size - 1):.0%} {kind} than the other beads"}
    return {}


def snr_of(fit: BeadFit, stack: BeadStack, peak: float) -> float:
    """Peak of a bead over the noise of a pixel; infinite where the background was removed."""
    return fit.amplitude * peak / stack.noise if stack.noise > 0 else float("inf")
