"""Maximum-likelihood fit of isolated emitters with any PSF, many at a time.

The classical yardstick: at the Cramer-Rao bound where the PSF is right and emitters do not overlap.
Photons of a pixel have mean ``mu = photons * psf + bg`` and variance ``excess * mu + floor``. Then
``t = (data + floor / excess) / excess`` has mean equal to variance, and is taken for a Poisson
variable of mean ``m = (mu + floor / excess) / excess``, as Huang et al., Nat. Methods 10, 653
(2013) do for the read noise of sCMOS cameras. The log likelihood ``sum(t log m - m)`` is climbed
by the method of Levenberg and Marquardt with the Fisher matrix as curvature (Smith et al., Nat.
Methods 7, 373 (2010); Laurence & Chromy, Nat. Methods 7, 338 (2010)). Data below zero stay as they
are: the likelihood's slope is right on average, while clipped data would raise the background.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.config import PixelNoise, Range
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.crlb import standard_deviations
from napari_dilatedloc.psf.slopes import image_stack

Array = NDArray[np.float64]

LATERAL_LIMIT_PX = 1.5
"""Farthest an emitter may lie from the centre of its ROI along y and x, px."""
Z_STEP_NM = 100.0
"""Distance of starts in z by default: well within the depth over which a spot keeps its shape."""
SMALLEST_PHOTONS, SMALLEST_BG = 1.0, 0.01
DECREMENT = 1e-4
"""Converged: the step left is below sqrt(DECREMENT) standard deviations, here a hundredth."""
FIRST_DAMPING, LARGEST_DAMPING = 1e-2, 100.0
CHUNK_VALUES = 150_000
"""Values of one plane of a chunk, ROI pixels times emitters; fits a CPU's cache, see `_chunk`."""


@dataclass(frozen=True)
class EmitterFit:
    """One fit per ROI, each field an array (N,).

    Attributes
    ----------
    z_nm : ndarray
        Position along the optical axis, nm.
    y, x : ndarray
        Offset from the ROI's centre pixel, px.
    photons, bg : ndarray
        Photons of the emitter; background, photons per pixel.
    sigma_z_nm, sigma_y, sigma_x, sigma_photons, sigma_bg : ndarray
        Standard deviations from the Fisher matrix at the optimum; infinite where it is singular.
    log_likelihood_ratio : ndarray
        Twice the log of the likelihood of the data themselves over that of the model: about the
        number of pixels minus five if the model is right (chi-square), larger if not.
    n_steps : ndarray of int
        Steps tried.
    converged : ndarray of bool
        Whether the optimum was reached; at a limit of z, y or x it is the optimum within it.
    """

    z_nm: Array
    y: Array
    x: Array
    photons: Array
    bg: Array
    sigma_z_nm: Array
    sigma_y: Array
    sigma_x: Array
    sigma_photons: Array
    sigma_bg: Array
    log_likelihood_ratio: Array
    n_steps: NDArray[np.int64]
    converged: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of fits."""
        return len(self.z_nm)


@dataclass(frozen=True)
class _Problem:
    """What stays the same during the fit: `data` (S * S, N), limits (5,) of the parameters."""

    psf: PSF
    data: Tensor
    side: int
    noise: PixelNoise
    place: Tensor | None
    low: Tensor
    high: Tensor


@dataclass(frozen=True)
class _State:
    """Where each fit is, in float64: `values`, `gradient` (N, 5), `information` (N, 5, 5)."""

    values: Tensor
    cost: Tensor
    gradient: Tensor
    information: Tensor


def fit_emitters(
    rois: Tensor,
    psf: PSF,
    noise: PixelNoise | None = None,
    *,
    start: Tensor | None = None,
    place: Tensor | None = None,
    z_range_nm: Range | None = None,
    z_starts: int | None = None,
    max_steps: int = 50,
) -> EmitterFit:
    """Fit z, y, x, photons and background of one emitter in each ROI.

    Parameters
    ----------
    rois : Tensor
        Camera images in photons (`camera.Camera.to_photons`), (N, S, S) with S odd; may be
        negative. The fit runs on their device, in float64 if they are float64, else in float32.
        With S at most ``psf.config.roi_size - 2`` the model fills the ROI wherever the emitter is;
        beyond its own ROI a PSF counts as zero, as in simulations.
    psf : PSF
        Any PSF. A `SplinePSF` is by far the fastest; compile others first.
    noise : PixelNoise, optional
        Noise of a pixel (`camera.Camera.noise`); default: pure shot noise.
    start : Tensor, optional
        First guess (N, 3) of z in nm and y, x in px from the ROI's centre pixel; default: the best
        of many starts over the range of z and the pixels around the centre.
    place : Tensor, optional
        Where on the chip each ROI's centre is, (N, 2) as (y, x) in px; see `base.PSF.rois`.
    z_range_nm : tuple of float, optional
        z allowed, nm; default: the PSF's.
    z_starts : int, optional
        Starts in z; default: one per 100 nm.
    max_steps : int
        Steps after which a fit that has not converged ends.

    Returns
    -------
    EmitterFit
        Emitters farther than 1.5 px from the centre along y or x are fitted at that limit.
    """
    problem = _problem(rois, psf, noise, place, z_range_nm)
    if start is not None and start.shape != (len(rois), 3):
        raise ValueError(
            f"start must have shape ({len(rois)}, 3) as z_nm, y, x, got {tuple(start.shape)}; "
            "give one row per ROI"
        )
    with torch.no_grad():
        values = _best_starts(problem, z_starts) if start is None else _given_starts(problem, start)
        state, n_steps, converged = _climb(problem, values, max_steps)
    sigmas = standard_deviations(state.information)
    names = [field.name for field in fields(EmitterFit)]  # in the order of these columns
    columns = [*state.values.T, *sigmas.T, 2 * state.cost, n_steps, converged]
    arrays: dict[str, Any] = {
        name: column.cpu().numpy() for name, column in zip(names, columns, strict=True)
    }
    return EmitterFit(**arrays)


def _problem(
    rois: Tensor,
    psf: PSF,
    noise: PixelNoise | None,
    place: Tensor | None,
    z_range_nm: Range | None,
) -> _Problem:
    """Check the input and bring it to one device."""
    if rois.ndim != 3 or rois.shape[1] != rois.shape[2] or rois.shape[1] % 2 == 0:
        raise ValueError(
            f"rois must have shape (N, S, S) with S odd, got {tuple(rois.shape)}; crop them anew"
        )
    data = rois if rois.dtype == torch.float64 else rois.float()
    if not torch.isfinite(data).all():
        raise ValueError("rois must be finite numbers, got NaN or infinity; leave these ROIs out")
    if place is not None:
        if place.shape != (len(rois), 2):
            raise ValueError(
                f"place must have shape ({len(rois)}, 2) as y, x, got {tuple(place.shape)}; "
                "give one row per ROI"
            )
        place = place.to(data)
    z_low, z_high = z_range_nm if z_range_nm is not None else psf.config.z_range_nm
    low = [z_low, -LATERAL_LIMIT_PX, -LATERAL_LIMIT_PX, SMALLEST_PHOTONS, SMALLEST_BG]
    high = [z_high, LATERAL_LIMIT_PX, LATERAL_LIMIT_PX, torch.inf, torch.inf]
    return _Problem(
        psf=psf.to(data.device),
        data=data.flatten(1).T.contiguous(),
        side=rois.shape[1],
        noise=noise if noise is not None else PixelNoise(),
        place=place,
        low=torch.tensor(low, dtype=torch.float64, device=data.device),
        high=torch.tensor(high, dtype=torch.float64, device=data.device),
    )


def _best_starts(problem: _Problem, z_starts: int | None) -> Tensor:
    """Values (N, 5) of the template that explains each ROI best, by linear least squares.

    Templates stand at every start in z on the pixels around the centre. Photons and background
    follow in closed form, and the best template is the one most correlated with the data.
    """
    low, high = float(problem.low[0]), float(problem.high[0])
    count = z_starts if z_starts is not None else max(3, round((high - low) / Z_STEP_NM) + 1)
    like = problem.data
    heights = torch.linspace(low, high, count, dtype=like.dtype, device=like.device)
    zeros = torch.zeros_like(heights)
    middle = None if problem.place is None else problem.place.mean(0).expand(count, 2)
    images = problem.psf.rois(heights, zeros, zeros, middle).permute(1, 2, 0)
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    parts = [_window(images, y, x, problem.side).flatten(0, 1).T for y, x in shifts]
    templates = torch.cat(parts)  # (9 count, S * S)
    places = [(z, y, x) for y, x in shifts for z in heights.tolist()]
    positions = torch.tensor(places, dtype=torch.float64, device=like.device)
    mean = templates.mean(1)
    centred = templates - mean[:, None]
    length = centred.norm(dim=1).clamp_min(1e-30)
    found = []
    for data in like.split(max(1, 4_000_000 // len(templates)), dim=1):
        score, best = ((centred / length[:, None]) @ data).max(0)
        photons = score / length[best]
        bg = data.mean(0) - photons * mean[best]
        found.append(torch.cat([positions[best], torch.stack([photons, bg], 1).double()], 1))
    return torch.cat(found).clamp(problem.low, problem.high)


def _given_starts(problem: _Problem, start: Tensor) -> Tensor:
    """Values (N, 5) of given positions; background from the ROI's border, photons from the rest."""
    data = problem.data.view(problem.side, problem.side, -1)
    border = torch.cat([data[0], data[-1], data[:, 0], data[:, -1]]).mean(0)
    light = torch.stack([(data - border).sum((0, 1)), border], 1).double()
    return torch.cat([start.to(light), light], 1).clamp(problem.low, problem.high)


def _climb(problem: _Problem, values: Tensor, max_steps: int) -> tuple[_State, Tensor, Tensor]:
    """Raise the likelihood of all fits; those that have converged are no longer computed."""
    active = torch.arange(len(values), device=values.device)
    state = _evaluate(problem, active, values)
    slack = 1e-3 if problem.data.dtype == torch.float32 else 1e-9  # rounding of the cost
    damping = torch.full_like(state.cost, FIRST_DAMPING)
    n_steps = torch.zeros_like(active)
    converged = torch.zeros_like(active, dtype=torch.bool)
    for _ in range(max_steps):
        step, decrement = _step(problem, state, active, damping[active])
        done = decrement < DECREMENT
        converged[active[done]] = damping[active[done]] <= LARGEST_DAMPING
        active, step = active[~done], step[~done]
        if len(active) == 0:
            break
        trial = (state.values[active] + step).clamp(problem.low, problem.high)
        found = _evaluate(problem, active, trial)
        better = found.cost <= state.cost[active] + slack
        taken = active[better]
        curved = _curvature(trial - state.values[active], state.gradient[active], found.gradient)
        damping[active] = _damp(damping[active], curved, better)
        for name in ("values", "cost", "gradient", "information"):
            getattr(state, name)[taken] = getattr(found, name)[better]
        n_steps[active] += 1
    return state, n_steps, converged


def _step(
    problem: _Problem, state: _State, active: Tensor, damping: Tensor
) -> tuple[Tensor, Tensor]:
    """Steps (n, 5), and the gain in likelihood they promise (twice), which measures what is left.

    A parameter at its limit that wants beyond it stays there.
    """
    values, slope = state.values[active], state.gradient[active]
    held = (values <= problem.low) & (slope < 0) | (values >= problem.high) & (slope > 0)
    free = (~held).to(slope)
    slope = slope * free
    matrix = state.information[active] * free[:, :, None] * free[:, None, :]
    diagonal = matrix.diagonal(dim1=1, dim2=2)
    scale = torch.where(diagonal > 0, diagonal, 1.0).sqrt()
    scaled = matrix / (scale[:, :, None] * scale[:, None, :])
    scaled.diagonal(dim1=1, dim2=2).copy_(1 + damping[:, None].expand_as(scale))
    step, _ = torch.linalg.solve_ex(scaled, slope / scale)
    step = torch.nan_to_num(step / scale)
    # A far start may ask for a wild jump: at most a tenth of the range of z and half a pixel.
    longest = torch.full_like(problem.high, torch.inf)
    longest[0] = (problem.high[0] - problem.low[0]) / 10
    longest[1:3] = 0.5
    return step.clamp(-longest, longest), (step * slope).sum(1)


def _curvature(step: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """How far a step went, in lengths that would have met the maximum along it: 1 is right."""
    along = (step * before).sum(1).clamp_min(1e-300)
    return torch.nan_to_num(1 - (step * after).sum(1) / along, nan=1.0)


def _damp(damping: Tensor, curved: Tensor, better: Tensor) -> Tensor:
    """Damping of the next step, after what the last one found.

    In dim images the likelihood is often more curved than the Fisher matrix expects, and full steps
    would swing about the maximum for ever: the next step is as long as the last should have been.
    """
    wanted = (curved * (1 + damping) - 1).clamp(0.1 * damping, 10 * damping + 1)
    return torch.where(better, wanted, 10 * damping)


def _evaluate(problem: _Problem, index: Tensor, values: Tensor) -> _State:
    """Cost, gradient and Fisher matrix of fits `index` at `values` (n, 5).

    Emitters are drawn within half a pixel of the PSF's centre and moved by whole pixels, so fits
    that share these are computed together.
    """
    n = len(index)
    empty = values.new_empty
    state = _State(values, empty(n), empty((n, 5)), empty((n, 5, 5)))
    shifts = values[:, 1:3].round().clamp(-1, 1).long()
    keys = 3 * shifts[:, 0] + shifts[:, 1]
    chunk = _chunk(problem)
    for key in keys.unique():
        for part in (keys == key).nonzero().squeeze(1).split(chunk):
            moved = shifts[part[0]].tolist()
            cost, gradient, information = _evaluate_chunk(
                problem, index[part], values[part], *moved
            )
            state.cost[part] = cost.double()
            state.gradient[part] = gradient.T.double()
            state.information[part] = information.permute(2, 0, 1).double()
    return state


def _chunk(problem: _Problem) -> int:
    """Fits computed at a time."""
    pixels = problem.psf.config.roi_size**2
    scale = 1 if problem.data.device.type == "cpu" else 64
    return max(16, scale * CHUNK_VALUES // pixels)


def _evaluate_chunk(
    problem: _Problem, index: Tensor, values: Tensor, shift_y: int, shift_x: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Cost (n,), gradient (5, n) and Fisher matrix (5, 5, n); arrays have the fits last."""
    noise = problem.noise
    z_nm, y, x, photons, bg = values.T.to(problem.data.dtype)
    stack = image_stack(
        problem.psf,
        z_nm,
        (y - shift_y).clamp(-0.5, 0.5),
        (x - shift_x).clamp(-0.5, 0.5),
        None if problem.place is None else problem.place[index],
    )  # (4, R, R, n): roi, dz, dy, dx
    stack = _window(stack, shift_y, shift_x, problem.side).flatten(1, 2)  # (4, S * S, n)
    data = problem.data[:, index]
    mean = stack[0] * photons + bg
    variance = noise.excess * mean + noise.floor_photons2
    weight = 1 / variance
    pull = (data - mean) * weight
    cost = _cost(data, variance, noise)

    images = stack * weight
    size = torch.stack([torch.ones_like(photons), photons, photons, photons])
    information = stack.new_empty((5, 5, len(index)))  # of photons, z, y, x, bg
    for i in range(4):
        row = (images[i:] * stack[i]).sum(1) * size[i:] * size[i]
        information[i, i:4] = information[i:4, i] = row
    information[:4, 4] = information[4, :4] = images.sum(1) * size
    information[4, 4] = weight.sum(0)
    gradient = torch.cat([(stack * pull).sum(1) * size, pull.sum(0, keepdim=True)])
    order = [1, 2, 3, 0, 4]
    return cost, gradient[order], information[order][:, order]


def _cost(data: Tensor, variance: Tensor, noise: PixelNoise) -> Tensor:
    """Minus the log likelihood (n,), counted from that of the data themselves.

    Counting from there keeps the sum small enough for float32. Where `t` is not above zero it is
    counted from a small number instead, which changes the sum by a constant.
    """
    counts = (data + noise.floor_photons2 / noise.excess) / noise.excess
    expected = variance / noise.excess**2
    reference = counts.clamp_min(1e-3)
    return (expected - reference - counts * (expected / reference).log()).sum(0)


def _window(images: Tensor, shift_y: int, shift_x: int, side: int) -> Tensor:
    """Window (..., side, side, n) of PSF images (..., R, R, n) moved by whole pixels.

    What the PSF's ROI does not cover is dark.
    """
    size = images.shape[-2]
    margins = []
    for shift in (shift_x, shift_y):  # torch pads the last axes first
        before = side // 2 + shift - size // 2
        margins += [before, side - size - before]
    if not any(margins):
        return images
    return torch.nn.functional.pad(images, [0, 0, *margins])
