"""A spline PSF from z stacks of beads.

Each bead gets one shift (z, y, x), one amplitude and one background for its whole stack, by least
squares against the average of all; nothing is recentred slice by slice, so lateral wobble of the
spot with z stays in the model (Li et al., Nat. Methods 15, 367 (2018)).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d

from napari_dilatedloc.psf.average import Average, NoRoomError
from napari_dilatedloc.psf.bead_stack import MIN_ROI, as_stacks
from napari_dilatedloc.psf.calibration import Built, Calibration, build_calibration
from napari_dilatedloc.psf.outliers import Limits
from napari_dilatedloc.psf.register import (
    Place,
    align,
    centre,
    find,
    near,
    start,
    zero_slice,
)
from napari_dilatedloc.psf.spline import MARGIN, SplinePSF, spline_from_volume
from napari_dilatedloc.psf.tick import Tick, go_on

NEAR_FOCUS_NM = 200.0
"""Images within this of z = 0 have one photon in the mean."""

_log = logging.getLogger(__name__)


def calibrate_beads(
    stack: ArrayLike | Sequence[ArrayLike],
    *,
    pixel_size_nm: float,
    z_step_nm: float,
    roi_size: int = 25,
    z_direction: Literal["up", "down"] = "up",
    z_zero: Literal["stack", "focus"] = "stack",
    positions: Sequence[Place] | Sequence[Sequence[Place]] | None = None,
    min_correlation: float = 0.9,
    smooth_z_nm: float = 20.0,
    threshold: float = 0.1,
    max_drift_nm: float = 50.0,
    max_adu: float | None = None,
    tick: Tick = go_on,
) -> Calibration:
    """Build a spline PSF from beads recorded through focus.

    Parameters
    ----------
    stack : array_like or sequence of array_like
        (Z, Y, X) images in ADU or photons; a list of several stacks with the same pixel and step,
        whose beads are pooled. Stacks may differ in size; their middle slices are held together.
    pixel_size_nm, z_step_nm : float
        Camera pixel and distance of slices, nm.
    roi_size : int
        Side of the model, px, odd. Where no bead has room for it the largest side that fits is
        taken, down to half of it, and `Calibration.notes` says so.
    z_direction : {"up", "down"}
        "up": the emitter's z grows with the slice index (the beads or the objective's focus moved
        so); "down": it falls (a stage moved the other way).
    z_zero : {"stack", "focus"}
        z = 0 is the middle slice at the median height of the beads, or the slice with the
        brightest pixel of the average spot.
    positions : sequence of (y, x), optional
        Known places of the emitters, px (pixel centres at whole numbers). They replace the search,
        and the model's emitter is where they say. Otherwise it is at the spot's centroid over
        z = 0 +- 100 nm. For a list of stacks one such sequence per stack.
    min_correlation : float
        Beads with a smaller correlation with the average are not used.
    smooth_z_nm : float
        Standard deviation of a Gaussian that smooths the average along z, nm; 0 for none. Noise of
        single slices makes false minima for a fit of z: fits of held-out Challenge beads were off
        by 25 nm rms without, 7 nm with 10, 5 nm with 20 or 40. A spot changes over hundreds of nm.
    threshold : float
        Spots below this part of the brightest one are not used, 0-1; the search only.
    max_drift_nm : float
        Beads that move by more than this over the stack, relative to the others, are not used.
    max_adu : float, optional
        Largest value of the camera, ADU; default: seen from several pixels of one value.
    tick : callable
        Called bead by bead; raising in it ends the work.

    Returns
    -------
    Calibration
        The scale is one number: mean ROI sums within 200 nm of z = 0 are one photon, so light lost
        from the ROI elsewhere is lost in the model too.
    """
    _check_settings(roi_size, pixel_size_nm, z_step_nm, z_direction, z_zero, threshold)
    stacks, several = as_stacks(stack, max_adu, z_direction == "down")
    known = _known(positions, len(stacks), several)
    limits = Limits(correlation=min_correlation, drift_nm=max_drift_nm)
    images = [one.images for one in stacks]
    failure: NoRoomError | None = None
    for size in range(roi_size, max(MIN_ROI, (roi_size + 1) // 2) - 1, -2):
        try:
            found = find(stacks, known, size, threshold)
            fits = start(stacks, found, size)
            fits, model = align(stacks, fits, size, limits, pixel_size_nm, tick)
            zero = zero_slice(model, z_zero)
            fits, model = centre(images, fits, size, zero, z_step_nm, found.known)
        except NoRoomError as error:
            failure = failure or error
            continue
        psf, scale = _to_psf(model, size, zero, pixel_size_nm, z_step_nm, smooth_z_nm)
        built = Built(stacks, found, fits, model, psf, zero, scale, z_direction == "down")
        return build_calibration(built, limits, z_step_nm, _notes(roi_size, size))
    raise failure or ValueError(f"roi_size must be at least {MIN_ROI}, got {roi_size}")


def _check_settings(
    roi_size: int,
    pixel_size_nm: float,
    z_step_nm: float,
    z_direction: str,
    z_zero: str,
    threshold: float,
) -> None:
    """One sentence on a setting that makes no sense."""
    if z_direction not in ("up", "down") or z_zero not in ("stack", "focus"):
        raise ValueError(
            "z_direction must be up or down and z_zero stack or focus, "
            f"got {z_direction!r} and {z_zero!r}; correct them"
        )
    if roi_size % 2 == 0 or roi_size < MIN_ROI:
        raise ValueError(f"roi_size must be odd and at least {MIN_ROI}, got {roi_size}; use 25")
    if pixel_size_nm <= 0 or z_step_nm <= 0:
        raise ValueError(
            f"pixel_size_nm and z_step_nm must be positive, got {pixel_size_nm} and {z_step_nm}; "
            "state a falling z by z_direction='down'"
        )
    if not 0 < threshold < 1:
        raise ValueError(
            f"threshold must lie between 0 and 1, got {threshold}; 0.1 is a tenth of the "
            "brightest bead"
        )


def _known(
    positions: Sequence[Place] | Sequence[Sequence[Place]] | None, n_stacks: int, several: bool
) -> list[list[Place]] | None:
    """Given places, a list for each stack."""
    if positions is None:
        return None
    listed = cast("Sequence[Sequence[Place]]", positions if several else [positions])
    if len(listed) != n_stacks:
        raise ValueError(
            f"positions must be one list of (y, x) for each of {n_stacks} stacks, got "
            f"{len(listed)}; use an empty list for a stack to leave out"
        )
    if any(np.shape(place) != (2,) for here in listed for place in here):
        raise ValueError(
            "positions must be pairs (y, x) in px, got others; give one list of pairs for each "
            "stack of a list of stacks"
        )
    return [[(float(y), float(x)) for y, x in here] for here in listed]


def _notes(asked: int, used: int) -> tuple[str, ...]:
    """What was changed about the request."""
    if asked == used:
        return ()
    note = (
        f"No bead has room for a ROI of {asked} px, so {used} px are used; "
        "record or crop beads with more space around them."
    )
    _log.warning("%s", note)
    return (note,)


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
    scale = float(inner[near(model, zero, z_step_nm, NEAR_FOCUS_NM)].sum(axis=(1, 2)).mean())
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
