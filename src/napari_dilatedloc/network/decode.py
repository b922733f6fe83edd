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

SEED_PROB = 0.1  # pixels below it never start a localization
SECOND_PROB = 0.6  # a pixel beside a brighter one is a molecule of its own from here on

SEED_LOGIT = math.log(SEED_PROB / (1 - SEED_PROB)) - 1e-3
"""A little below, so that rounding keeps every pixel that `SEED_PROB` would."""


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
    """

    frame: Tensor
    row: Tensor
    col: Tensor
    prob: Tensor


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
    beside = _beside(width, flat.device)
    # Maxima on logits: sigmoid saturates and would make ties.
    peak = own >= flat[at[:, None] + beside].amax(1)
    prob = torch.sigmoid(own)
    peak &= prob > SEED_PROB
    second = (prob > SECOND_PROB) & ~peak
    # A molecule keeps what is its own: from here on its neighbours see nothing in its place.
    flat[at] = torch.where(second, torch.full_like(own, -torch.inf), own)
    up, left, right, down = torch.sigmoid(flat[at[:, None] + beside[[1, 3, 4, 6]]]).unbind(1)
    whole = (prob + (up + down + left + right)).clamp(max=1.0)
    kept = (peak | second) & (whole > threshold)
    place = at[kept]
    row = torch.div(place, width, rounding_mode="floor")
    return Peaks(
        frame=torch.div(row, height, rounding_mode="floor"),
        row=row % height - 1,
        col=place % width - 1,
        prob=whole[kept],
    )


def decode(prediction: Prediction, threshold: float) -> Decoded:
    """Localizations above a detection probability, in order of image, row, column."""
    peaks = find_peaks(prediction.logit, threshold)
    index = (peaks.frame, peaks.row, peaks.col)
    maps = {field.name: getattr(prediction, field.name)[index] for field in fields(Prediction)}
    return _decoded(peaks, Prediction(**maps))


def decode_raw(
    raw: Tensor,
    threshold: float,
    *,
    channels: Sequence[str],
    scaling: ScalingConfig,
    calibration: CalibrationConfig,
    origin: tuple[int, int] = (0, 0),
) -> Decoded:
    """What `decode` gives of raw network output; only pixels that speak get physical values.

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
    rows = raw[peaks.frame, :, peaks.row, peaks.col]  # (K, C)
    prediction = calibrate(activate(rows, channels, scaling), calibration)
    moved = replace(peaks, row=peaks.row + origin[0], col=peaks.col + origin[1])
    return _decoded(moved, prediction)


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


def _beside(width: int, device: torch.device) -> Tensor:
    """Steps to a pixel's eight neighbours in a flat map, row by row."""
    steps = [dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    return torch.tensor(steps, device=device)
