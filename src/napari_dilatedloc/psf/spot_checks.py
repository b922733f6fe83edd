"""Checks of the average spot: range and step in z, focus, drift, brightness, light lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.psf.calibration import Calibration
from napari_dilatedloc.psf.verdict import Retrieval, Verdict, graded
from napari_dilatedloc.psf.widths import spot_widths

Array = NDArray[np.float64]
FEW_SLICES = 15
WIDEST_INDEX, SHORTEST_WAVE_NM = 1.52, 500.0
"""Oil and green light: with unknown optics the sharpest axial detail to expect."""
SLACK = 1.2
EXCESS = 0.01


@dataclass(frozen=True)
class Spot:
    """The average spot through z, measured once for all checks.

    Attributes
    ----------
    radius_nm : ndarray
        (Z,) root of the mean variance along y and x, nm; NaN where there is none.
    centre_nm : ndarray
        (Z, 2) centre (y, x), nm.
    light : ndarray
        (Z,) light in the ROI relative to that near z = 0.
    edge : ndarray
        (Z,) brightness of the outermost ring of pixels relative to the mean of the ROI.
    """

    radius_nm: Array
    centre_nm: Array
    light: Array
    edge: Array


def spot_of(calibration: Calibration) -> Spot:
    """Measure the average spot."""
    images, pixel_size_nm = calibration.measured, calibration.psf.config.pixel_size_nm
    width_y, width_x, centre = spot_widths(images)
    light = images.sum(axis=(1, 2))
    inner = images[:, 1:-1, 1:-1].sum(axis=(1, 2))
    side = images.shape[1]
    ring = (light - inner) / (4 * side - 4)
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = np.where(light > 0, ring / (light / side**2), np.nan)
    radius = np.sqrt((width_y**2 + width_x**2) / 2) * pixel_size_nm
    return Spot(radius, centre * pixel_size_nm, light, edge)


def _ends(values: Array) -> tuple[float, float]:
    """Means of the first and last tenth."""
    tenth = max(1, len(values) // 10)
    with np.errstate(invalid="ignore"):
        return float(np.mean(values[:tenth])), float(np.mean(values[-tenth:]))


def check_range(calibration: Calibration) -> Verdict:
    """Whether the stack is long enough in slices and in nm."""
    images, n = calibration.measured, calibration.n_slices
    length = calibration.z_nm[-1] - calibration.z_nm[0]
    if n < FEW_SLICES:
        return Verdict(
            "problem" if n < 9 else "warning",
            "stack",
            f"The stack has only {n} slices; record at least {FEW_SLICES}, over the whole z range "
            "the sample has and some more.",
            float(n),
        )
    middle = images[len(images) // 2]
    alike = max(_alike(images[0], middle), _alike(images[-1], middle))
    if alike > 0.95:
        return Verdict(
            "problem",
            "stack",
            f"The z range of {length:.0f} nm is shorter than a depth of field: an end of it looks "
            f"like its middle (correlation {alike:.2f}); record a longer stack, or correct the z "
            "step.",
            float(length),
        )
    return Verdict("ok", "stack", f"{n} slices over {length:.0f} nm.", float(length))


def _alike(a: Array, b: Array) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def check_focus(calibration: Calibration, spot: Spot) -> Verdict:
    """Whether the spot has its smallest size inside the stack."""
    radius = np.where(np.isfinite(spot.radius_nm), spot.radius_nm, np.inf)
    best = int(np.argmin(radius))
    z_nm, margin = calibration.z_nm, max(1, len(radius) // 20)
    at = float(z_nm[best])
    if best < margin or best >= len(radius) - margin:
        return Verdict(
            "problem",
            "focus",
            f"The focus lies outside the stack: the spot is smallest at its end (z = {at:.0f} nm); "
            "record so that the focus is near the middle.",
            at,
        )
    part = (at - z_nm[0]) / (z_nm[-1] - z_nm[0])
    if not 0.2 <= part <= 0.8:
        return Verdict(
            "warning",
            "focus",
            f"The spot is smallest at z = {at:.0f} nm, near the end of the stack; centre the stack "
            "on the focus, or use z_zero='focus'.",
            at,
        )
    return Verdict("ok", "focus", f"The spot is smallest at z = {at:.0f} nm.", at)


def check_stage(calibration: Calibration, spot: Spot, retrieval: Retrieval | None) -> Verdict:
    """Whether the average spot walks sideways, as under drift of the stage."""
    light = np.clip(spot.light, 0, None) * np.isfinite(spot.radius_nm)
    usable = light > 0
    if retrieval is not None:
        value = float(np.hypot(*retrieval.drift_nm))
        how = "the fitted vectorial model moves"
    elif usable.sum() >= 3:
        z_nm, weights = calibration.z_nm[usable], np.sqrt(light[usable])
        slope = np.polyfit(z_nm, spot.centre_nm[usable], 1, w=weights)[0]  # (y, x)
        value = float(np.hypot(*slope) * (calibration.z_nm[-1] - calibration.z_nm[0]))
        how = "the centre of the spot moves"
    else:
        return Verdict(
            "ok", "lateral walk", "Not checked: too few slices show a spot.", checked=False
        )
    rate = value / (calibration.z_nm[-1] - calibration.z_nm[0])
    found = f"{how} sideways by {value:.0f} nm over the stack"
    if value < 30 or rate < 0.05:
        return Verdict("ok", "lateral walk", f"{found[0].upper()}{found[1:]}.", value)
    return Verdict(
        "warning" if rate < 0.25 else "problem",
        "lateral walk",
        f"{found[0].upper()}{found[1:]}. Bead images alone cannot tell drift of the stage from a "
        "tilted or comatic PSF: record the stack in both directions, or faster; if both agree it "
        "is the PSF and belongs in the model.",
        value,
    )


def check_step(calibration: Calibration, retrieval: Retrieval | None) -> Verdict:
    """Whether the stated distance of slices can be true."""
    step = calibration.z_step_nm
    if retrieval is not None:
        off = abs(retrieval.z_scale - 1)
        unsure = 3 * retrieval.z_scale_sigma
        true = f"{step * retrieval.z_scale:.1f} nm"
        if off <= max(0.03, unsure):
            return Verdict(
                "ok",
                "z step",
                f"The fitted model agrees with slices {step:g} nm apart (fit: {true}).",
                retrieval.z_scale,
            )
        return Verdict(
            graded(off, 0.0, 0.1),
            "z step",
            f"The fitted model wants slices {true} apart instead of {step:g} nm; check the stage's "
            "step, and NA, wavelength and refractive indices, which the fit relies on.",
            retrieval.z_scale,
        )
    least = least_step_nm(calibration.measured, step)
    if least is not None and least > step:
        return Verdict(
            "problem",
            "z step",
            f"The spot changes from slice to slice faster than light of {SHORTEST_WAVE_NM:.0f} nm "
            f"through an oil objective can: slices must be at least {least:.0f} nm apart, not "
            f"{step:g} nm; correct the z step.",
            least,
        )
    return Verdict(
        "ok",
        "z step",
        "Not checked: bead images alone do not tell the distance of slices; a fit of the "
        "vectorial model with NA, wavelength and refractive indices does.",
        checked=False,
    )


def least_step_nm(images: Array, z_step_nm: float) -> float | None:
    """Smallest distance of slices that the images allow, nm; None where noise or length hide it.

    Images through an aperture hold no axial detail finer than ``lambda / (n - sqrt(n^2 - NA^2))``
    (end of the support of the 3-D OTF: Frieden, J. Opt. Soc. Am. 57, 56 (1967)), at best
    ``lambda / n``. The power spectrum along z is summed over pixels; from the frequency on that
    less than 1% of it (noise taken off) lies beyond follows the step.
    """
    n = len(images)
    if n < FEW_SLICES:
        return None
    window = np.hanning(n + 2)[1:-1, None, None]
    spectrum = np.abs(np.fft.rfft((images - images.mean(axis=0)) * window, axis=0)) ** 2
    power = spectrum.sum(axis=(1, 2))
    frequency = np.fft.rfftfreq(n)  # per slice
    noise = float(np.median(power[frequency > 0.3]))
    beyond = np.cumsum((power - noise)[::-1])[::-1] / float(np.sum(power - noise))
    inside = np.flatnonzero(beyond > EXCESS)
    last = int(inside[-1]) if len(inside) else 0
    if frequency[last] > 0.3:
        return None
    return float(frequency[last] / SLACK * SHORTEST_WAVE_NM / WIDEST_INDEX)


def check_roi(calibration: Calibration, spot: Spot) -> Verdict:
    """Whether the ROI holds the spot at both ends of the z range."""
    loss, size = calibration.light_loss, calibration.psf.config.roi_size
    note = "".join(f" {text}" for text in calibration.notes)
    if loss is not None and np.isfinite([loss.first, loss.last]).all():
        value = max(loss.first, loss.last)
        level = graded(value, 0.1, 0.3)
        if loss.enough_px >= loss.largest_px - 2 and np.nanmax(_ends(spot.edge)) > 0.7:
            level = "problem"  # light everywhere: what was taken for background is the spot
        found = f"{loss.first:.0%} and {loss.last:.0%} of the light at the two ends of the z range"
        more = "at least " if loss.enough_px >= loss.largest_px - 2 else ""
        if level != "ok":
            return Verdict(
                level,
                "ROI",
                f"The ROI of {size} px misses {found}; choose roi_size {more}{loss.enough_px} "
                "(beads must be that far apart), or use the model over a shorter z range."
                f"{note}",
                value,
            )
        text = f"The ROI of {size} px misses {found}.{note}"
        return Verdict("warning" if note else "ok", "ROI", text, value)
    value = float(np.nanmax(_ends(spot.edge)))
    if value > 0.3:
        return Verdict(
            "problem" if value > 0.7 else "warning",
            "ROI",
            f"At an end of the z range the rim of the ROI of {size} px is {value:.0%} as bright as "
            f"its mean, so light is lost; choose a larger roi_size if beads have the room.{note}",
            value,
        )
    text = f"At the ends of the z range the rim of the ROI is {value:.0%} as bright as its mean."
    return Verdict("warning" if note else "ok", "ROI", text + note, value)


def check_brightness(calibration: Calibration, spot: Spot) -> Verdict:
    """Whether brightness changes in time, e.g. by bleaching, as far as the ROI holds the light."""
    first, last = _ends(spot.light)
    loss = calibration.light_loss
    if loss is not None and np.isfinite([loss.first, loss.last]).all():
        first, last = first / max(1 - loss.first, 0.1), last / max(1 - loss.last, 0.1)
    if calibration.falling:
        first, last = last, first
    value = (last - first) / max(first, last, 1e-12)
    part = f"by {abs(value):.0%} from the first to the last slice"
    if abs(value) <= 0.2:
        return Verdict("ok", "brightness", f"Brightness changes {part}.", value)
    what = "falls" if value < 0 else "grows"
    why = "bleaching, " if value < 0 else ""
    return Verdict(
        "warning",
        "brightness",
        f"Brightness {what} {part} ({why}uneven lamp, or light that leaves the ROI): the model "
        "takes it for a property of z, so photons will be wrong there; use beads that do not "
        "bleach, or a larger roi_size.",
        value,
    )
