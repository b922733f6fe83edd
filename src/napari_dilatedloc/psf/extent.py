"""How wide a PSF is."""

from __future__ import annotations

import torch

from napari_dilatedloc.psf.base import PSF

CONTAINED = 0.8  # of a molecule's light
HEIGHTS = 9  # looked at, over the range of z


def spot_diameter_px(psf: PSF) -> float:
    """Diameter of the circle with 80% of a molecule's light, where the spot is widest in z, px."""
    low, high = psf.config.z_range_nm
    z_nm = torch.linspace(low, high, HEIGHTS)
    middle = torch.zeros_like(z_nm)
    rois = psf.rois(z_nm, middle, middle).double().clamp(min=0)
    side = rois.shape[-1]
    steps = torch.arange(side) - side // 2
    radius = (steps[:, None] ** 2 + steps**2).double().sqrt().flatten()
    order = torch.argsort(radius)
    inside = rois.flatten(1)[:, order].cumsum(1)
    reached = (inside < CONTAINED * inside[:, -1:]).sum(1).clamp(max=side * side - 1)
    return float(2 * radius[order][reached].max())
