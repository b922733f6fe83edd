"""Astigmatic Gaussian PSF, integrated over the pixels."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from napari_dilatedloc.config import GaussianPSFConfig


class GaussianPSF:
    """Gaussian spot whose widths in x and y have their waists at different z.

    The width is that of a Gaussian beam, ``sigma * sqrt(1 + ((z - focus) / depth)^2)`` (the first
    terms of Huang et al., Science 319, 810 (2008)); it holds at any z. Pixels are integrated
    exactly with the error function (Smith et al., Nat. Methods 7, 373 (2010)).

    Parameters
    ----------
    config : GaussianPSFConfig
        Widths and foci in nm.
    """

    def __init__(self, config: GaussianPSFConfig | None = None) -> None:
        self.config = config if config is not None else GaussianPSFConfig()

    def tensors(self) -> dict[str, Tensor]:
        """Nothing beside the config is needed."""
        return {}

    def to(self, device: torch.device | str) -> Self:
        """Itself: it holds no tensor and works on the device of its input."""
        return self

    def widths(self, z_nm: Tensor) -> tuple[Tensor, Tensor]:
        """Give the spot's standard deviations (width_y, width_x), px, at z in nm."""
        config = self.config
        smallest = config.sigma_nm / config.pixel_size_nm
        width_y, width_x = (
            smallest * torch.sqrt(1 + ((z_nm - focus) / config.depth_nm) ** 2)
            for focus in (config.focus_y_nm, config.focus_x_nm)
        )
        return width_y, width_x

    def rois(self, z_nm: Tensor, y: Tensor, x: Tensor, place: Tensor | None = None) -> Tensor:
        """Images of emitters that each send one photon; see `base.PSF.rois`."""
        width_y, width_x = self.widths(z_nm)
        rows = self._profile(y, width_y)
        columns = self._profile(x, width_x)
        return rows[:, :, None] * columns[:, None, :]  # (N, R, R)

    def _profile(self, centre: Tensor, width: Tensor) -> Tensor:
        """Light in each pixel along one axis, (N, R)."""
        size = self.config.roi_size
        edges = torch.arange(size + 1, device=centre.device, dtype=centre.dtype) - (size // 2 + 0.5)
        scaled = (edges - centre[:, None]) / (math.sqrt(2) * width[:, None])
        return 0.5 * torch.erf(scaled).diff(dim=1)
