"""Any PSF as a cubic spline volume, for simulation and for fits of many emitters."""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import spline_filter
from torch import Tensor

from napari_dilatedloc.config import FieldPSFConfig, FieldSplinePSFConfig, SplinePSFConfig
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.build import build_psf
from napari_dilatedloc.psf.field import FieldPSF, refined
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.spline import FieldSplinePSF, SplinePSF, side

TOLERANCE = 0.003
"""Largest difference from the exact model, relative to the peak, that one tries to reach."""
Z_STEPS = 300
"""Most steps along z; a finer step than `FINEST_Z_STEP_NM` has no use."""
FINEST_Z_STEP_NM = 10.0
BEYOND = 4
"""Steps beyond the range of z, where the spline's ends disturb nothing."""
BORDER_PX = 4
"""Samples beyond the ROI, so that the ends of the spline along y and x disturb nothing."""
PROBES = 60
CHUNK = 64

_log = logging.getLogger(__name__)


def fast_psf(psf: PSF) -> PSF:
    """Give a PSF for simulating many ROIs: a formula or spline as it is, all else compiled."""
    return psf if isinstance(psf, (SplinePSF, GaussianPSF)) else compile_psf(psf)


def compile_psf(psf: PSF, tolerance: float = TOLERANCE) -> SplinePSF:
    """Spline PSF that gives the same ROIs as any PSF, some ten times as fast.

    One, two or three knots a pixel: the fewest that bring 60 random ROIs within `tolerance`.

    Parameters
    ----------
    psf : PSF
        Any PSF; a spline is returned as it is.
    tolerance : float
        Largest difference, relative to the peak of the ROI. What is reached with three knots a
        pixel is taken in any case, with a note in the log if it is more than 1%.

    Returns
    -------
    SplinePSF
        On the CPU, float32; a `FieldSplinePSF` for a PSF that changes over the chip.
    """
    if isinstance(psf, SplinePSF):
        return psf
    error = float("inf")
    for oversampling in (1, 2, 3):
        compiled = _compile(psf, oversampling)
        error = largest_difference(compiled, psf)
        if error <= tolerance:
            break
    if error > 0.01:
        _log.warning("compiled PSF differs from the model by %.1f%% of the peak", 100 * error)
    return compiled


def largest_difference(compiled: PSF, exact: PSF, probes: int = PROBES, seed: int = 0) -> float:
    """Largest difference of two PSFs over random ROIs, relative to each ROI's peak."""
    generator = torch.Generator().manual_seed(seed)
    z, y, x, row, column = torch.rand(5, probes, generator=generator, dtype=torch.float64)
    low, high = exact.config.z_range_nm
    place = None
    if isinstance(exact, FieldPSF):
        rows, columns = exact.config.rows_px, exact.config.columns_px
        # at nodes: between them a compiled PSF mixes images, not wavefronts
        place = torch.stack([_pick(rows, row), _pick(columns, column)], dim=1)
    at = (low + (high - low) * z, y - 0.5, x - 0.5, place)
    with torch.no_grad():
        expected, found = exact.rois(*at), compiled.rois(*at)
    return float(((found - expected).abs().amax((1, 2)) / expected.amax((1, 2))).max())


def _pick(nodes: tuple[float, ...], share: Tensor) -> Tensor:
    places = torch.tensor(nodes, dtype=share.dtype)
    return places[(share * len(nodes)).long().clamp_max(len(nodes) - 1)]


def _compile(psf: PSF, oversampling: int) -> SplinePSF:
    config = psf.config
    low, high = config.z_range_nm
    step = max(FINEST_Z_STEP_NM, (high - low) / Z_STEPS)
    count = max(2, int(np.ceil((high - low) / step)) + 1)
    step = (high - low) / (count - 1) or 1.0
    low, count = low - BEYOND * step, count + 2 * BEYOND
    z_nm = low + step * torch.arange(count)
    values = {
        "pixel_size_nm": config.pixel_size_nm,
        "roi_size": config.roi_size,
        "z_range_nm": config.z_range_nm,
        "z_min_nm": low,
        "z_step_nm": step,
        "oversampling": oversampling,
    }
    if not isinstance(psf, FieldPSF):
        return SplinePSF(SplinePSFConfig(**values), _coefficients(psf, z_nm, oversampling))
    psf = refined(psf)
    rows, columns = psf.config.rows_px, psf.config.columns_px
    nodes = [(row, column) for row in rows for column in columns]
    volumes = [_coefficients(psf, z_nm, oversampling, node) for node in nodes]
    grid = FieldSplinePSFConfig(**values, rows_px=rows, columns_px=columns)
    return FieldSplinePSF(grid, torch.stack(volumes))


def _coefficients(
    psf: PSF, z_nm: Tensor, oversampling: int, node: tuple[float, float] | None = None
) -> Tensor:
    """Spline coefficients (Z, S, S) of a centred emitter, from samples well beyond the ROI."""
    volume = sample(psf, z_nm, oversampling, node)
    spline = spline_filter(volume, order=3, output=np.float64, mode="mirror")
    cut = (volume.shape[1] - side(psf.config.roi_size, oversampling)) // 2
    return torch.from_numpy(spline[:, cut:-cut, cut:-cut].astype(np.float32))


def sample(
    psf: PSF, z_nm: Tensor, oversampling: int, node: tuple[float, float] | None = None
) -> NDArray[np.float64]:
    """Volume (Z, W, W) of a centred emitter with `oversampling` samples a pixel.

    It goes beyond the ROI by `BORDER_PX`. Samples between pixel centres are pixel-integrated too:
    they are read from emitters moved by a part of a pixel.
    """
    wide = _enlarged(psf, 2 * (BORDER_PX + 1))
    far = oversampling * (wide.config.roi_size // 2)
    full = np.zeros((len(z_nm), *2 * (2 * (far + oversampling) + 1,)))
    # an emitter at -a/s px puts pixel i at sample s i + a
    shifts = [a if 2 * a <= oversampling else a - oversampling for a in range(oversampling)]
    for v in shifts:
        for u in shifts:
            rows, columns = (
                slice(oversampling + a, oversampling + a + 2 * far + 1, oversampling)
                for a in (v, u)
            )
            full[:, rows, columns] = _rois(wide, z_nm, -v / oversampling, -u / oversampling, node)
    inner = slice(2 * oversampling, -2 * oversampling)  # where every sample was met
    return full[:, inner, inner]


def _rois(
    psf: PSF, z_nm: Tensor, y: float, x: float, node: tuple[float, float] | None
) -> NDArray[np.float64]:
    """Images of one emitter at many z."""
    place = None if node is None else z_nm.new_tensor(node).expand(len(z_nm), 2)
    with torch.no_grad():
        parts = [
            psf.rois(
                z_nm[start : start + CHUNK],
                torch.full_like(z_nm[start : start + CHUNK], y),
                torch.full_like(z_nm[start : start + CHUNK], x),
                None if place is None else place[start : start + CHUNK],
            )
            for start in range(0, len(z_nm), CHUNK)
        ]
    return torch.cat(parts).numpy()


def _enlarged(psf: PSF, pixels: int) -> PSF:
    """Same PSF with a larger ROI."""
    config = psf.config
    size = config.roi_size + pixels
    if isinstance(config, FieldPSFConfig):
        return build_psf(config.replace(optics=config.optics.replace(roi_size=size)), psf.tensors())
    return build_psf(config.replace(roi_size=size), psf.tensors())
