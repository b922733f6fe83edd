"""Probability maps to localizations, on the device.

Few pixels speak for a molecule, so only those and their neighbours are looked at: the map of
logits is compared once with a number, and all else happens on rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_dilatedloc.config import CalibrationConfig, ScalingConfig
from napari_dilatedloc.network.output import Prediction, activate, calibrate
from napari_dilatedloc.table import Localizations

SEED_PROB = 0.1  # pixels below it never start a localization
SECOND_PROB = 0.6  # a pixel beside a brighter one is a molecule of its own from here on
AGREEING = 4.0  # standard deviations; a neighbour this far off hardly speaks for the molecule
SAME = 2.0  # standard deviations; likely pixels that agree this well mean one molecule

SEED_LOGIT = math.log(SEED_PROB / (1 - SEED_PROB)) - 1e-3
"""A little below, so that rounding keeps every pixel that `SEED_PROB` would."""

AROUND = ((0, 0), *((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x))
"""Steps (y, x) from a pixel to itself and its eight neighbours."""


@dataclass(frozen=True)
class Decoded:
    """Localizations of a batch of images as equally long 1-D tensors.

    ``frame``, ``row`` and ``col`` (int64) are the image and the pixel that speaks for the
    molecule; ``x`` and ``y`` are px in the image, the rest as in `Prediction`.
    """

    frame: Tensor
    row: Tensor
    col: Tensor
    x: Tensor
    y: Tensor
    z_nm: Tensor
    photons: Tensor
    bg: Tensor
    prob: Tensor
    sigma_x: Tensor
    sigma_y: Tensor
    sigma_z_nm: Tensor
    sigma_photons: Tensor


@dataclass(frozen=True)
class Peaks:
    """Pixels that speak for a molecule, in order of image, row, column.

    ``frame``, ``row``, ``col`` are int64 (K,), ``prob`` (K,) is the probability of the molecule.
    ``shares`` (K, 9) is how far each pixel of `AROUND` speaks for it: its own probability, 0 where
    it is a molecule of its own. ``rivals`` (K, 9) are those that are more likely molecules,
    or as likely and before it.
    """

    frame: Tensor
    row: Tensor
    col: Tensor
    prob: Tensor
    shares: Tensor
    rivals: Tensor


def find_peaks(logit: Tensor, threshold: float) -> Peaks:
    """Molecules above a detection probability.

    A molecule near a pixel border shares its probability among neighbours. The local maximum
    (3x3) collects it from its 4-neighbourhood; a neighbour counts as a second molecule only when
    it is likely by itself. (The scheme of DECODE, Speiser et al. 2021.)

    Parameters
    ----------
    logit : Tensor (N, H, W)
        Logit of the probability map.
    threshold : float
        Smallest probability of a molecule, 0-1.
    """
    padded = F.pad(logit, (1, 1, 1, 1), value=-torch.inf)
    height, width = padded.shape[1:]
    flat = padded.view(-1)
    at = torch.nonzero(flat > SEED_LOGIT)[:, 0]
    own = flat[at]
    beside = torch.tensor([y * width + x for y, x in AROUND[1:]], device=flat.device)
    # Maxima on logits: sigmoid saturates and would make ties.
    near = flat[at[:, None] + beside]
    peak = own >= near.amax(1)
    prob = torch.sigmoid(own)
    peak &= prob > SEED_PROB
    second = (prob > SECOND_PROB) & ~peak
    # A molecule keeps what is its own: from here on its neighbours see nothing in its place.
    flat[at] = own.masked_fill(second, -torch.inf)
    up, left, right, down = torch.sigmoid(flat[at[:, None] + beside[[1, 3, 4, 6]]]).unbind(1)
    whole = (prob + (up + down + left + right)).clamp(max=1.0)
    kept = (peak | second) & (whole > threshold)
    flat[at] = own.masked_fill(second | peak, -torch.inf)
    place = at[kept]
    shares = torch.cat([own[kept, None], flat[place[:, None] + beside]], 1)
    mine, near = own[kept, None], near[kept]
    rivals = torch.cat([mine > mine, near[:, :4] >= mine, near[:, 4:] > mine], 1)
    row = torch.div(place, width, rounding_mode="floor")
    return Peaks(
        frame=torch.div(row, height, rounding_mode="floor"),
        row=row % height - 1,
        col=place % width - 1,
        prob=whole[kept],
        shares=torch.sigmoid(shares),
        rivals=rivals,
    )


def decode(
    raw: Tensor,
    threshold: float,
    *,
    channels: Sequence[str],
    scaling: ScalingConfig,
    calibration: CalibrationConfig,
    origin: tuple[int, int] = (0, 0),
) -> Decoded:
    """Localizations above a detection probability, in order of image, row, column.

    Only pixels that speak for a molecule, and those around them, get physical values. A pixel that
    is likely by itself, but says the same place as a more likely one beside it, means the same
    molecule and is left out.

    Parameters
    ----------
    raw : Tensor (N, C, H, W)
        Raw output of a network.
    threshold : float
        Smallest probability of a molecule, 0-1.
    channels : sequence of str
        Names of the C channels.
    scaling, calibration : ScalingConfig, CalibrationConfig
        Of the model.
    origin : tuple of int
        (row, column) of the maps' first pixel in a larger image, whose pixels the result counts;
        so positions are rounded once, wherever the maps were cut.
    """
    peaks = find_peaks(raw[:, channels.index("prob")].float(), threshold)
    dy, dx = torch.tensor(AROUND, device=raw.device).unbind(1)
    height, width = raw.shape[2:]
    row = (peaks.row[:, None] + dy).clamp(0, height - 1)  # beyond the border the share is 0
    col = (peaks.col[:, None] + dx).clamp(0, width - 1)
    rows = raw[peaks.frame[:, None], :, row, col]  # (K, 9, C)
    around = activate(rows.transpose(1, 2), channels, scaling)
    apart = _apart(around)
    prediction = calibrate(averaged(around, peaks.shares, apart), calibration)
    moved = replace(peaks, row=peaks.row + origin[0], col=peaks.col + origin[1])
    doubled = (peaks.rivals & (apart < SAME**2)).any(1)
    single = torch.nonzero(~doubled)[:, 0]
    found = _decoded(moved, prediction)
    return Decoded(**{f.name: getattr(found, f.name)[single] for f in fields(Decoded)})


def averaged(around: Prediction, shares: Tensor, apart: Tensor) -> Prediction:
    """Positions that the pixels around a peak agree on; all else is what the peak says.

    The pixels that share a molecule were each taught to say where it is, and their errors differ.
    Weights are ``share * exp(-apart / (2 AGREEING^2))``.

    Parameters
    ----------
    around : Prediction
        What the pixels of `AROUND` say, each (K, 9).
    shares : Tensor (K, 9)
        As in `Peaks`.
    apart : Tensor (K, 9)
        Squared distance from what the peak says in units of both predicted standard deviations.

    Returns
    -------
    Prediction
        One value per peak, each (K,); ``x`` and ``y`` relative to the centre of its pixel.
    """
    weights = shares * torch.exp(-apart / (2 * AGREEING**2))
    weights = weights / weights.sum(1, keepdim=True)
    x, y, z_nm = ((weights * place).sum(1) for place in _places(around))
    own = {field.name: getattr(around, field.name)[:, 0] for field in fields(Prediction)}
    return Prediction(**{**own, "x": x, "y": y, "z_nm": z_nm})


def _apart(around: Prediction) -> Tensor:
    """How far what a peak's neighbours say lies from what it says, as `averaged` takes it."""
    sigmas = (around.sigma_x, around.sigma_y, around.sigma_z_nm)
    apart = torch.zeros_like(around.x)
    for place, sigma in zip(_places(around), sigmas, strict=True):
        apart += (place - place[:, :1]) ** 2 / (sigma**2 + sigma[:, :1] ** 2)
    return apart


def _places(around: Prediction) -> tuple[Tensor, Tensor, Tensor]:
    """Positions from the middle of the peak's pixel, px, and z, nm, each (K, 9)."""
    steps = torch.tensor(AROUND, device=around.x.device)
    return around.x + steps[:, 1], around.y + steps[:, 0], around.z_nm


def decoded_table(found: Decoded) -> Localizations:
    """Columns on the host, frames and pixels as in `found`; for small results, as it waits."""
    names = Localizations.column_names()
    return Localizations(**{name: getattr(found, name).cpu().numpy() for name in names})


def _decoded(peaks: Peaks, at: Prediction) -> Decoded:
    """Localizations of peaks and what the prediction says there, each (K,)."""
    return Decoded(
        frame=peaks.frame,
        row=peaks.row,
        col=peaks.col,
        x=at.x + peaks.col,
        y=at.y + peaks.row,
        z_nm=at.z_nm,
        photons=at.photons,
        bg=at.bg,
        prob=peaks.prob,
        sigma_x=at.sigma_x,
        sigma_y=at.sigma_y,
        sigma_z_nm=at.sigma_z_nm,
        sigma_photons=at.sigma_photons,
    )
