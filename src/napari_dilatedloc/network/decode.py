"""Probability maps to localizations, on the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_dilatedloc.network.output import Prediction

SEED_PROB = 0.1  # pixels below it never start a localization
SECOND_PROB = 0.6  # a pixel beside a brighter one is a molecule of its own from here on


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


def aggregate(logit: Tensor) -> Tensor:
    """Detection probability of each pixel's molecule, 0 where the pixel speaks for none.

    A molecule near a pixel border shares its probability among neighbours. The local maximum
    (3x3) collects it from its 4-neighbourhood; a neighbour counts as a second molecule only when
    it is likely by itself. (The scheme of DECODE, Speiser et al. 2021.)

    Parameters
    ----------
    logit : Tensor (N, H, W)
        Logit of the probability map.

    Returns
    -------
    Tensor (N, H, W)
        Aggregated probability, 0-1.
    """
    prob = torch.sigmoid(logit)
    # Maxima on logits: sigmoid saturates and would make ties.
    peak = F.max_pool2d(logit[:, None], 3, stride=1, padding=1)[:, 0] == logit
    peak &= prob > SEED_PROB
    second = (prob > SECOND_PROB) & ~peak
    alone = torch.where(second, torch.zeros_like(prob), prob)  # a molecule keeps what is its own
    cross = prob + _neighbours(alone)
    return torch.where(peak | second, cross.clamp(max=1.0), torch.zeros_like(cross))


def decode(prediction: Prediction, threshold: float) -> Decoded:
    """Localizations above a detection probability, in order of image, row, column."""
    prob = aggregate(prediction.logit)
    frame, row, col = torch.nonzero(prob > threshold, as_tuple=True)

    def at(values: Tensor) -> Tensor:
        return values[frame, row, col]

    return Decoded(
        frame=frame,
        row=row,
        col=col,
        x=at(prediction.x) + col,
        y=at(prediction.y) + row,
        z_nm=at(prediction.z_nm),
        photons=at(prediction.photons),
        bg=at(prediction.bg),
        prob=at(prob),
        sigma_x=at(prediction.sigma_x),
        sigma_y=at(prediction.sigma_y),
        sigma_z_nm=at(prediction.sigma_z_nm),
        sigma_photons=at(prediction.sigma_photons),
    )


def _neighbours(values: Tensor) -> Tensor:
    """Sum over the four direct neighbours, (N, H, W)."""
    padded = F.pad(values, (1, 1, 1, 1))
    return padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
