"""What a network's numbers mean: raw channels to physical maps, photons to network input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_dilatedloc.config import CalibrationConfig, ScalingConfig, SimulationConfig

CHANNELS = (
    "prob",
    "x",
    "y",
    "z",
    "photons",
    "sigma_x",
    "sigma_y",
    "sigma_z",
    "sigma_photons",
    "bg",
)
REACH_PX = 1.5  # how far from its centre a pixel may place a localization
MAX_PULL, MAX_RIPPLE = 0.9, 0.09  # with both a density stays positive
UNIT_PX, UNIT_NM = 0.1, 25.0  # usual standard deviations, lateral and axial; see `stretched`
SIGMA_FLOOR_PX = 0.005
SIGMA_FLOOR = 0.001  # of z and photons, in units of their scales


@dataclass(frozen=True)
class Prediction:
    """Physical maps of a batch of frames, each (N, H, W).

    Attributes
    ----------
    logit : Tensor
        Logit of the probability that a molecule's centre lies in this pixel.
    x, y : Tensor
        Position relative to the pixel's centre, px.
    z_nm, photons, bg : Tensor
        Axial position in nm, photons, background photons per pixel.
    sigma_x, sigma_y, sigma_z_nm, sigma_photons : Tensor
        Predicted standard deviations of the errors, px, px, nm, photons.
    """

    logit: Tensor
    x: Tensor
    y: Tensor
    z_nm: Tensor
    photons: Tensor
    bg: Tensor
    sigma_x: Tensor
    sigma_y: Tensor
    sigma_z_nm: Tensor
    sigma_photons: Tensor

    @property
    def prob(self) -> Tensor:
        """Probability that a molecule's centre lies in this pixel, (N, H, W)."""
        return torch.sigmoid(self.logit)


def activate(raw: Tensor, channels: Sequence[str], scaling: ScalingConfig) -> Prediction:
    """Raw network output (N, C, H, W) to physical maps.

    Offsets and z are soft-limited and linear around 0; photons, background and standard
    deviations are positive. A network without a background channel gives NaN there.
    """
    maps = dict(zip(channels, raw.float().unbind(1), strict=True))
    reach_z = 1.2
    bg = maps.get("bg")
    return Prediction(
        logit=maps["prob"],
        x=REACH_PX * torch.tanh(maps["x"] / REACH_PX),
        y=REACH_PX * torch.tanh(maps["y"] / REACH_PX),
        z_nm=scaling.z_centre_nm + scaling.z_scale_nm * reach_z * torch.tanh(maps["z"] / reach_z),
        photons=scaling.photon_scale * F.softplus(maps["photons"]),
        bg=torch.full_like(maps["prob"], torch.nan)
        if bg is None
        else scaling.bg_scale * F.softplus(bg),
        sigma_x=F.softplus(maps["sigma_x"]) + SIGMA_FLOOR_PX,
        sigma_y=F.softplus(maps["sigma_y"]) + SIGMA_FLOOR_PX,
        sigma_z_nm=scaling.z_scale_nm * (F.softplus(maps["sigma_z"]) + SIGMA_FLOOR),
        sigma_photons=scaling.photon_scale * (F.softplus(maps["sigma_photons"]) + SIGMA_FLOOR),
    )


def calibrate(prediction: Prediction, calibration: CalibrationConfig) -> Prediction:
    """Same prediction with positions, photons and error bars that are true on average."""
    pull, ripple = calibration.pull_per_px2, calibration.ripple
    return replace(
        prediction,
        x=without_grid(prediction.x, prediction.sigma_x, pull, ripple),
        y=without_grid(prediction.y, prediction.sigma_y, pull, ripple),
        photons=prediction.photons * calibration.photons,
        sigma_x=stretched(prediction.sigma_x, calibration.sigma_x, calibration.power_x, UNIT_PX),
        sigma_y=stretched(prediction.sigma_y, calibration.sigma_y, calibration.power_y, UNIT_PX),
        sigma_z_nm=stretched(
            prediction.sigma_z_nm, calibration.sigma_z, calibration.power_z, UNIT_NM
        ),
        sigma_photons=prediction.sigma_photons * calibration.sigma_photons,
    )


def stretched(sigma: Tensor, factor: float, power: float, unit: float) -> Tensor:
    """Error bars that are true for sure and for unsure molecules alike.

    A network of few training hours makes too little of the difference between them: errors of
    molecules it is sure of are smaller than predicted, those of the others larger. So the
    predicted standard deviation s becomes ``factor * s * (s / unit)^(power - 1)``.

    Parameters
    ----------
    sigma : Tensor
        Predicted standard deviations.
    factor, power : float
        Of the calibration; with a power of 1 all are multiplied by the factor.
    unit : float
        Where the factor applies as it stands, in the unit of `sigma`.
    """
    if power == 1:
        return sigma * factor
    return factor * sigma * (sigma / unit) ** (power - 1)


def without_grid(offset: Tensor, sigma: Tensor, pull_per_px2: float, ripple: float) -> Tensor:
    """Offsets from the pixel's centre without the network's preference for some places.

    A pixel answers for molecules inside it, so where a network is unsure it answers nearer to the
    middle, and uncertain localizations paint a grid. A small preference for the quarters of a pixel
    or against them comes on top. Localizations lie at offset u with the density
    ``1 + c cos(2 pi u) + r cos(4 pi u)``, c = pull * sigma^2. The cumulative distribution of that,
    ``u + c sin(2 pi u) / (2 pi) + r sin(4 pi u) / (4 pi)``, spreads them evenly again (histogram
    equalization).

    Parameters
    ----------
    offset, sigma : Tensor
        x or y relative to a pixel's centre, and its predicted standard deviation, px.
    pull_per_px2, ripple : float
        The strengths; c is kept within +-0.9 and r within +-0.09, so that the order of places
        stays.
    """
    if pull_per_px2 == 0 and ripple == 0:
        return offset
    contrast = (pull_per_px2 * sigma**2).clamp(-MAX_PULL, MAX_PULL)
    ripple = min(max(ripple, -MAX_RIPPLE), MAX_RIPPLE)
    turn = 2 * torch.pi * offset
    moved: Tensor = contrast * torch.sin(turn) + ripple / 2 * torch.sin(2 * turn)
    return offset + moved / (2 * torch.pi)


def normalize(photons: Tensor, scaling: ScalingConfig) -> Tensor:
    """Photons to network input of order one; the shape stays."""
    return (photons - scaling.input_offset) / scaling.input_scale


def scaling_for(simulation: SimulationConfig, z_range_nm: tuple[float, float]) -> ScalingConfig:
    """Scaling that suits the ranges a network is trained over."""
    low, high = z_range_nm
    bg = sum(simulation.bg) / 2
    bright = simulation.photons[1]
    return ScalingConfig(
        input_offset=bg,
        input_scale=max(bright / 100, 1.0),
        z_scale_nm=(high - low) / 2,
        z_centre_nm=(high + low) / 2,
        photon_scale=bright / 2,
        bg_scale=max(simulation.bg[1], 1.0),
    )
