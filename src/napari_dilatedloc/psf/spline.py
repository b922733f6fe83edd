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

from napari_dilatedloc.config import FieldSplinePSFConfig, Range, SplinePSFConfig
from napari_dilatedloc.psf.chip import chip_nodes

MARGIN = 2
"""Knots beyond the ROI on each side of a volume with one knot a pixel: half a cubic B-spline."""


def reach(oversampling: int) -> int:
    """Knots on each side of a pixel that speak for it when the emitter moves by half a pixel."""
    return (oversampling + 3) // 2 if oversampling > 1 else MARGIN


def side(roi_size: int, oversampling: int) -> int:
    """Knots along y or x of a volume for a ROI."""
    return oversampling * (roi_size - 1) + 1 + 2 * reach(oversampling)


class SplinePSF:
    """PSF read from cubic B-spline coefficients.

    Parameters
    ----------
    config : SplinePSFConfig
        Geometry of the volume.
    coefficients : Tensor
        B-spline coefficients (Z, S, S) of unit-photon ROIs, S = ``side(roi_size, oversampling)``
        (R + 4 with one knot a pixel); the emitter lies at the middle knot of the last two axes,
        slice k at ``z_min_nm + k * z_step_nm``. In z the coefficients continue as mirror images
        about the first and the last knot (scipy's mode "mirror").
    """

    def __init__(self, config: SplinePSFConfig, coefficients: Tensor) -> None:
        check_coefficients(config, coefficients, ndim=3)
        self.config = config
        self.coefficients = coefficients
        self._padded = _table(coefficients)

    def tensors(self) -> dict[str, Tensor]:
        """Give the coefficients."""
        return {"coefficients": self.coefficients}

    def to(self, device: torch.device | str) -> Self:
        """Return the same PSF with its coefficients on another device."""
        return type(self)(self.config, self.coefficients.to(device))

    def rois(self, z_nm: Tensor, y: Tensor, x: Tensor, place: Tensor | None = None) -> Tensor:
        """Images of emitters that each send one photon; see `base.PSF.rois`."""
        step = self.config.oversampling
        size = side(self.config.roi_size, step)
        planes = self._planes(z_nm, place).view(-1, size, size)
        rows = convolve(planes, lateral_weights(y, step), 1, step)
        return convolve(rows, lateral_weights(x, step), 2, step).clamp_min(0)

    def _planes(self, z_nm: Tensor, place: Tensor | None) -> Tensor:
        """Lateral coefficients at given z, (N, S^2)."""
        knots, weights = self._taps(z_nm)
        return _mix(self._padded, knots, weights)

    def _taps(self, z_nm: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the padded table and their weights for given z, both (N, 4)."""
        config = self.config
        last = self.coefficients.shape[-3] - 1
        place = ((z_nm - config.z_min_nm) / config.z_step_nm).clamp(0, last)
        first = place.detach().floor().clamp_max(last - 1)
        taps = torch.arange(4, device=z_nm.device)
        weights = bspline3(place[:, None] - first[:, None] + 1 - taps)
        return first.long()[:, None] + taps, weights


class FieldSplinePSF(SplinePSF):
    """Spline volumes at the nodes of a grid on the chip, their images interpolated linearly.

    Parameters
    ----------
    config : FieldSplinePSFConfig
        Geometry of the volumes and the grid.
    coefficients : Tensor (rows * columns, Z, S, S)
        The volumes, each as in `SplinePSF`, row after row of the grid.
    """

    config: FieldSplinePSFConfig

    def __init__(self, config: FieldSplinePSFConfig, coefficients: Tensor) -> None:
        check_coefficients(config, coefficients, ndim=4)
        nodes = len(config.rows_px) * len(config.columns_px)
        if len(coefficients) != nodes:
            raise ValueError(
                f"expected {nodes} volumes, one for each node of the grid, got "
                f"{len(coefficients)}; compile the PSF again"
            )
        self.config = config
        self.coefficients = coefficients
        self._padded = torch.cat([_table(volume) for volume in coefficients])

    def _planes(self, z_nm: Tensor, place: Tensor | None) -> Tensor:
        knots, weights = self._taps(z_nm)
        nodes, shares = chip_nodes(self.config, place, z_nm)
        slices = self.coefficients.shape[1] + 2
        rows = (nodes * slices)[:, :, None] + knots[:, None]  # (N, 4, 4)
        mixed = shares[:, :, None] * weights[:, None]
        return _mix(self._padded, rows.flatten(1), mixed.flatten(1))


def check_coefficients(config: SplinePSFConfig, coefficients: Tensor, ndim: int) -> None:
    """Refuse coefficients that do not fit their config."""
    size = side(config.roi_size, config.oversampling)
    if coefficients.ndim != ndim or coefficients.shape[-2:] != (size, size):
        raise ValueError(
            f"spline coefficients must have shape (Z, {size}, {size}) for a ROI of "
            f"{config.roi_size} px, got {tuple(coefficients.shape)}; rebuild the PSF"
        )
    if coefficients.shape[-3] < 2:
        raise ValueError("spline coefficients need at least 2 slices in z, got 1; rebuild the PSF")


def _table(coefficients: Tensor) -> Tensor:
    """Volume (Z, S, S) as rows (Z + 2, S^2) with its mirror images; knot k is row k + 1."""
    padded = torch.cat([coefficients[1:2], coefficients, coefficients[-2:-1]])
    return padded.flatten(1).contiguous()


def _mix(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of rows of a table, (N, S^2)."""
    return torch.nn.functional.embedding_bag(
        rows, table.to(weights.dtype), per_sample_weights=weights, mode="sum"
    )


def bspline3(distance: Tensor) -> Tensor:
    """Cubic B-spline at a distance in knots from its centre (Unser, 1999)."""
    size = distance.abs()
    return ((2 - size).clamp_min(0) ** 3 - 4 * (1 - size).clamp_min(0) ** 3) / 6


def lateral_weights(offset: Tensor, oversampling: int = 1) -> Tensor:
    """Weights (N, 2 reach + 1) of the knots around a pixel; the emitter is moved by `offset` px."""
    far = reach(oversampling)
    taps = torch.arange(-far, far + 1, device=offset.device)
    return bspline3(taps + oversampling * offset[:, None])


def convolve(planes: Tensor, weights: Tensor, dim: int, stride: int = 1) -> Tensor:
    """Sum of shifted slices along `dim`, each ROI with its own weights; every `stride`-th place."""
    taps = weights.shape[1]
    last = planes.shape[dim] - taps + 1

    def cut(tap: int) -> Tensor:
        part = planes.narrow(dim, tap, last)
        if stride == 1:
            return part
        return part[:, ::stride] if dim == 1 else part[:, :, ::stride]

    total = cut(0) * weights[:, 0, None, None]
    for tap in range(1, taps):
        total.addcmul_(cut(tap), weights[:, tap, None, None])
    return total


def spline_from_volume(
    volume: ArrayLike,
    *,
    pixel_size_nm: float,
    z_min_nm: float,
    z_step_nm: float,
    z_range_nm: Range | None = None,
    oversampling: int = 1,
) -> SplinePSF:
    """Spline PSF through a volume of images of a centred emitter.

    Parameters
    ----------
    volume : array_like
        (Z, S, S) unit-photon, pixel-integrated images with the emitter at the middle sample: the
        ROI and `reach` samples around it, `oversampling` samples a pixel (with one sample a pixel
        S = R + 4). S odd.
    pixel_size_nm : float
        Camera pixel, nm.
    z_min_nm, z_step_nm : float
        z of the first slice and distance of slices, nm.
    z_range_nm : tuple of float, optional
        z the PSF is used over, nm; default: all slices.
    oversampling : int
        Samples a pixel along y and x.

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
        roi_size=(values.shape[1] - 1 - 2 * reach(oversampling)) // oversampling + 1,
        z_range_nm=z_range_nm if z_range_nm is not None else (z_min_nm, z_max_nm),
        z_min_nm=z_min_nm,
        z_step_nm=z_step_nm,
        oversampling=oversampling,
    )
    coefficients = spline_filter(values, order=3, output=np.float64, mode="mirror")
    return SplinePSF(config, torch.from_numpy(coefficients.astype(np.float32)))
