"""Error bars and photons of a network made true on average, after training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.config import CalibrationConfig, SimulationConfig
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.training.pairs import Pairs, joined, localize_simulated, pair_up

SEED = 20241005  # not that of the test set, of the validation set or of any training
OUTLIER = 5.0  # z-scores beyond it are taken as this
EMITTERS = 4000
MAX_FRAMES = 600
FEWEST = 100  # pairs; with less a factor says nothing


def fit_calibration(
    model: Model, simulator: Simulator, *, frames: int, min_photons: float, seed: int = SEED
) -> CalibrationConfig:
    """Factors that suit a network, from movies of a simulator.

    Parameters
    ----------
    model : Model
        What it is calibrated with already is not looked at.
    simulator : Simulator
        Movies like those the network is used on; see `calibration_simulation`.
    frames : int
        Frames of 128 x 128 px.
    min_photons : float
        Dimmer emitters are left out.
    seed : int
        Of the movies.
    """
    data = joined(list(localize_simulated(model, simulator, frames=frames, seed=seed)))
    pairs = pair_up(data, simulator.psf.config.pixel_size_nm, min_photons)
    return calibration_of(pairs.only_found())


def calibration_of(pairs: Pairs) -> CalibrationConfig:
    """Factors that make photons right in the sum and z-scores have a mean square of one.

    Photons come first; their errors are those after the correction. A localization that was
    paired with another molecule than its own has a z-score of any size and would rule a mean
    square, so those beyond 5 count as 5: of a normal distribution that takes off nothing.

    With fewer than 100 pairs every factor is 1.
    """
    if len(pairs) < FEWEST:
        return CalibrationConfig()
    found = pairs.photons + pairs.error_photons
    photons = float(pairs.photons.sum() / found.sum())
    scores = {name: pairs.z_scores(name) for name in ("x", "y", "z_nm")}
    scores["photons"] = (photons * found - pairs.photons) / pairs.sigma_photons
    factors = {name.removesuffix("_nm"): _spread(values) for name, values in scores.items()}
    sigmas = {f"sigma_{name}": value for name, value in factors.items()}
    return CalibrationConfig(photons=photons, **sigmas)


def calibration_simulation(
    training: SimulationConfig, density_per_um2: float
) -> SimulationConfig:
    """What a network is calibrated on: its training's photons, background and heights.

    The density is one at which most molecules stand alone, as close to `density_per_um2` as the
    training comes: in a crowd errors are mostly those of neighbours taken for each other.
    """
    low, high = training.density_per_um2
    density = min(max(density_per_um2, low), high)
    return training.replace(
        density_per_um2=(density, density), density_distribution="uniform", density_contrast=0.0
    )


def _spread(z_scores: NDArray[np.float64]) -> float:
    """Root mean square of z-scores whose tails were cut."""
    return float(np.sqrt(np.mean(np.clip(z_scores, -OUTLIER, OUTLIER) ** 2)))
