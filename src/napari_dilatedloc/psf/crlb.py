"""Cramer-Rao lower bound: the best precision any unbiased estimate of an emitter can have.

With expected photons ``mu = photons * psf + bg`` in each pixel and a noise whose variance is
``excess * mu + floor_photons2``, the Fisher information of the parameters is
``I_ij = sum over pixels of (dmu/di) (dmu/dj) / (excess * mu + floor_photons2)``, and the bound on
the variance of parameter i is ``[I^-1]_ii``. Ober, Ram & Ward, Biophys. J. 86, 1185 (2004) and
Smith et al., Nat. Methods 7, 373 (2010) give it for Poisson noise; Huang et al., Nat. Methods 10,
653 (2013) for a read noise floor, which a Poisson variable of the same variance stands for;
Mortensen et al., Nat. Methods 7, 377 (2010) the factor 2 of electron multiplication.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_dilatedloc.config import PixelNoise
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.slopes import Slopes, rois_and_slopes

PARAMETERS = ("z_nm", "y", "x", "photons", "bg")
"""Order of rows and columns of a Fisher matrix."""
CHUNK_PIXELS = 100_000
"""Pixels of all ROIs held at a time: bounds the memory, whatever the number of z."""


@dataclass(frozen=True)
class Crlb:
    """Square roots of the bounds, one entry per z; infinite where the data cannot tell.

    Attributes
    ----------
    z_nm : ndarray
        Where along the optical axis, nm.
    x_nm, y_nm, z_sigma_nm : ndarray
        Smallest standard deviation of the position along x, y and z, nm.
    photons : ndarray
        Smallest standard deviation of the photons of the emitter.
    background : ndarray
        Smallest standard deviation of the background, photons per pixel.
    """

    z_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]
    y_nm: NDArray[np.float64]
    z_sigma_nm: NDArray[np.float64]
    photons: NDArray[np.float64]
    background: NDArray[np.float64]

    @property
    def mean_3d_nm(self) -> float:
        """Mean over z of the 3-D bound ``sqrt(x^2 + y^2 + z^2)``, nm; see `mean_crlb_nm`."""
        return float(np.sqrt(self.x_nm**2 + self.y_nm**2 + self.z_sigma_nm**2).mean())

    def to_dict(self) -> dict[str, list[float]]:
        """Plain lists by name."""
        return {name: values.tolist() for name, values in vars(self).items()}


def crlb(
    psf: PSF,
    z_nm: ArrayLike,
    photons: ArrayLike,
    bg: ArrayLike,
    noise: PixelNoise | None = None,
    *,
    y: float = 0.0,
    x: float = 0.0,
    place: tuple[float, float] | None = None,
) -> Crlb:
    """Bounds of z, y, x, photons and background, all five unknown, at each z.

    Parameters
    ----------
    psf : PSF
        Any PSF; computed in float64 on the CPU.
    z_nm : array_like
        Positions along the optical axis, nm, (N,) or one number.
    photons, bg : array_like
        Photons of the emitter and background per pixel, one for all z or (N,); above 0.
    noise : PixelNoise, optional
        Noise of a pixel (`camera.Camera.noise`); default: pure shot noise.
    y, x : float
        Offset of the emitter from the centre of its pixel, px, within +-0.5.
    place : tuple of float, optional
        Where on the chip (y, x), px; default: the middle of the PSF's map.

    Returns
    -------
    Crlb
        Standard deviations at each z.
    """
    heights = torch.as_tensor(np.atleast_1d(np.asarray(z_nm, dtype=np.float64)))
    signal = _positive(photons, "photons", heights)
    level = _positive(bg, "background", heights)
    if max(abs(y), abs(x)) > 0.5:
        raise ValueError(f"y and x must lie within +-0.5 px, got {y}, {x}; move the ROI instead")
    psf = psf.to("cpu")
    bounds = []
    for part in torch.arange(len(heights)).split(max(1, CHUNK_PIXELS // psf.config.roi_size**2)):
        ones = torch.ones(len(part), dtype=torch.float64)
        where = None if place is None else ones[:, None] * torch.tensor(place, dtype=torch.float64)
        with torch.no_grad():
            slopes = rois_and_slopes(psf, heights[part], y * ones, x * ones, where)
            matrix = fisher_information(slopes, signal[part], level[part], noise)
        bounds.append(standard_deviations(matrix))
    z_sigma, y_px, x_px, of_photons, of_bg = torch.cat(bounds).numpy().T
    pixel_nm = psf.config.pixel_size_nm
    return Crlb(heights.numpy(), x_px * pixel_nm, y_px * pixel_nm, z_sigma, of_photons, of_bg)


def fisher_information(
    slopes: Slopes, photons: Tensor, bg: Tensor, noise: PixelNoise | None = None
) -> Tensor:
    """Fisher information of one emitter per ROI; keeps gradients, for the design of pupils.

    Parameters
    ----------
    slopes : Slopes
        Unit-photon ROIs and slopes, each (N, R, R).
    photons, bg : Tensor
        Photons and background per pixel, (N,).
    noise : PixelNoise, optional
        Default: pure shot noise.

    Returns
    -------
    Tensor
        (N, 5, 5), in the order and units of `PARAMETERS`: nm, px, px, photons, photons per pixel.
    """
    noise = noise if noise is not None else PixelNoise()
    signal, level = photons[:, None, None], bg[:, None, None]
    variance = noise.excess * (signal * slopes.rois + level) + noise.floor_photons2
    columns = [signal * slope for slope in (slopes.dz, slopes.dy, slopes.dx)]
    columns += [slopes.rois, torch.ones_like(slopes.rois)]
    jacobian = torch.stack(columns, dim=1).flatten(2)  # (N, 5, R * R)
    return (jacobian / variance.flatten(1)[:, None]) @ jacobian.mT


def covariance(information: Tensor) -> Tensor:
    """Inverse of Fisher matrices (N, 5, 5), scaled first as their units differ by powers of ten.

    Differentiable. A parameter that leaves no trace in the image (z of a spot that is the same
    above and below) has an infinite variance, and the others are as well known as without it.
    """
    information = information.double()
    diagonal = information.diagonal(dim1=-2, dim2=-1)
    traceless = (diagonal <= 0).double()
    scale = (diagonal + traceless).sqrt()
    scales = scale[..., :, None] * scale[..., None, :]
    inverse: Tensor = torch.linalg.inv_ex(information / scales + torch.diag_embed(traceless))[0]
    return inverse / scales + torch.diag_embed(torch.where(traceless > 0, torch.inf, 0.0))


def standard_deviations(information: Tensor) -> Tensor:
    """Square roots of the bounds (N, 5); infinite for all parameters of a singular matrix.

    A matrix counts as singular where parameters cannot be told from each other within the precision
    of the numbers.
    """
    variances = covariance(information).diagonal(dim1=-2, dim2=-1)
    # How many times less well a parameter is known for the others being unknown: at least once.
    factors = variances * information.diagonal(dim1=-2, dim2=-1)
    tellable = (factors >= 0.5) & (factors < 1e12)
    known = (tellable | variances.isposinf()).all(-1, keepdim=True)
    return torch.where(known, variances, torch.inf).sqrt()


def mean_crlb_nm(information: Tensor, pixel_size_nm: float) -> Tensor:
    """Mean 3-D bound, the figure of merit of a pupil over a range of z.

    ``mean over z of sqrt(var_x + var_y + var_z)``: how far off a localization is in space at best,
    averaged over where it may lie. Pupils are designed by minimising such a mean of the bounds
    (Shechtman et al., Phys. Rev. Lett. 113, 133902 (2014)).

    Parameters
    ----------
    information : Tensor
        Fisher matrices of evenly spaced z, (N, 5, 5), from `fisher_information`.
    pixel_size_nm : float
        Camera pixel, nm.

    Returns
    -------
    Tensor
        One number, nm, differentiable in whatever the PSF was made of.
    """
    variances = covariance(information).diagonal(dim1=-2, dim2=-1)
    lateral = (variances[:, 1] + variances[:, 2]) * pixel_size_nm**2
    return (variances[:, 0] + lateral).sqrt().mean()


def _positive(values: ArrayLike, what: str, like: Tensor) -> Tensor:
    """One number per z, above zero."""
    array = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(array)) or not np.all(array > 0):
        raise ValueError(f"{what} must be above 0, got {array.tolist()}; give a positive number")
    if array.shape not in ((), (1,), tuple(like.shape)):
        raise ValueError(
            f"{what} must be one number or one per z ({len(like)}), got shape {array.shape}; "
            "correct its length"
        )
    return torch.as_tensor(array).expand_as(like)
