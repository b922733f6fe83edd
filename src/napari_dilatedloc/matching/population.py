"""Which molecules, seen or not, explain the spots of a movie.

A threshold shows the bright molecules near focus. How many more there are follows from frames that
were simulated with known molecules: each simulated spot speaks for the molecule it came from, and
counts as often as a molecule of these photons at this height is more likely under another guess
than under the one that was simulated (importance sampling). So the spots that any guess predicts
are known without simulating it, and the guess that makes the spots seen most likely is looked for
(Poisson counts of spots by photons and height, log-normal photons, any distribution of z).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize
from scipy.spatial import cKDTree

from napari_dilatedloc.matching.resimulate import Blinking, Resimulated
from napari_dilatedloc.matching.spots import Spots

BOUNDS = (0.25, 0.5, 0.75, 0.95, 1.0)
"""Quantiles of the spots' photons between the classes they are counted in: above the last there is
none in the movie, and shall be few in what is simulated."""
OWN_PX = 3.0
"""A spot belongs to a molecule within this distance."""
USUAL_SPREAD, SPREAD_ROOM = 0.5, 0.3
"""Standard deviation of log photons expected beforehand, and the same of its own logarithm: what is
measured of single dyes lies between about 0.25 and 1. It rules where spots are few or dim."""
SMOOTH_Z = 0.5
"""Change of log density expected from one slice of z to the next, standard deviation."""
STEP_PHOTONS, STEP_SPREAD, STEP_DENSITY = 0.7, 0.4, 1.5
"""Largest change of the logarithms in one round, beyond which simulated spots say little."""
LEAST_DENSITY = 0.01
"""Of a slice of z relative to the mean, so that the next simulation has molecules there."""
CHANCE_SPOTS = 0.1
"""Added to the spots expected in each class, which may be none by chance."""
SPREADS = (0.05, 1.5)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Classes:
    """Kinds of spots by photons and height.

    Attributes
    ----------
    bounds : ndarray (B,)
        Log photons between the classes.
    planes : int
        Heights of the template bank.
    """

    bounds: Floats
    planes: int

    @classmethod
    def of(cls, spots: Spots, planes: int) -> Classes:
        """Classes that suit the spots of a movie."""
        return cls(np.quantile(np.log(spots.photons), BOUNDS), planes)

    def __len__(self) -> int:
        return (len(self.bounds) + 1) * self.planes

    def number(self, spots: Spots) -> Ints:
        """Class of each spot, (N,)."""
        return np.searchsorted(self.bounds, np.log(spots.photons)) * self.planes + spots.plane

    def count(self, spots: Spots) -> Ints:
        """Spots in each class, (len(self),)."""
        return np.bincount(self.number(spots), minlength=len(self))


@dataclass(frozen=True)
class Evidence:
    """Simulated spots with the molecules they came from.

    Attributes
    ----------
    number : ndarray (M,)
        Class of each spot.
    log_photons, slice : ndarray (M,)
        Of its molecule: logarithm of the photons when fully on, slice of z.
    log_weight : ndarray (M,)
        Logarithm of the spots of the movie one of these stands for, over the density (per um2)
        of such molecules.
    others : ndarray (C,)
        Spots of no molecule in each class: noise, side lobes. They stay as they are.
    """

    number: Ints
    log_photons: Floats
    slice: Ints
    log_weight: Floats
    others: Floats


def gather(
    spots: Spots, simulated: Resimulated, guess: Blinking, classes: Classes, worth: float
) -> Evidence:
    """What simulated spots tell.

    Parameters
    ----------
    spots : Spots
        Found in the simulated frames.
    simulated : Resimulated
        Frames with their truth.
    guess : Blinking
        What was simulated.
    classes : Classes
        Of the movie's spots.
    worth : float
        Pixels of the movie's sample over simulated ones.
    """
    own = _own(spots, simulated)
    known = own >= 0
    number = classes.number(spots)
    log_photons = np.log(simulated.full_photons.double().numpy())[own[known]]
    z_nm = simulated.emitters.z_nm.double().numpy()[own[known]]
    inner = np.asarray(guess.z_edges_nm[1:-1])
    where = np.searchsorted(inner, z_nm)
    score = (log_photons - math.log(guess.median_photons)) / guess.spread
    density = guess.density_per_um2 * np.asarray(guess.z_shares)[where]
    return Evidence(
        number=number[known],
        log_photons=log_photons,
        slice=where,
        log_weight=math.log(worth) + 0.5 * score**2 + math.log(guess.spread) - np.log(density),
        others=worth * np.bincount(number[~known], minlength=len(classes)).astype(np.float64),
    )


def _own(spots: Spots, simulated: Resimulated) -> Ints:
    """Entry of the molecule each spot is of, bright and near, (N,); -1 where there is none."""
    emitters = simulated.emitters
    length = simulated.sample.adu.shape[1]
    gap = 100 * OWN_PX  # frames lie so far apart that none meets another
    image = (emitters.movie * length + emitters.frame).numpy() * gap
    tree = cKDTree(np.column_stack([emitters.y.numpy(), emitters.x.numpy(), image]))
    at = np.column_stack([spots.y, spots.x, (spots.run * length + spots.frame) * gap])
    found = tree.query(at, k=5, distance_upper_bound=OWN_PX)
    distance, near = np.asarray(found[0]), np.asarray(found[1])
    photons = np.append(emitters.photons.numpy(), 0.0)[near]  # the last stands for none
    likely = photons * np.exp(-0.5 * distance**2)  # a spot is found to about a pixel
    own = near[np.arange(len(near)), likely.argmax(1)]
    return np.where(np.isfinite(distance[:, 0]), own, -1)


def most_likely(counts: Ints, evidence: Sequence[Evidence], guess: Blinking) -> Blinking:
    """Guess near the given one under which these spots are most likely.

    Parameters
    ----------
    counts : ndarray (C,)
        Spots of the movie in each class.
    evidence : sequence of Evidence
        Of one or more simulations; they count alike.
    guess : Blinking
        Where to begin; on-times are kept.
    """
    joined = _joined(evidence)
    shares = np.asarray(guess.z_shares)
    start = np.concatenate(
        [
            [math.log(guess.median_photons), math.log(guess.spread)],
            np.log(guess.density_per_um2 * shares),
        ]
    )
    step = np.array([STEP_PHOTONS, STEP_SPREAD, *np.full(len(shares), STEP_DENSITY)])

    def unlikeliness(values: Floats) -> tuple[float, Floats]:
        return _unlikeliness(values, counts, joined)

    bounds = Bounds(start - step, start + step)
    found = minimize(unlikeliness, start, method="L-BFGS-B", jac=True, bounds=bounds).x
    densities = np.exp(found[2:])
    densities = np.maximum(densities, LEAST_DENSITY * densities.mean())
    return replace(
        guess,
        density_per_um2=float(densities.sum()),
        median_photons=math.exp(found[0]),
        spread=float(np.clip(math.exp(found[1]), *SPREADS)),
        z_shares=tuple(float(share) for share in densities / densities.sum()),
    )


def _joined(evidence: Sequence[Evidence]) -> Evidence:
    """Several simulations as one of as many frames."""

    def joint(name: str) -> Any:
        return np.concatenate([getattr(one, name) for one in evidence])

    return Evidence(
        number=joint("number"),
        log_photons=joint("log_photons"),
        slice=joint("slice"),
        log_weight=joint("log_weight") - math.log(len(evidence)),
        others=np.mean([one.others for one in evidence], axis=0),
    )


def _unlikeliness(values: Floats, counts: Ints, evidence: Evidence) -> tuple[float, Floats]:
    """Negative log of probability of the spots times that of the guess, and its gradient.

    `values` are the logarithms of median photons, of their spread, and of the density in each
    slice of z, per um2.
    """
    e = evidence
    centre, log_spread, densities = values[0], values[1], values[2:]
    score = (e.log_photons - centre) * math.exp(-log_spread)
    weight = np.exp(e.log_weight - 0.5 * score**2 - log_spread + densities[e.slice])
    expected = np.bincount(e.number, weight, len(counts)) + e.others + CHANCE_SPOTS
    prior = (log_spread - math.log(USUAL_SPREAD)) / SPREAD_ROOM
    change = np.diff(densities) / SMOOTH_Z
    value = (expected - counts * np.log(expected)).sum() + 0.5 * (prior**2 + (change**2).sum())
    pull = weight * (1 - counts / expected)[e.number]
    gradient = np.concatenate(
        [
            [(pull * score).sum() * math.exp(-log_spread)],
            [(pull * (score**2 - 1)).sum() + prior / SPREAD_ROOM],
            np.bincount(e.slice, pull, len(densities)),
        ]
    )
    gradient[2:-1] -= change / SMOOTH_Z
    gradient[3:] += change / SMOOTH_Z
    return float(value), gradient
