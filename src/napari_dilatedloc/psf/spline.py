"""Measured PSF: a cubic B-spline through a volume of pixel-integrated images.

Interpolating pixel-integrated images (and not a density) needs no further integration: a bead
moved by a fraction of a pixel is the same volume read at shifted places (Li et al., Nat. Methods
15, 367 (2018); Babcock & Zhuang, Sci. Rep. 7, 552 (2017)). All pixels of a ROI share one sub-pixel
offset, so the tensor-product spline is evaluated axis by axis with 4 + 5 + 5 weights a ROI.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.ndimage import spline_filter
from torch import Tensor

from napari_dilatedloc.config import Range, SplinePSFConfig

MARGIN = 2
"""Knots beyond the ROI on each side: half the support of a cubic B-spline."""


class SplinePSF:
    """PSF read from cubic B-spline coefficients.

    Parameters
    ----------
    config : SplinePSFConfig
        Geometry of the volume.
    coefficients : Tensor
        B-spline coefficients (Z, R + 4, R + 4) of unit-photon ROIs; the emitter lies at the middle
        pixel of the last two axes, slice k at ``z_min_nm + k * z_step_nm``. In z the coefficients
        continue as mirror images about the first and the last knot (scipy's mode "mirror").
    """

    def __init__(self, config: SplinePSFConfig, coefficients: Tensor) -> None:
        side = config.roi_size + 2 * MARGIN
        if coefficients.ndim != 3 or coefficients.shape[1:] != (side, side):
            raise ValueError(
                f"spline coefficients must have shape (Z, {side}, {side}) for a ROI of "
                f"{config.roi_size} px, got {tuple(coefficients.shape)}; rebuild the PSF"
            )
        if len(coefficients) < 2:
            raise ValueError(
                "spline coefficients need at least 2 slices in z, got 1; rebuild the PSF"
            )
        self.config = config
        self.coefficients = coefficients
        padded = torch.cat([coefficients[1:2], coefficients, coefficients[-2:-1]])
        self._padded = padded.flatten(1).contiguous()  # (Z + 2, (R + 4)^2), knot k in row k + 1

    def tensors(self) -> dict[str, Tensor]:
        """Give the coefficients."""
        return {"coefficients": self.coefficients}

    def to(self, device: torch.device | str) -> Self:
        """Return the same PSF with its coefficients on another device."""
        return type(self)(self.config, self.coefficients.to(device))

    def rois(self, z_nm: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Images of emitters that each send one photon; see `base.PSF.rois`."""
        side = self.config.roi_size + 2 * MARGIN
        planes = self._planes(z_nm).view(-1, side, side)
        rows = _convolve(planes, lateral_weights(y), dim=1)
        return _convolve(rows, lateral_weights(x), dim=2).clamp_min(0)

    def _planes(self, z_nm: Tensor) -> Tensor:
        """Lateral coefficients at given z, (N, (R + 4)^2)."""
        config = self.config
        last = len(self.coefficients) - 1
        place = ((z_nm - config.z_min_nm) / config.z_step_nm).clamp(0, last)
        first = place.detach().floor().clamp_max(last - 1)
        taps = torch.arange(4, device=z_nm.device)
        weights = bspline3(place[:, None] - first[:, None] + 1 - taps)  # (N, 4)
        knots = first.long()[:, None] + taps
        table = self._padded.to(z_nm.dtype)
        return torch.nn.functional.embedding_bag(
            knots, table, per_sample_weights=weights, mode="sum"
        )


def bspline3(distance: Tensor) -> Tensor:
    """Cubic B-spline at a distance in knots from its centre (Unser, 1999)."""
    size = distance.abs()
    return ((2 - size).clamp_min(0) ** 3 - 4 * (1 - size).clamp_min(0) ** 3) / 6


def lateral_weights(offset: Tensor) -> Tensor:
    """Weights (N, 5) of the knots -2 ... 2 px around a pixel; the emitter is moved by `offset`."""
    taps = torch.arange(-MARGIN, MARGIN + 1, device=offset.device)
    return bspline3(taps + offset[:, None])


def _convolve(planes: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Sum of shifted slices along `dim`, each ROI with its own weights."""
    size = planes.shape[dim] - 2 * MARGIN
    total = planes.narrow(dim, 0, size) * weights[:, 0, None, None]
    for tap in range(1, 2 * MARGIN + 1):
        total.addcmul_(planes.narrow(dim, tap, size), weights[:, tap, None, None])
    return total


def spline_from_volume(
    volume: ArrayLike,
    *,
    pixel_size_nm: float,
    z_min_nm: float,
    z_step_nm: float,
    z_range_nm: Range | None = None,
) -> SplinePSF:
    """Spline PSF through a volume of images of a centred emitter.

    Parameters
    ----------
    volume : array_like
        (Z, R + 4, R + 4) unit-photon, pixel-integrated images with the emitter at the middle
        pixel: the ROI and two pixels around it. Side odd and at least 11.
    pixel_size_nm : float
        Camera pixel, nm.
    z_min_nm, z_step_nm : float
        z of the first slice and distance of slices, nm.
    z_range_nm : tuple of float, optional
        z the PSF is used over, nm; default: all slices.

    Returns
    -------
    SplinePSF
        Float32 coefficients on the CPU.
    """
    values = np.asarray(volume, dtype=np.float64)
    if values.ndim != 3 or values.shape[1] != values.shape[2] or values.shape[1] % 2 == 0:
        raise ValueError(
            f"a PSF volume must have shape (Z, S, S) with S odd, got {values.shape}; crop it"
        )
    z_max_nm = z_min_nm + (len(values) - 1) * z_step_nm
    config = SplinePSFConfig(
        pixel_size_nm=pixel_size_nm,
        roi_size=values.shape[1] - 2 * MARGIN,
        z_range_nm=z_range_nm if z_range_nm is not None else (z_min_nm, z_max_nm),
        z_min_nm=z_min_nm,
        z_step_nm=z_step_nm,
    )
    coefficients = spline_filter(values, order=3, output=np.float64, mode="mirror")
    return SplinePSF(config, torch.from_numpy(coefficients.astype(np.float32)))
