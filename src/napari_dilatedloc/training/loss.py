"""Loss terms of DilatedLoc, each a pure function.

Count and localization terms follow DECODE (Speiser et al. 2021, doi:10.1038/s41592-021-01236-x,
methods), the cross-entropy term is the paper's addition (Luo 2024, section 3.3). The Gaussian
mixture has the squared form, so that the predicted sigmas are standard deviations.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_dilatedloc.network.output import Prediction
from napari_dilatedloc.training.targets import Targets

WINDOW = 7  # px; pixels farther from an emitter than half of it cannot speak for it


def count_loss(logit: Tensor, counts: Tensor) -> Tensor:
    """Negative log likelihood of the number of emitters per image.

    The number predicted is a sum of independent Bernoulli variables, taken as normal with mean
    sum(p) and variance sum(p (1 - p)).

    Parameters
    ----------
    logit : Tensor (N, H, W)
        Logit of the probability map.
    counts : Tensor (N,)
        True number of emitters.

    Returns
    -------
    Tensor (N,)
    """
    prob = torch.sigmoid(logit)
    mean = prob.sum((1, 2))
    variance = (prob * (1 - prob)).sum((1, 2)) + 1e-2  # keeps a certain map finite
    return 0.5 * ((counts - mean) ** 2 / variance + torch.log(2 * math.pi * variance))


def localization_loss(prediction: Prediction, targets: Targets, window: int = WINDOW) -> Tensor:
    """Negative log likelihood of each emitter under the mixture of all pixels' predictions.

    Every pixel k of the image is a Gaussian over (x, y, z, photons) with weight p_k / sum(p);
    pixels outside the window around the emitter are left out, their density there is nil.

    Returns
    -------
    Tensor (M,)
        One value per emitter.
    """
    height, width = prediction.logit.shape[1:]
    reach = torch.arange(window, device=prediction.logit.device) - window // 2
    row = targets.row[:, None, None] + reach[:, None]
    col = targets.col[:, None, None] + reach
    row, col = torch.broadcast_tensors(row, col)
    within = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    pixel = row.clamp(0, height - 1) * width + col.clamp(0, width - 1)
    index = (targets.image[:, None, None] * height * width + pixel).flatten()

    def at(values: Tensor) -> Tensor:
        return values.flatten().index_select(0, index).view(pixel.shape)  # (M, window, window)

    def log_density(value: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
        error = (value[:, None, None] - mean) / sigma
        return -0.5 * error**2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)

    p = prediction
    log_total = torch.log(torch.sigmoid(p.logit).sum((1, 2)) + 1e-6)
    log_weight = F.logsigmoid(at(p.logit)) - log_total[targets.image][:, None, None]
    log_joint = (
        log_weight
        + log_density(targets.x, at(p.x) + col, at(p.sigma_x))
        + log_density(targets.y, at(p.y) + row, at(p.sigma_y))
        + log_density(targets.z_nm, at(p.z_nm), at(p.sigma_z_nm))
        + log_density(targets.photons, at(p.photons), at(p.sigma_photons))
    )
    log_joint = log_joint.masked_fill(~within, -torch.inf)
    return -torch.logsumexp(log_joint.flatten(1), 1)


def cross_entropy_loss(logit: Tensor, occupancy: Tensor) -> Tensor:
    """Binary cross-entropy of detection, summed over each image's pixels, (N,)."""
    return F.binary_cross_entropy_with_logits(logit, occupancy, reduction="none").sum((1, 2))


def background_loss(bg: Tensor, true_bg: Tensor, scale: float) -> Tensor:
    """Mean squared error of the background in units of `scale`, (N,)."""
    return (((bg - true_bg) / scale) ** 2).mean((1, 2))


def loss_terms(prediction: Prediction, targets: Targets, bg_scale: float) -> dict[str, Tensor]:
    """All terms as scalars: detection terms and mixture per emitter, background per image."""
    emitters = max(len(targets.image), 1)
    terms = {
        "count": count_loss(prediction.logit, targets.counts()).sum() / emitters,
        "localization": localization_loss(prediction, targets).sum() / emitters,
        "cross_entropy": cross_entropy_loss(prediction.logit, targets.occupancy()).sum() / emitters,
    }
    if not torch.isnan(prediction.bg).any():
        terms["background"] = background_loss(prediction.bg, targets.bg, bg_scale).mean()
    return terms
