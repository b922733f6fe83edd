"""Phase retrieval: the Zernike coefficients of a vectorial PSF from recorded beads.

Beads lie on the cover slip and the stage (or the objective) moves, so the path changes in the
immersion; the retrieved aberrations then serve emitters at any depth. Estimated by maximum
likelihood as in Hanser et al., J. Microsc. 216, 32 (2004) and Li et al., Nat. Methods 15, 367
(2018), from many starts (`retrieval_starts`), finished by scoring (`bead_model`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.bead_model import (
    SCALE_NM,
    BeadData,
    Fitted,
    Parameters,
    score,
    solve_linear,
    unit_images,
)
from napari_dilatedloc.psf.calibration import Calibration
from napari_dilatedloc.psf.optics import Optics, build_optics, needed_pupil
from napari_dilatedloc.psf.retrieval_starts import Start, best_start, vortex_pupil
from napari_dilatedloc.psf.tick import Tick, go_on
from napari_dilatedloc.psf.vectorial import VectorialPSF
from napari_dilatedloc.psf.zernike import MODES_21

MOST_BEADS = 3
MOST_SLICES = 72
"""Slices of all beads together; more cost time and hardly narrow the systematic errors."""
FLOOR = 2e-3
"""Least variance of a pixel relative to the brightest."""
REMOVED_FLOOR = 2e-2
"""The same where somebody subtracted the background: what is left of dim pixels is no light."""
FAR_NM = 150.0

_log = logging.getLogger(__name__)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Retrieval:
    """Result of `retrieve`.

    Attributes
    ----------
    psf : VectorialPSF
        The model; its z counts from the paraxial focus.
    zernike_sigma_nm : tuple of float
        Standard errors of ``psf.config.zernike_nm``, in its order, nm.
    residual : float
        Root mean square of measured minus modelled, relative to the measured peak.
    z_scale, z_scale_sigma : float
        True z step over the stated one, fitted on its own, and its standard error.
    z_offset_nm : float
        z of the model where the calibration has 0, nm.
    drift_nm : (y, x)
        Lateral drift over the whole stack, mean of the beads, nm.
    vortex : int
        Turns of phase around the pupil.
    z_nm : ndarray (Z,)
        z of the following images, as the calibration counts it, nm.
    measured, modelled : ndarray (Z, R, R)
        The averaged bead and the model, free of background, in the calibration's unit.
    """

    psf: VectorialPSF
    zernike_sigma_nm: tuple[float, ...]
    residual: float
    z_scale: float
    z_scale_sigma: float
    z_offset_nm: float
    drift_nm: tuple[float, float]
    vortex: int
    z_nm: Array
    measured: Array
    modelled: Array


def retrieve(
    calibration: Calibration,
    optics: VectorialPSFConfig,
    *,
    adu_per_photon: float = 1.0,
    fit_aperture: bool = True,
    tick: Tick = go_on,
) -> Retrieval:
    """Fit the aberrations of a microscope to the beads of a calibration.

    Parameters
    ----------
    calibration : Calibration
        Result of `calibrate.calibrate_beads`; its brightest beads are used.
    optics : VectorialPSFConfig
        NA, wavelength and refractive indices of the microscope. With a `depth_nm` the PSF is that
        of molecules moving at this depth; with 0 that of the bead stack. Pixel size, ROI, range
        and coefficients are replaced by what the beads say.
    adu_per_photon : float
        Variance per ADU of signal (gain, times 2 for an EMCCD); it only decides how bright pixels
        weigh against dim ones.
    fit_aperture : bool
        Look for a smaller aperture than the stated one, too; ``psf.config.na`` is what was found.
    tick : callable
        Called step by step; raising in it ends the work.

    Returns
    -------
    Retrieval
        21 modes (`zernike.MODES_21`), blur along y and x.
    """
    if adu_per_photon <= 0:
        raise ValueError(
            f"adu_per_photon must be positive, got {adu_per_photon}; take it from the camera"
        )
    config = optics.replace(
        pixel_size_nm=calibration.psf.config.pixel_size_nm,
        roi_size=calibration.psf.config.roi_size,
        z_range_nm=calibration.z_range_nm,
        zernike_nm=(),
    )
    on_cover = config.replace(depth_nm=0.0, scan="stage")
    if config.depth_nm == 0:
        config = on_cover  # nothing is known of a depth: the PSF is that of the bead stack
    samples = max(config.n_pupil, needed_pupil(config))
    config, on_cover = (one.replace(n_pupil=samples) for one in (config, on_cover))
    data, places = _bead_data(calibration, adu_per_photon)
    start = best_start(on_cover, data, places[0], _offsets(calibration), fit_aperture, tick)
    config, on_cover = (one.replace(na=start.aperture * one.na) for one in (config, on_cover))
    pupil = vortex_pupil(config.n_pupil, start.vortex)
    stage = build_optics(on_cover, MODES_21, pupil).to("cpu", torch.float32)
    first = _spread(start, places)
    free = torch.ones(len(first.flat()), dtype=torch.bool)
    free[-1] = False
    fitted = _last(stage, first, data, free, 12, tick)
    free[-1] = True
    scaled = _last(stage, fitted.parameters, data, free, 5, tick)
    return _result(calibration, config, stage, pupil, start.vortex, fitted, scaled)


def _last(
    optics: Optics,
    start: Parameters,
    data: BeadData,
    free: Tensor,
    steps: int,
    tick: Tick = go_on,
) -> Fitted:
    """Scoring to its end."""
    found = None
    for found in score(optics, start, data, free, steps):
        tick()
        _log.info("phase retrieval: deviance %.4g", found.deviance)
    if found is None:
        raise ValueError(f"phase retrieval needs at least one step, got {steps}")
    return found


def _bead_data(calibration: Calibration, adu_per_photon: float) -> tuple[BeadData, Tensor]:
    """Slices of the brightest beads, and where the beads are in their ROIs, (beads, 2) px."""
    ranked = sorted(
        calibration.images, key=lambda one: calibration.beads[one.bead].photons, reverse=True
    )[:MOST_BEADS]
    count = max(9, MOST_SLICES // len(ranked))
    least = REMOVED_FLOOR if calibration.background_removed else FLOOR
    parts, places = [], []
    for number, one in enumerate(ranked):
        rows = np.unique(np.linspace(0, len(one.images) - 1, count).round().astype(int))
        images = torch.from_numpy(one.images[rows].astype(np.float32))
        second = images[:, :, 2:] - 2 * images[:, :, 1:-1] + images[:, :, :-2]
        noise = 1.4826 * float(second.abs().median()) / 6**0.5
        peak = float(images.amax() - images.median())
        floor = max(noise**2 / adu_per_photon, least * peak)
        z_nm = torch.from_numpy(one.z_nm[rows]).float()
        whole = torch.full((len(rows),), number)
        parts.append((images, z_nm, whole, torch.full((len(rows),), floor)))
        bead = calibration.beads[one.bead]
        places.append([bead.y - round(bead.y), bead.x - round(bead.x)])
    columns = (torch.cat(column) for column in zip(*parts, strict=True))
    return BeadData(*columns), torch.tensor(places)


def _offsets(calibration: Calibration) -> tuple[float, ...]:
    """Where the focus may be relative to the calibration's zero, nm: there, or at the sharpest."""
    sharpest = calibration.z_nm[int(np.argmax(calibration.measured.max(axis=(1, 2))))]
    return (0.0, -float(sharpest)) if abs(sharpest) > FAR_NM else (0.0,)


def _spread(start: Start, places: Tensor) -> Parameters:
    """Parameters for all beads from those of the first."""
    all_places = start.parameters.places.expand(len(places), -1).clone()
    all_places[:, 1:3] += places - places[:1]
    return start.parameters.replace(places=all_places)


def _result(
    calibration: Calibration,
    config: VectorialPSFConfig,
    stage: Optics,
    pupil: Tensor | None,
    vortex: int,
    fitted: Fitted,
    scaled: Fitted,
) -> Retrieval:
    found = fitted.parameters
    sizes = (SCALE_NM * found.zernike).tolist()
    sigma = SCALE_NM * fitted.covariance.diagonal().clamp_min(0).sqrt()[: len(sizes)]
    z_offset = SCALE_NM * float(found.places[:, 0].mean())
    low, high = calibration.z_range_nm
    blur_y, blur_x = found.blur.abs().tolist()
    config = config.replace(
        zernike_nm=tuple((n, m, v) for (n, m), v in zip(MODES_21, sizes, strict=True)),
        blur_y_px=blur_y,
        blur_x_px=blur_x,
        z_range_nm=(low + z_offset, high + z_offset),
    )
    measured, modelled = _images(calibration, stage, found)
    drift = found.places[:, 3:5].mean(dim=0) * config.pixel_size_nm
    return Retrieval(
        psf=VectorialPSF(config, pupil),
        zernike_sigma_nm=tuple(sigma.tolist()),
        residual=float(np.sqrt(((measured - modelled) ** 2).mean()) / measured.max()),
        z_scale=float(scaled.parameters.z_scale),
        z_scale_sigma=float(scaled.covariance.diagonal().clamp_min(0)[-1].sqrt()),
        z_offset_nm=z_offset,
        drift_nm=(float(drift[0]), float(drift[1])),
        vortex=vortex,
        z_nm=calibration.z_nm,
        measured=measured,
        modelled=modelled,
    )


def _images(calibration: Calibration, stage: Optics, found: Parameters) -> tuple[Array, Array]:
    """Averaged bead and model beside it, both without background."""
    average = torch.from_numpy(calibration.measured.astype(np.float32))
    z_nm = torch.from_numpy(calibration.z_nm).float()
    floor = torch.full((len(average),), FLOOR * float(average.max()))
    data = BeadData(average, z_nm, torch.zeros(len(average), dtype=torch.int64), floor)
    centre = found.places.mean(dim=0, keepdim=True).clone()
    centre[0, 1:] = 0
    centred = found.replace(places=centre)
    part = data.every(max(1, len(average) // 20))
    placed = _last(stage, centred, part, _places_only(centred), 4)
    unit = unit_images(stage, placed.parameters, data)
    linear = solve_linear(unit, data)
    bg = linear.bg[:, None, None]
    return (average - bg).double().numpy(), (linear.model - bg).double().numpy()


def _places_only(parameters: Parameters) -> Tensor:
    """Mask of the free parameters when only the bead's place is sought."""
    free = torch.zeros(len(parameters.flat()), dtype=torch.bool)
    first = len(parameters.zernike) + 2
    free[first : first + parameters.places.numel()] = True
    return free
