"""How alike two PSFs are, for the choice of the weights a training starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from napari_dilatedloc.psf.base import PSF

Images = NDArray[np.float64]

PLANES = 9
TURNED = 0.95
"""On the score of a PSF that must be turned or mirrored first: a network learns that anew."""


@dataclass(frozen=True)
class Likeness:
    """How alike two PSFs are.

    Attributes
    ----------
    shape : float
        Mean correlation of their images at the same heights; 1 where they are the same.
    depth : float
        Share of the heights of the first PSF that the second one knows too, 0-1.
    turned : bool
        Whether one must be turned or mirrored to be so alike.
    """

    shape: float
    depth: float
    turned: bool

    @property
    def score(self) -> float:
        """All of it in one number, ``shape * depth``, times 0.95 if turned."""
        return self.shape * self.depth * (TURNED if self.turned else 1.0)


def likeness(psf: PSF, other: PSF) -> Likeness:
    """Compare the images of two PSFs at nine heights over the range that both know.

    ``shape`` is the mean over the heights of ``sum(a b) / sqrt(sum(a^2) sum(b^2))``, where a and b
    are images of a molecule in the middle, in the pixels of `psf` and the smaller of the two ROIs.
    The best counts of the eight ways a square can lie, and of two ways to tell which heights are
    the same: as they stand, and from the middle of each range, for z = 0 is not everywhere the
    focus.

    Parameters
    ----------
    psf : PSF
        What is to be learnt.
    other : PSF
        What was learnt. Of a PSF that changes over the chip the middle is taken.
    """
    own, theirs = psf.config.z_range_nm, other.config.z_range_nm
    raises = {0.0, (sum(own) - sum(theirs)) / 2}
    return max((way for up in raises for way in _ways(psf, other, up)), key=lambda w: w.score)


def _ways(psf: PSF, other: PSF, up_nm: float) -> list[Likeness]:
    """Likeness with `other` higher by `up_nm`: as it lies, and turned or mirrored the best way."""
    own, theirs = psf.config.z_range_nm, [z + up_nm for z in other.config.z_range_nm]
    low, high = max(own[0], theirs[0]), min(own[1], theirs[1])
    if high < low:
        return [Likeness(0.0, 0.0, turned=False)]
    z_nm = torch.linspace(low, high, PLANES)
    ratio = psf.config.pixel_size_nm / other.config.pixel_size_nm
    half = min(psf.config.roi_size // 2, int(other.config.roi_size // 2 / ratio))
    a = _unit(_sampled(psf, z_nm, half, 1.0))
    b = _unit(_sampled(other, z_nm - up_nm, half, ratio))
    lying = [np.rot90(c, turns, (1, 2)) for c in (b, b[:, ::-1]) for turns in range(4)]
    as_it_is, *others = [float((a * c).sum()) / PLANES for c in lying]
    depth = (high - low) / (own[1] - own[0]) if own[1] > own[0] else 1.0
    return [Likeness(as_it_is, depth, turned=False), Likeness(max(others), depth, turned=True)]


def _sampled(psf: PSF, z_nm: Tensor, half: int, step_px: float) -> Images:
    """Images (Z, S, S) of a molecule in the middle, S = 2 half + 1 samples `step_px` apart."""
    zeros = torch.zeros_like(z_nm)
    with torch.no_grad():
        rois = psf.rois(z_nm, zeros, zeros).cpu().double().numpy()
    places = psf.config.roi_size // 2 + step_px * np.arange(-half, half + 1)
    grid = np.meshgrid(places, places, indexing="ij")
    return np.stack([map_coordinates(roi, grid, order=3, mode="nearest") for roi in rois])


def _unit(images: Images) -> Images:
    """Each image with a sum of squares of 1."""
    size: Images = np.sqrt((images**2).sum((1, 2), keepdims=True))
    return images / np.maximum(size, 1e-30)
