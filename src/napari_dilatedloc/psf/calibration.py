"""The result of a calibration: the model, and all that a report or a verdict asks of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dilatedloc.config import Range
from napari_dilatedloc.psf.average import Average, BeadFit
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.bead_stack import BeadStack
from napari_dilatedloc.psf.beads import Bead, crop
from napari_dilatedloc.psf.outliers import Limits, snr_of, typical_of
from napari_dilatedloc.psf.quality import Deviation, LightLoss, deviation, lost_light
from napari_dilatedloc.psf.register import Found
from napari_dilatedloc.psf.spline import MARGIN, SplinePSF

Array = NDArray[np.float64]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BeadImages:
    """What the camera saw of one kept bead.

    Attributes
    ----------
    bead : int
        Its place in `Calibration.beads`.
    z_nm : ndarray
        (K,) z of the emitter in each slice, nm, growing.
    images : ndarray
        (K, R, R) ADU as recorded, background included, float32. The emitter is off the middle pixel
        by ``bead.y - round(bead.y)`` and the same in x.
    """

    bead: int
    z_nm: Array
    images: NDArray[np.float32]


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
    z_step_nm : float
        Distance of slices, nm.
    n_slices : int
        Slices of the longest stack.
    falling : bool
        The emitter's z fell with the slice as recorded (``z_direction="down"``).
    z_nm : ndarray
        (Z,) z of the average's slices, nm.
    measured : ndarray
        (Z, R, R) average of the kept beads, free of background, one photon near focus; not
        smoothed.
    modelled : ndarray
        (Z, R, R) the model at the same z.
    slice_residual : ndarray
        (Z,) as `residual`, slice by slice.
    images : tuple of BeadImages
        The kept beads as recorded.
    projections : tuple of ndarray
        (Y, X) largest value over z of each stack, ADU, float32.
    background_removed : bool
        Most pixels of a stack hold one value: somebody subtracted and clipped.
    light_loss : LightLoss or None
        Light beyond the ROI; None where beads have no room around them.
    notes : tuple of str
        What was changed about the request, one sentence each.
    """

    psf: SplinePSF
    beads: tuple[Bead, ...]
    z_range_nm: Range
    residual: float
    z_step_nm: float
    n_slices: int
    falling: bool
    z_nm: Array
    measured: Array
    modelled: Array
    slice_residual: Array
    images: tuple[BeadImages, ...]
    projections: tuple[NDArray[np.float32], ...]
    background_removed: bool
    light_loss: LightLoss | None
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[Bead, ...]:
        """Beads that went into the model."""
        return tuple(bead for bead in self.beads if bead.kept)


@dataclass(frozen=True)
class Built:
    """All that the result is made of."""

    stacks: Sequence[BeadStack]
    found: Found
    fits: Sequence[BeadFit]
    model: Average
    psf: SplinePSF
    zero: float
    scale: float
    falling: bool


def build_calibration(
    built: Built, limits: Limits, z_step_nm: float, notes: tuple[str, ...]
) -> Calibration:
    """Put the result together."""
    images = [stack.images for stack in built.stacks]
    roi_size, model = built.psf.config.roi_size, built.model
    differ = {fit.number: deviation(images, fit, model, roi_size) for fit in built.fits}
    typical = typical_of([differ[fit.number] for fit in built.fits if fit.kept])
    beads = list(built.found.beads)
    for fit in built.fits:
        beads[fit.number] = _bead(built, fit, differ[fit.number], typical, limits, z_step_nm)
    _log.info("%d of %d beads used", sum(bead.kept for bead in beads), len(beads))
    kept = [fit for fit in built.fits if fit.kept]
    first_nm = (model.first - built.zero) * z_step_nm
    z_nm = first_nm + z_step_nm * np.arange(len(model.volume), dtype=np.float64)
    inner = slice(MARGIN, MARGIN + roi_size)
    return Calibration(
        psf=built.psf,
        beads=tuple(beads),
        z_range_nm=built.psf.config.z_range_nm,
        residual=model.residual,
        z_step_nm=z_step_nm,
        n_slices=model.n_slices,
        falling=built.falling,
        z_nm=z_nm,
        measured=model.volume[:, inner, inner] / built.scale,
        modelled=model_images(built.psf, z_nm),
        slice_residual=_slice_residual([differ[fit.number] for fit in kept], model),
        images=tuple(_bead_images(built, fit, beads[fit.number], z_step_nm) for fit in kept),
        projections=tuple(one.max(axis=0).astype(np.float32) for one in images),
        background_removed=any(stack.background_removed for stack in built.stacks),
        light_loss=lost_light(images, kept, built.found.places, roi_size),
        notes=notes,
    )


def _bead(
    built: Built,
    fit: BeadFit,
    differs: Deviation,
    typical: tuple[float, ...],
    limits: Limits,
    z_step_nm: float,
) -> Bead:
    """All that is known of a fitted bead; drift and fading in the order of recording."""
    found = built.found.beads[fit.number]
    stack = built.stacks[fit.stack]
    in_time = -1 if built.falling else 1
    pixel_size_nm = built.psf.config.pixel_size_nm
    return replace(
        found,
        y=fit.y,
        x=fit.x,
        z_nm=((len(stack.images) - 1) / 2 - fit.z - built.zero) * z_step_nm,
        kept=fit.kept,
        reason=fit.reason(limits.correlation),
        correlation=fit.correlation,
        photons=fit.amplitude * built.scale,
        bg=fit.bg,
        snr=snr_of(fit, stack, float(built.model.volume.max())),
        residual=differs.residual,
        size=differs.size / typical[0],
        drift_y_nm=in_time * (differs.drift_y_px - typical[1]) * pixel_size_nm,
        drift_x_nm=in_time * (differs.drift_x_px - typical[2]) * pixel_size_nm,
        drift_sigma_nm=differs.drift_sigma_px * pixel_size_nm,
        fading=in_time * (differs.fading - typical[3]),
    )


def model_images(psf: PSF, z_nm: Array, y: float = 0.0, x: float = 0.0) -> Array:
    """Unit-photon images (Z, R, R) of a PSF at given z (nm) and sub-pixel offset (px)."""
    z = torch.as_tensor(z_nm, dtype=torch.float64)
    rois = psf.rois(z, torch.full_like(z, y), torch.full_like(z, x))
    return np.asarray(rois.detach().cpu().numpy(), dtype=np.float64)


def _slice_residual(differ: Sequence[Deviation], model: Average) -> Array:
    """Residual of the average's slices, root mean square over beads."""
    slices = np.arange(len(model.volume)) + model.first
    total, count = np.zeros(len(slices)), np.zeros(len(slices))
    for one in differ:
        if len(one.slices):
            row = np.interp(slices, one.slices, one.slice_residual, left=np.nan, right=np.nan)
            total += np.nan_to_num(row**2)
            count += np.isfinite(row)
    return np.asarray(np.sqrt(total / np.where(count > 0, count, np.nan)), dtype=np.float64)


def _bead_images(built: Built, fit: BeadFit, bead: Bead, z_step_nm: float) -> BeadImages:
    images = built.stacks[fit.stack].images
    cut = cast("Array", crop(images, fit.y, fit.x, built.psf.config.roi_size))
    inner = slice(MARGIN, -MARGIN)
    slices = np.arange(len(images), dtype=np.float64) - (len(images) - 1) / 2
    return BeadImages(
        bead=fit.number,
        z_nm=slices * z_step_nm + bead.z_nm,
        images=cut[:, inner, inner].astype(np.float32),
    )
