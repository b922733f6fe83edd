"""What every point spread function (PSF) offers the rest of the house."""

from __future__ import annotations

from typing import Protocol, Self

import torch
from torch import Tensor

from napari_dilatedloc.config import PSFConfig


class PSF(Protocol):
    """Pixel-integrated image of one emitter on a small square ROI.

    A PSF is immutable; `config` and `tensors` together rebuild it with `build.build_psf`.
    """

    @property
    def config(self) -> PSFConfig:
        """Settings; `kind` says which class rebuilds the PSF."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Arrays that must travel with `config` to rebuild the PSF (empty for a formula)."""
        ...

    def rois(self, z_nm: Tensor, y: Tensor, x: Tensor, place: Tensor | None = None) -> Tensor:
        """Images of emitters that each send one photon.

        Parameters
        ----------
        z_nm : Tensor
            Position along the optical axis, nm, shape (N,); beyond the measured volume of a PSF
            the last measured slice is used.
        y, x : Tensor
            Offset from the ROI's centre pixel ``roi_size // 2``, px, shape (N,), within +-0.5.
        place : Tensor, optional
            Where on the chip the ROI's centre pixel is, (N, 2) as (y, x) in px. Only a PSF that
            changes over the chip looks at it; there None is the middle of its map.

        Returns
        -------
        Tensor
            Photons per pixel, (N, R, R) with R = ``config.roi_size``; device and dtype are those
            of `z_nm`. Differentiable in all three positions.
        """
        ...

    def to(self, device: torch.device | str) -> Self:
        """Return the same PSF with its tensors on another device."""
        ...
