"""ROIs of any PSF together with their slopes along z, y and x.

Precision bounds (`crlb`) and fits (`fit`) live on these. Each ROI depends on its own position only,
so one forward-mode derivative along a vector of ones gives the slopes of all ROIs at once. A spline
has its own, several times faster way: the derivative of a cubic B-spline is a quadratic one, and
the image and its slopes share most of the sums (Li et al., Nat. Methods 15, 367 (2018)).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.chip import chip_nodes
from napari_dilatedloc.psf.spline import FieldSplinePSF, SplinePSF, bspline3, reach, side


class Slopes(NamedTuple):
    """Unit-photon ROIs and their partial derivatives, each (N, R, R).

    `rois` in photons per pixel, `dz` per nm, `dy` and `dx` per px.
    """

    rois: Tensor
    dz: Tensor
    dy: Tensor
    dx: Tensor


def rois_and_slopes(
    psf: PSF, z_nm: Tensor, y: Tensor, x: Tensor, place: Tensor | None = None
) -> Slopes:
    """Images of emitters that each send one photon, and how they change with the position.

    Parameters
    ----------
    psf : PSF
        Any PSF whose `rois` torch can differentiate.
    z_nm, y, x : Tensor
        Positions as for `base.PSF.rois`, each (N,).
    place : Tensor, optional
        Where on the chip, (N, 2) as (y, x) in px, as for `base.PSF.rois`.

    Returns
    -------
    Slopes
        Each (N, R, R) on the device and with the dtype of `z_nm`; differentiable in turn in what a
        formula PSF is made of. In memory the ROIs may be interleaved, see `image_stack`.
    """
    roi, dz, dy, dx = image_stack(psf, z_nm, y, x, place).permute(0, 3, 1, 2)
    return Slopes(roi, dz, dy, dx)


def image_stack(
    psf: PSF, z_nm: Tensor, y: Tensor, x: Tensor, place: Tensor | None = None
) -> Tensor:
    """Like `rois_and_slopes` as one contiguous tensor (4, R, R, N): roi, dz, dy, dx.

    With the emitters last every operation on many small ROIs is one on long rows of memory, which
    makes them about twice as fast on a CPU as small matrix products.
    """
    if isinstance(psf, SplinePSF):
        return _spline_stack(psf, z_nm, y, x, place)

    rois, dz = _along(lambda value: psf.rois(value, y, x, place), z_nm)
    _, dy = _along(lambda value: psf.rois(z_nm, value, x, place), y)
    _, dx = _along(lambda value: psf.rois(z_nm, y, value, place), x)
    return torch.stack([rois, dz, dy, dx]).permute(0, 2, 3, 1).contiguous()


@cache
def _load_forward_mode() -> None:
    """Let torch load its forward derivatives once.

    They are compiled with ``torch.jit.script``, which torch itself declares deprecated.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
        one = torch.ones(1)
        torch.func.jvp(torch.sin, (one,), (one,))


def _along(rois: Callable[[Tensor], Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
    """ROIs and their slope in the one position that each depends on."""
    _load_forward_mode()
    value, slope = torch.func.jvp(rois, (values,), (torch.ones_like(values),))[:2]
    return value, slope


def _spline_stack(
    psf: SplinePSF, z_nm: Tensor, y: Tensor, x: Tensor, place: Tensor | None
) -> Tensor:
    """Slopes of a spline; where the spline is below zero, the PSF is zero and flat."""
    step = psf.config.oversampling
    size, far = side(psf.config.roi_size, step), reach(step)
    planes = _planes(psf, z_nm, place).view(2, -1, size, size).permute(0, 2, 3, 1).contiguous()
    taps = torch.arange(-far, far + 1, device=y.device)[:, None]
    (to_y, slope_y), (to_x, slope_x) = (
        (bspline3(taps + step * offset), step * bspline3_slope(taps + step * offset))
        for offset in (y, x)
    )
    rows = _convolve(planes, to_y, 1, step)  # (2, R, S, N)
    images = _convolve(rows, to_x, 2, step)  # (2, R, R, N): roi, dz
    dy = _convolve(_convolve(planes[:1], slope_y, 1, step), to_x, 2, step)
    dx = _convolve(rows[:1], slope_x, 2, step)
    stack = torch.cat([images, dy, dx])
    return stack * (stack[:1] > 0)


def _planes(psf: SplinePSF, z_nm: Tensor, place: Tensor | None) -> Tensor:
    """Lateral coefficients at given z and, behind them, their slope per nm, (2 N, S^2).

    Beyond the volume the last slice holds, so the slope is zero there.
    """
    config = psf.config
    last = psf.coefficients.shape[-3] - 1
    wanted = (z_nm - config.z_min_nm) / config.z_step_nm
    height = wanted.clamp(0, last)
    first = height.floor().clamp_max(last - 1)
    taps = torch.arange(-1, 3, device=z_nm.device)
    distance = (height - first)[:, None] - taps  # (N, 4)
    inside = (wanted == height)[:, None] / config.z_step_nm
    weights = torch.cat([bspline3(distance), bspline3_slope(distance) * inside])  # (2 N, 4)
    knots = (first.long()[:, None] + taps).abs()  # mirrored at both ends
    knots = (last - (last - knots).abs()).repeat(2, 1)
    if isinstance(psf, FieldSplinePSF):
        nodes, shares = (part.repeat(2, 1) for part in chip_nodes(psf.config, place, z_nm))
        knots = (nodes[:, :, None] * (last + 1) + knots[:, None]).flatten(1)
        weights = (shares[:, :, None] * weights[:, None]).flatten(1)
    table = psf.coefficients.to(z_nm.dtype).flatten(0, -3).flatten(1)  # (slices, S^2)
    return torch.nn.functional.embedding_bag(knots, table, per_sample_weights=weights, mode="sum")


def bspline3_slope(distance: Tensor) -> Tensor:
    """Derivative of `spline.bspline3` with respect to the distance."""
    size = distance.abs()
    return distance.sign() * (2 * (1 - size).clamp_min(0) ** 2 - (2 - size).clamp_min(0) ** 2 / 2)


def _convolve(planes: Tensor, weights: Tensor, dim: int, stride: int) -> Tensor:
    """Sum of shifted slices along `dim` at every `stride`-th place; `weights` (taps, N)."""
    length = planes.shape[dim] - len(weights) + 1
    picks = [slice(None)] * dim

    def cut(tap: int) -> Tensor:
        return planes[(*picks, slice(tap, tap + length, stride))]

    total = cut(0) * weights[0]
    for tap in range(1, len(weights)):
        total = total.addcmul_(cut(tap), weights[tap])
    return total
