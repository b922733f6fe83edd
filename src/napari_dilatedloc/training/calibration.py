"""Threshold, error bars and photons of a network set after training, by simulated movies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq

from napari_dilatedloc.config import CalibrationConfig, SimulationConfig
from napari_dilatedloc.evaluation import evaluate
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.network.output import (
    MAX_RIPPLE,
    UNIT_NM,
    UNIT_PX,
    stretched,
    without_grid,
)
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.training.pairs import Localized, Pairs, joined, localize_simulated, pair_up

SEED = 20241005  # not that of the test set, of the validation set or of any training
OUTLIER = 5.0  # z-scores beyond it are taken as this
FEWEST = 100  # pairs; with less a factor says nothing
GROUPS = 10
LEAST_RANGE = 0.3  # of the logarithm of predicted errors, to tell a power from
POWERS = (0.7, 2.0)  # within which that of error bars is kept
PULLS = (-20.0, 60.0)  # per px^2, between which it is looked for
ENOUGH_FOR_RIPPLE = 20_000  # pairs; fewer tell it no better than 0.02, about as large as it is
THRESHOLDS = tuple(step / 20 for step in range(4, 16))  # 0.2 to 0.75


Floats64 = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """What is set after training: detection threshold and calibration."""

    threshold: float
    calibration: CalibrationConfig


def fit_calibration(
    model: Model,
    simulator: Simulator,
    *,
    frames: int,
    min_photons: float,
    seed: int = SEED,
    progress: Callable[[float], None] | None = None,
) -> Fitted:
    """Threshold and factors that suit a network, from movies of a simulator.

    Parameters
    ----------
    model : Model
        Its threshold and what it is calibrated with already are not looked at.
    simulator : Simulator
        Movies like those the network is used on; see `calibration_simulation`.
    frames : int
        Frames of 128 x 128 px.
    min_photons : float
        Dimmer emitters are left out.
    seed : int
        Of the movies.
    progress : callable, optional
        Told the share done, 0-1.
    """
    parts: list[Localized] = []
    open_model = replace(model, info=model.info.replace(threshold=THRESHOLDS[0]))
    for part in localize_simulated(open_model, simulator, frames=frames, seed=seed):
        parts.append(part)
        if progress is not None:
            progress(min(1.0, sum(p.frames for p in parts) / frames))
    data, pixel_size_nm = joined(parts), simulator.psf.config.pixel_size_nm
    threshold = best_threshold(data, pixel_size_nm, min_photons)
    data = replace(data, found=data.found[data.found.prob > threshold])
    return Fitted(threshold, calibration_of(pair_up(data, pixel_size_nm, min_photons)))


def best_threshold(data: Localized, pixel_size_nm: float, min_photons: float) -> float:
    """Threshold between 0.2 and 0.75 with the largest Jaccard; of equals the nearest to 0.5.

    A network of few training hours is rarely sure of dim or wide spots. It then says 0.4 where it
    is right more often than not, and half of the molecules it knows of would be lost at 0.5.
    """

    def merit(threshold: float) -> tuple[float, float]:
        kept = data.found[data.found.prob > threshold]
        score = evaluate(kept, data.truth, pixel_size_nm, min_photons=min_photons).jaccard
        return np.nan_to_num(score), -abs(threshold - 0.5)

    return max(THRESHOLDS, key=merit)


def calibration_of(pairs: Pairs) -> CalibrationConfig:
    """What makes photons right in the median, and z-scores have a mean square of one.

    Photons and preferred places in the pixel come first; errors are those after their correction.
    Then the powers of the predicted errors (`power_of`), then their factors. A localization that
    was paired with another molecule than its own has a z-score of any size and would rule a mean
    square, so those beyond 5 count as 5: of a normal distribution that takes off nothing.

    With fewer than 100 pairs nothing is changed.
    """
    if pairs.paired.sum() < FEWEST:
        return CalibrationConfig()
    pull = pull_of(pairs)
    ripple = ripple_of(pairs, pull) if pairs.paired.sum() >= ENOUGH_FOR_RIPPLE else 0.0
    pairs = _released(pairs, pull, ripple).only_found()
    found = pairs.photons + pairs.error_photons
    # not the sums: of the dimmest only those are found that look brighter than they are
    photons = float(1 / np.median(found / pairs.photons))
    fitted = {"sigma_photons": _spread((photons * found - pairs.photons) / pairs.sigma_photons)}
    for axis, name, unit in (("x", "x", UNIT_PX), ("y", "y", UNIT_PX), ("z", "z_nm", UNIT_NM)):
        sigma, error = getattr(pairs, f"sigma_{name}"), getattr(pairs, f"error_{name}")
        power = power_of(sigma, error)
        bars = stretched(torch.as_tensor(sigma), 1.0, power, unit).numpy()
        fitted |= {f"power_{axis}": power, f"sigma_{axis}": _spread(error / bars)}
    return CalibrationConfig(photons=photons, pull_per_px2=pull, ripple=ripple, **fitted)


def power_of(sigma: Floats64, error: Floats64) -> float:
    """Power of predicted standard deviations to which the actual errors rise.

    It is the slope of a line through the logarithms of predicted and actual error in ten equally
    large groups of rising prediction. The actual error of a group is the one that 68.3% of it do
    not exceed, which wrong pairings do not rule. 1 where the predictions hardly differ.

    Parameters
    ----------
    sigma, error : ndarray (N,)
        In one unit, at least `FEWEST`.
    """
    groups = [group for group in np.array_split(np.argsort(sigma), GROUPS) if len(group)]
    predicted = np.log([np.median(sigma[group]) for group in groups])
    actual = np.log([max(np.quantile(np.abs(error[group]), 0.683), 1e-12) for group in groups])
    if predicted[-1] - predicted[0] < LEAST_RANGE:
        return 1.0
    return float(np.clip(np.polyfit(predicted, actual, 1)[0], *POWERS))


def pull_of(pairs: Pairs) -> float:
    """Pull per px^2 after whose removal no sub-pixel phase is preferred, see `without_grid`.

    It is where the mean of ``cos(2 pi x)`` over what was found equals that of the truth, x and y
    together.
    """
    return _balance(lambda pull: _surplus(pairs, pull, 0.0, waves=1), *PULLS)


def ripple_of(pairs: Pairs, pull: float) -> float:
    """Ripple after whose removal, and that of a pull, ``cos(4 pi x)`` is as in the truth."""
    return _balance(lambda ripple: _surplus(pairs, pull, ripple, waves=2), -MAX_RIPPLE, MAX_RIPPLE)


def _surplus(pairs: Pairs, pull: float, ripple: float, *, waves: int) -> float:
    """What is left of a wave over the pixel when preferred places are taken off."""
    left = _released(pairs, pull, ripple).only_found()
    surplus = 0.0
    for axis in "xy":
        true = getattr(pairs, axis)
        place = getattr(left, axis) + getattr(left, f"error_{axis}")
        for sign, where in ((1, place), (-1, true)):
            surplus += sign * np.cos(2 * np.pi * waves * where).mean()
    return float(surplus)


def _balance(surplus: Callable[[float], float], low: float, high: float) -> float:
    """Where a surplus is nil; 0 if that cannot be brought about."""
    if surplus(low) * surplus(high) > 0:
        return 0.0
    return float(brentq(surplus, low, high, xtol=1e-4))


def calibration_simulation(training: SimulationConfig, density_per_um2: float) -> SimulationConfig:
    """What a network is calibrated on: its training's photons, background and heights.

    The density is one at which most molecules stand alone, as close to `density_per_um2` as the
    training comes: in a crowd errors are mostly those of neighbours taken for each other.
    """
    low, high = training.density_per_um2
    density = min(max(density_per_um2, low), high)
    return training.replace(
        density_per_um2=(density, density), density_distribution="uniform", density_contrast=0.0
    )


def _released(pairs: Pairs, pull: float, ripple: float) -> Pairs:
    """Same pairs with positions as they are without preferred places in the pixel."""
    changed = {}
    for axis in "xy":
        error, sigma = getattr(pairs, f"error_{axis}"), getattr(pairs, f"sigma_{axis}")
        place = torch.as_tensor(getattr(pairs, axis) + error)  # centres are whole numbers: u = x
        moved = without_grid(place, torch.as_tensor(sigma), pull, ripple)
        changed[f"error_{axis}"] = error + (moved - place).numpy()
    return replace(pairs, **changed)


def _spread(z_scores: Floats64) -> float:
    """Root mean square of z-scores whose tails were cut."""
    return float(np.sqrt(np.mean(np.clip(z_scores, -OUTLIER, OUTLIER) ** 2)))
