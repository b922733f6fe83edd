"""Places on the chip: how a PSF that changes over it finds the nodes of its grid."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from napari_dilatedloc.config import FieldPSFConfig, FieldSplinePSFConfig


def chip_nodes(
    grid: FieldPSFConfig | FieldSplinePSFConfig, place: Tensor | None, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Four nodes around each place and their weights (bilinear; beyond the grid its border).

    Parameters
    ----------
    grid : config
        Its `rows_px` and `columns_px` are the nodes.
    place : Tensor (N, 2), optional
        y, x on the chip, px; without it everything is in the middle of the grid.
    like : Tensor (N,)
        Gives length, device and precision.

    Returns
    -------
    nodes : Tensor (N, 4) int64
        Index into the grid, row after row.
    weights : Tensor (N, 4)
        They add up to 1.
    """
    axes = (grid.rows_px, grid.columns_px)
    if place is None:
        place = like.new_tensor([(nodes[0] + nodes[-1]) / 2 for nodes in axes]).expand(len(like), 2)
    (top, bottom), (left, right) = (
        _neighbours(place[:, axis].to(like.dtype), nodes) for axis, nodes in enumerate(axes)
    )
    width = len(grid.columns_px)
    pairs = [(v, h) for v in (top, bottom) for h in (left, right)]
    return (
        torch.stack([v.node * width + h.node for v, h in pairs], dim=1),
        torch.stack([v.weight * h.weight for v, h in pairs], dim=1),
    )


class _Neighbour(NamedTuple):
    node: Tensor
    weight: Tensor


def _neighbours(at: Tensor, nodes: tuple[float, ...]) -> tuple[_Neighbour, _Neighbour]:
    """Nodes below and above each place along one axis."""
    grid = at.new_tensor(nodes)
    at = at.clamp(grid[0], grid[-1]).contiguous()
    low = (torch.searchsorted(grid, at, right=True) - 1).clamp(0, max(len(nodes) - 2, 0))
    high = (low + 1).clamp_max(len(nodes) - 1)
    share = ((at - grid[low]) / (grid[high] - grid[low]).clamp_min(1e-12)).clamp(0, 1)
    return _Neighbour(low, 1 - share), _Neighbour(high, share)
