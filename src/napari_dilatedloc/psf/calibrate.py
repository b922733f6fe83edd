"""A spline PSF from a z stack of beads.

Each bead gets one shift (z, y, x), one amplitude and one background for its whole stack, by least
squares against the average of all; nothing is recentred slice by slice, so lateral wobble of the
spot with z stays in the model (Li et al., Nat. Methods 15, 367 (2018)).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from napari_dilatedloc.config import Range
from napari_dilatedloc.psf.average import Average, BeadFit, average, first_fits, fit_all
from napari_dilatedloc.psf.beads import Bead, background, centroid, check_places, crop, find_beads
from napari_dilatedloc.psf.spline import MARGIN, SplinePSF, spline_from_volume

Array = NDArray[np.float64]
ROUNDS = 4
NEAR_CENTRE_NM = 100.0
"""The spot's centre is its centroid over this distance from z = 0."""
NEAR_FOCUS_NM = 200.0
"""Images within this of z = 0 have one photon in the mean."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibration:
    """Result of `calibrate_beads`.

    Attributes
    ----------
    psf : SplinePSF
        The model.
    beads : tuple of Bead
        Every bead found or given; those not used say why.
    z_range_nm : tuple of float
        z the model covers, nm.
    residual : float
        Root mean square of bead minus model over the kept beads, relative to the model's peak.
    """

    psf: SplinePSF
    beads: tuple[Bead, ...]
    z_range_nm: Range
    residual: float


def calibrate_beads(
    stack: ArrayLike,
    *,
    pixel_size_nm: float,
    z_step_nm: float,
    roi_size: int = 25,
    z_direction: Literal["up", "down"] = "up",
    z_zero: Literal["stack", "focus"] = "stack",
    positions: Sequence[tuple[float, float]] | None = None,
    min_correlation: float = 0.9,
    smooth_z_nm: float = 20.0,
) -> Calibration:
    """Build a spline PSF from beads recorded through focus.

    Parameters
    ----------
    stack : array_like
        (Z, Y, X) images in ADU or photons.
    pixel_size_nm, z_step_nm : float
        Camera pixel and distance of slices, nm.
    roi_size : int
        Side of the model, px, odd.
    z_direction : {"up", "down"}
        "up": the emitter's z grows with the slice index (the beads or the objective's focus moved
        so); "down": it falls (a stage moved the other way).
    z_zero : {"stack", "focus"}
        z = 0 is the middle slice at the median height of the beads, or the slice with the
        brightest pixel of the average spot.
    positions : sequence of (y, x), optional
        Known places of the emitters, px (pixel centres at whole numbers). They replace the search,
        and the model's emitter is where they say. Otherwise it is at the spot's centroid over
        z = 0 +- 100 nm.
    min_correlation : float
        Beads with a smaller correlation with the average are not used.
    smooth_z_nm : float
        Standard deviation of a Gaussian that smooths the average along z, nm; 0 for none. Noise of
        single slices makes false minima for a fit of z: fits of held-out Challenge beads were off
        by 25 nm rms without, 7 nm with 10, 5 nm with 20 or 40. A spot changes over hundreds of nm.

    Returns
    -------
    Calibration
        The scale is one number: mean ROI sums within 200 nm of z = 0 are one photon, so light lost
        from the ROI elsewhere is lost in the model too.
    """
    volume = _checked(stack, roi_size, pixel_size_nm, z_step_nm)
    if z_direction not in ("up", "down") or z_zero not in ("stack", "focus"):
        raise ValueError(
            "z_direction must be up or down and z_zero stack or focus, "
            f"got {z_direction!r} and {z_zero!r}; correct them"
        )
    if z_direction == "down":
        volume = volume[::-1]
    places = find_beads(volume, roi_size) if positions is None else [(y, x) for y, x in positions]
    beads = check_places(places, volume.shape, roi_size)
    fits = _start(volume, beads, places, roi_size, recentre=positions is None)
    fits, model = _align(volume, fits, roi_size, min_correlation)
    zero = _zero_slice(model, z_zero)
    fits, model = _centre(volume, fits, roi_size, zero, z_step_nm, positions)
    psf, scale = _to_psf(model, roi_size, zero, pixel_size_nm, z_step_nm, smooth_z_nm)
    middle = (len(volume) - 1) / 2
    for fit in fits:
        beads[fit.number] = Bead(
            y=fit.y,
            x=fit.x,
            z_nm=(middle - fit.z - zero) * z_step_nm,
            kept=fit.kept,
            reason=fit.reason(min_correlation),
            correlation=fit.correlation,
            photons=fit.amplitude * scale,
            bg=fit.bg,
        )
    _log.info("%d of %d beads used", sum(bead.kept for bead in beads), len(beads))
    return Calibration(psf, tuple(beads), psf.config.z_range_nm, model.residual)


def _checked(stack: ArrayLike, roi_size: int, pixel_size_nm: float, z_step_nm: float) -> Array:
    """Stack as float64, or one sentence on what is wrong."""
    volume = np.asarray(stack)
    if volume.ndim != 3 or not np.issubdtype(volume.dtype, np.number):
        raise ValueError(
            f"a bead stack must be numbers of shape (Z, Y, X), got {volume.dtype} of shape "
            f"{volume.shape}; pass one channel of one stack"
        )
    if np.iscomplexobj(volume) or not np.isfinite(volume).all():
        raise ValueError("a bead stack must hold finite real numbers, got others; repair the file")
    if roi_size % 2 == 0 or roi_size < 7:
        raise ValueError(f"roi_size must be odd and at least 7, got {roi_size}; use 25")
    if pixel_size_nm <= 0 or z_step_nm <= 0:
        raise ValueError(
            f"pixel_size_nm and z_step_nm must be positive, got {pixel_size_nm} and {z_step_nm}; "
            "state a falling z by z_direction='down'"
        )
    side = roi_size + 2 * MARGIN
    if len(volume) < 5 or min(volume.shape[1:]) < side:
        raise ValueError(
            f"a bead stack needs at least 5 slices of {side} x {side} px for a ROI of "
            f"{roi_size} px, got {volume.shape}; record more or choose a smaller roi_size"
        )
    return volume.astype(np.float64)


def _start(
    volume: Array,
    beads: list[Bead],
    places: Sequence[tuple[float, float]],
    roi_size: int,
    recentre: bool,
) -> list[BeadFit]:
    """First guess of each usable bead; marks the others in `beads`."""
    fits = []
    middle = slice(len(volume) // 3, len(volume) - len(volume) // 3)
    for number, bead in enumerate(beads):
        if not bead.kept:
            continue
        y, x = bead.y, bead.x
        cut = crop(volume, y, x, roi_size)
        if recentre and cut is not None:
            row, column = centroid(cut[middle].mean(axis=0) - np.median(cut[middle]))
            half = cut.shape[1] // 2
            y, x = round(y) + row - half, round(x) + column - half
            cut = crop(volume, y, x, roi_size)
        if cut is None:
            beads[number] = bead.reject("too near the border once centred")
            continue
        bg = background(volume, y, x, places, roi_size)
        fits.append(BeadFit(number, z=0.0, y=y, x=x, amplitude=1.0, bg=bg, field_bg=bg))
    if not fits:
        reasons = sorted({bead.reason for bead in beads}) or ["nothing stands out of the noise"]
        raise ValueError(
            f"expected at least one usable bead, got none of {len(beads)} found "
            f"({'; '.join(reasons)}); record beads farther apart or choose a smaller roi_size"
        )
    return fits


def _align(
    volume: Array, fits: list[BeadFit], roi_size: int, min_correlation: float
) -> tuple[list[BeadFit], Average]:
    """Register beads to their average and average them anew, a few rounds."""
    fits = first_fits(volume, fits, roi_size)
    typical = float(np.median([fit.correlation for fit in fits]))
    fits = [fit.judge(min(min_correlation, typical)) for fit in fits]
    model = average(volume, fits, roi_size)
    for _ in range(ROUNDS if len(fits) > 1 else 1):
        fits = [fit.judge(min_correlation) for fit in fit_all(volume, fits, model, roi_size)]
        if not any(fit.kept for fit in fits):
            best = max(fit.correlation for fit in fits)
            raise ValueError(
                f"expected beads that resemble their average (correlation {min_correlation} or "
                f"more), got at most {best:.3f}; remove clusters, or lower min_correlation"
            )
        level = float(np.median([fit.z for fit in fits if fit.kept]))
        fits = [fit.moved(-level, 0.0, 0.0) for fit in fits]
        model = average(volume, fits, roi_size)
    return fits, model


def _zero_slice(model: Average, z_zero: str) -> float:
    """Slice of the stack (fractional) that is z = 0."""
    if z_zero == "stack":
        return (model.n_slices - 1) / 2
    peaks = gaussian_filter1d(model.volume.max(axis=(1, 2)), 1.0, mode="nearest")
    best = int(np.argmax(peaks))
    if not 0 < best < len(peaks) - 1:
        return float(model.first + best)
    before, at, after = peaks[best - 1 : best + 2]
    return float(model.first + best + 0.5 * (before - after) / (before - 2 * at + after))


def _near(model: Average, zero: float, z_step_nm: float, distance_nm: float) -> NDArray[np.bool_]:
    """Slices of the model near z = 0, at least the nearest one."""
    away = np.abs(np.arange(len(model.volume)) + model.first - zero) * z_step_nm
    return np.asarray(away <= max(distance_nm, float(away.min()) + 1e-6))


def _centre(
    volume: Array,
    fits: list[BeadFit],
    roi_size: int,
    zero: float,
    z_step_nm: float,
    positions: Sequence[tuple[float, float]] | None,
) -> tuple[list[BeadFit], Average]:
    """Move all beads alike so that the model's emitter is at its centre pixel."""
    model = average(volume, fits, roi_size)
    for _ in range(2):
        if positions is None:
            image = model.volume[_near(model, zero, z_step_nm, NEAR_CENTRE_NM)].mean(axis=0)
            row, column = centroid(image)
            half = image.shape[0] // 2
            dy, dx = row - half, column - half
        else:
            kept = [fit for fit in fits if fit.kept]
            dy = float(np.mean([positions[fit.number][0] - fit.y for fit in kept]))
            dx = float(np.mean([positions[fit.number][1] - fit.x for fit in kept]))
        fits = [fit.moved(0.0, dy, dx) for fit in fits]
        model = average(volume, fits, roi_size)
    return fits, model


def _to_psf(
    model: Average,
    roi_size: int,
    zero: float,
    pixel_size_nm: float,
    z_step_nm: float,
    smooth_z_nm: float,
) -> tuple[SplinePSF, float]:
    """Normalized spline, and the ADU near focus of the model before."""
    images = model.volume
    if smooth_z_nm > 0:
        images = gaussian_filter1d(images, smooth_z_nm / z_step_nm, axis=0, mode="nearest")
    inner = images[:, MARGIN : MARGIN + roi_size, MARGIN : MARGIN + roi_size]
    scale = float(inner[_near(model, zero, z_step_nm, NEAR_FOCUS_NM)].sum(axis=(1, 2)).mean())
    if scale <= 0:
        raise ValueError(
            f"expected light of beads near z = 0, got {scale:.3g}; check the stack and z_zero"
        )
    psf = spline_from_volume(
        images / scale,
        pixel_size_nm=pixel_size_nm,
        z_min_nm=(model.first - zero) * z_step_nm,
        z_step_nm=z_step_nm,
    )
    return psf, scale
