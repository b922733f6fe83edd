"""Accuracy of a network on a fixed simulated set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from napari_dilatedloc.camera import Camera
from napari_dilatedloc.config import CalibrationConfig, ScalingConfig
from napari_dilatedloc.evaluation import Evaluation, evaluate
from napari_dilatedloc.network.decode import decode, decoded_table
from napari_dilatedloc.network.output import normalize
from napari_dilatedloc.network.registry import as_network
from napari_dilatedloc.simulation.simulator import Simulator, to_table
from napari_dilatedloc.table import Emitters, Localizations

MOVIE_FRAMES = 10


@dataclass(frozen=True)
class ValidationSet:
    """Short movies (B, T, H, W) in ADU and the truth of their inner frames.

    ``frame`` of the truth counts output images: movie after movie, inner frame after inner frame.
    ``origin`` (B, 2) is where on the chip each movie begins, None where that changes nothing.
    """

    adu: Tensor
    truth: Emitters
    origin: Tensor | None = None


def make_validation_set(
    simulator: Simulator, *, frames: int, size: int, window: int, seed: int
) -> ValidationSet:
    """Fixed set of about `frames` output images of size x size px."""
    generator = torch.Generator().manual_seed(seed)
    movies = max(1, round(frames / MOVIE_FRAMES))
    length = MOVIE_FRAMES + window - 1
    batch = simulator.draw(movies, length, (size, size), generator)
    e = batch.emitters
    edge = window // 2
    e = e.select((e.frame >= edge) & (e.frame < length - edge))
    output = replace(e, frame=e.movie * MOVIE_FRAMES + e.frame - edge)
    return ValidationSet(batch.adu, to_table(output, (size, size)), batch.origin)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Network in evaluation mode, and back in the mode it was in."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


@torch.inference_mode()
def predict(
    network: nn.Module,
    adu: Tensor,
    camera: Camera,
    scaling: ScalingConfig,
    threshold: float,
    calibration: CalibrationConfig | None = None,
    origin: Tensor | None = None,
) -> Localizations:
    """Localizations of short movies (B, T, H, W), frames numbered as in `ValidationSet`.

    Without a calibration photons and error bars are what the network says. `origin` (B, 2) says
    where on the chip the movies begin, for a camera with maps.
    """
    parts = []
    size = (adu.shape[2], adu.shape[3])
    factors = calibration or CalibrationConfig()
    device = next(network.parameters()).device
    for i, movie in enumerate(adu):
        place = None if origin is None else origin[i : i + 1]
        photons = camera.at(place, size).to_photons(movie[None].to(camera.baseline.device))
        raw = network(normalize(photons, scaling).to(device))[0]
        d = decode(
            raw,
            threshold,
            channels=as_network(network).channels,
            scaling=scaling,
            calibration=factors,
        )
        found = decoded_table(d)
        parts.append(replace(found, frame=found.frame + i * len(raw)))
    return Localizations.concatenate(parts)


def validate(
    network: nn.Module,
    data: ValidationSet,
    *,
    camera: Camera,
    scaling: ScalingConfig,
    pixel_size_nm: float,
    threshold: float,
    min_photons: float,
) -> Evaluation:
    """Jaccard and RMSE of a network on the fixed set; dim truth counts neither way."""
    with evaluating(network):
        found = predict(network, data.adu, camera, scaling, threshold, origin=data.origin)
    return evaluate(found, data.truth, pixel_size_nm, min_photons=min_photons)
