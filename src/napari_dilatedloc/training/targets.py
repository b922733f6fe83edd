"""What the network should have said about a simulated batch."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from napari_dilatedloc.simulation.simulator import SimulatedBatch, inside


@dataclass(frozen=True)
class Targets:
    """Truth of N = B * T' output images, in the order of the network's output.

    Attributes
    ----------
    image : Tensor int64 (M,)
        Image each emitter shines in.
    row, col : Tensor int64 (M,)
        Pixel that holds the emitter's centre.
    y, x, z_nm, photons : Tensor (M,)
        Position in px of the image, nm, photons.
    bg : Tensor (N, H, W)
        Background, photons per pixel.
    """

    image: Tensor
    row: Tensor
    col: Tensor
    y: Tensor
    x: Tensor
    z_nm: Tensor
    photons: Tensor
    bg: Tensor

    def to(self, device: torch.device) -> Targets:
        """Same targets on another device."""
        return Targets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def counts(self) -> Tensor:
        """Emitters in each image, (N,)."""
        return torch.bincount(self.image, minlength=len(self.bg)).float()

    def occupancy(self) -> Tensor:
        """1 in pixels that hold an emitter's centre, else 0, (N, H, W)."""
        mask = torch.zeros_like(self.bg)
        mask[self.image, self.row, self.col] = 1.0
        return mask


def make_targets(batch: SimulatedBatch, window: int, min_photons: float) -> Targets:
    """Truth for the inner frames of a batch, those that have their neighbours.

    Emitters outside the patch or dimmer than `min_photons` are no targets.
    """
    movies, frames, height, width = batch.adu.shape
    edge = window // 2
    inner = frames - 2 * edge
    e = batch.emitters
    kept = inside(e, (height, width)) & (e.photons >= min_photons)
    kept &= (e.frame >= edge) & (e.frame < frames - edge)
    e = e.select(kept)
    return Targets(
        image=e.movie * inner + e.frame - edge,
        row=torch.round(e.y).long(),
        col=torch.round(e.x).long(),
        y=e.y,
        x=e.x,
        z_nm=e.z_nm,
        photons=e.photons,
        bg=batch.bg[:, None].expand(movies, inner, height, width).flatten(0, 1),
    )
