"""A vectorial PSF whose aberrations change over the chip."""

from __future__ import annotations

import itertools
import logging
from typing import Self

import torch
from torch import Tensor

from napari_dilatedloc.config import FieldPSFConfig
from napari_dilatedloc.psf.chip import chip_nodes
from napari_dilatedloc.psf.optics import build_optics
from napari_dilatedloc.psf.vectorial import VectorialBase, modes_of

MIXING_TOLERANCE = 0.008
"""Largest difference, relative to the peak, between mixing images and mixing wavefronts."""
MOST_NODES = 120

_log = logging.getLogger(__name__)


class FieldPSF(VectorialBase):
    """Vectorial PSF with a map of Zernike coefficients over the chip.

    The model of FD-DeepLoc (Fu et al., Nat. Methods 20, 459 (2023)) and uiPSF (Liu et al., Nat.
    Methods 21, 1082 (2024)), on a coarse grid that is interpolated linearly.

    Parameters
    ----------
    config : FieldPSFConfig
        Optics and the grid. Coefficients of `config.optics` count everywhere, the map comes on top.
    zernike_nm : Tensor (rows, columns, modes)
        Coefficients at the nodes, nm rms.
    """

    def __init__(self, config: FieldPSFConfig, zernike_nm: Tensor) -> None:
        expected = (len(config.rows_px), len(config.columns_px), len(config.modes))
        if zernike_nm.shape != expected:
            raise ValueError(
                f"a map of coefficients must have shape {expected} (rows, columns, modes), "
                f"got {tuple(zernike_nm.shape)}; make it fit its grid"
            )
        for name, nodes in (("rows_px", config.rows_px), ("columns_px", config.columns_px)):
            if sorted(set(nodes)) != list(nodes):
                raise ValueError(f"{name} must grow from node to node, got {nodes}; sort the map")
        common = modes_of(config.optics)
        super().__init__(build_optics(config.optics, (*common, *config.modes)), config.optics)
        self.config = config
        self.zernike_nm = zernike_nm
        self._common = [nm for _, _, nm in config.optics.zernike_nm]

    def tensors(self) -> dict[str, Tensor]:
        """Give the map."""
        return {"zernike_nm": self.zernike_nm}

    def to(self, device: torch.device | str) -> Self:
        """Return the same PSF with its map on another device."""
        return type(self)(self.config, self.zernike_nm.to(device))

    def rois(self, z_nm: Tensor, y: Tensor, x: Tensor, place: Tensor | None = None) -> Tensor:
        """Images of emitters that each send one photon; see `base.PSF.rois`."""
        local = self.zernike_at(place, z_nm)
        common = z_nm.new_tensor(self._common).expand(len(z_nm), -1)
        return self.images(z_nm, y, x, torch.cat([common, local], dim=1))

    def zernike_at(self, place: Tensor | None, like: Tensor | None = None) -> Tensor:
        """Coefficients of the map at places (N, 2), px: (N, modes), nm rms.

        Without places, the middle of the map for each of `like` (N,), which also gives the device
        and precision.
        """
        if like is None:
            like = self.zernike_nm.new_zeros(0 if place is None else len(place))
        nodes, weights = chip_nodes(self.config, place, like)
        values = self.zernike_nm.to(like.device, like.dtype).flatten(0, 1)[nodes]  # (N, 4, M)
        return torch.einsum("nk,nkm->nm", weights, values)


def refined(psf: FieldPSF) -> FieldPSF:
    """Give the same map on a grid so fine that spots between nodes are mixtures of the nodes'.

    Cells are halved until the spot in the middle of each is the mean of its corners' spots within
    `MIXING_TOLERANCE` of the peak, or until the grid has more than `MOST_NODES` nodes.
    """
    while mixing_error(psf) > MIXING_TOLERANCE:
        config = psf.config
        rows, columns = _halved(config.rows_px), _halved(config.columns_px)
        if len(rows) * len(columns) > MOST_NODES:
            _log.warning("aberrations change fast over the chip: spots between nodes are mixed")
            break
        grid = torch.cartesian_prod(torch.tensor(rows), torch.tensor(columns))
        values = psf.zernike_at(grid).view(len(rows), len(columns), -1)
        psf = FieldPSF(config.replace(rows_px=rows, columns_px=columns), values)
    return psf


def _halved(nodes: tuple[float, ...]) -> tuple[float, ...]:
    middles = [(a + b) / 2 for a, b in itertools.pairwise(nodes)]
    return tuple(sorted([*nodes, *middles]))


def mixing_error(psf: FieldPSF) -> float:
    """Largest difference of spots in the middle of cells from the mean of their corners' spots.

    Relative to the peak, at three heights.
    """
    rows, columns = (
        torch.tensor(list(itertools.pairwise(nodes)) or [(nodes[0], nodes[0])])
        for nodes in (psf.config.rows_px, psf.config.columns_px)
    )  # (cells along an axis, 2)
    corners = [torch.cartesian_prod(rows[:, i], columns[:, j]) for i in (0, 1) for j in (0, 1)]
    middle = torch.cartesian_prod(rows.mean(dim=1), columns.mean(dim=1))
    low, high = psf.config.z_range_nm
    worst = 0.0
    for share in (0.1, 0.5, 0.9):
        z_nm = torch.full((len(middle),), low + share * (high - low))
        zero = torch.zeros_like(z_nm)
        mean = torch.stack([psf.rois(z_nm, zero, zero, place) for place in corners]).mean(dim=0)
        exact = psf.rois(z_nm, zero, zero, middle)
        error = (mean - exact).abs().amax(dim=(1, 2)) / exact.amax(dim=(1, 2))
        worst = max(worst, float(error.max()))
    return worst
