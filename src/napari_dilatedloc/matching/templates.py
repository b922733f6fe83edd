"""The PSF at several heights as a bank of matched filters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_dilatedloc.psf.base import PSF

MOST_PLANES = 16
PLANE_STEP_NM = 150.0
"""Neighbouring planes of the presets still correlate above 0.8."""
ENERGY = 0.8
"""Share of a spot's light that its radius holds; no second spot is looked for inside."""
FIT_ENERGY = 0.85
"""Share of the light that the ROI of a fit holds at nearly all z."""


@dataclass(frozen=True)
class TemplateBank:
    """Spots of one photon at the heights that are looked for.

    Attributes
    ----------
    z_nm : Tensor (Z,)
        Heights.
    images : Tensor (Z, S, S)
        Their images, S odd.
    filters : Tensor (Z, S, S)
        The same less their mean, so that an even background gives 0.
    radius_px : Tensor (Z,)
        Radius that holds 80% of the light in the ROI.
    fit_side_px : int
        Side (odd) of the ROI for fits.
    """

    z_nm: Tensor
    images: Tensor
    filters: Tensor
    radius_px: Tensor
    fit_side_px: int


def template_bank(psf: PSF) -> TemplateBank:
    """Bank of a PSF over its range of z; of a PSF that changes over the chip at its middle."""
    low, high = psf.config.z_range_nm
    planes = int(min(MOST_PLANES, max(1, round((high - low) / PLANE_STEP_NM) + 1)))
    z_nm = torch.linspace(low, high, planes)
    zeros = torch.zeros(planes)
    with torch.no_grad():
        images = psf.rois(z_nm, zeros, zeros).float()
    radius = _radius(images, ENERGY)
    half = int(np.ceil(np.quantile(_radius(images, FIT_ENERGY).numpy(), 0.9))) + 1
    return TemplateBank(
        z_nm=z_nm,
        images=images,
        filters=images - images.mean((1, 2), keepdim=True),
        radius_px=radius,
        fit_side_px=2 * max(3, min(half, images.shape[1] // 2 - 1)) + 1,
    )


def _radius(images: Tensor, share: float) -> Tensor:
    """Radius around the middle pixel that holds a share of each image, px, (Z,)."""
    half = images.shape[1] // 2
    steps = torch.arange(images.shape[1]) - half
    far = torch.hypot(steps[:, None].float(), steps[None].float()).flatten()
    order = far.argsort()
    light = images.flatten(1)[:, order].cumsum(1)
    within = (light >= share * light[:, -1:]).to(torch.int8).argmax(1)
    return far[order][within]
