"""Random numbers of photons, densities and on-times.

A range (low, high) is the two ends of a uniform distribution and the 5th and 95th percentiles of a
gamma or log-normal one. On-times spread about a mean: exponential (one rate of switching off),
uniform from 0 to twice the mean, gamma of shape 2 (two steps until dark) or log-normal.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from scipy.optimize import brentq
from scipy.special import gammaincinv
from torch import Tensor

from napari_dilatedloc.config import Distribution, LifetimeDistribution, Range

PERCENTILES = (0.05, 0.95)
Z_95 = 1.6448536269514722  # 95th percentile of the standard normal distribution
LIFETIME_SHAPE = 2.0
"""Shape of gamma on-times."""
LIFETIME_SPREAD = 0.8
"""Standard deviation of the logarithm of log-normal on-times."""


def uniform(n: int, bounds: Range, generator: torch.Generator) -> Tensor:
    """`n` numbers drawn evenly between two bounds, on the generator's device."""
    low, high = bounds
    drawn = torch.rand(n, generator=generator, device=generator.device)
    return low + (high - low) * drawn


def draw_between(
    n: int, bounds: Range, distribution: Distribution, generator: torch.Generator
) -> Tensor:
    """`n` numbers of a distribution set by two bounds.

    Parameters
    ----------
    n : int
        How many.
    bounds : tuple of float
        Ends of "uniform", 5th and 95th percentiles of "gamma" and "lognormal" (both above 0).
    distribution : str
        One of these three.
    generator : torch.Generator
        Source of randomness; its device is that of the result.

    Returns
    -------
    Tensor float32 (n,)
    """
    low, high = bounds
    if distribution == "uniform" or low == high:
        return uniform(n, bounds, generator)
    if distribution == "gamma":
        shape, scale = gamma_parameters(low, high)
        return scale * _gamma(n, shape, generator)
    spread = math.log(high / low) / (2 * Z_95)
    return _lognormal(n, 0.5 * math.log(low * high), spread, generator)


def draw_on_times(
    n: int,
    mean: float,
    distribution: LifetimeDistribution,
    generator: torch.Generator,
    *,
    already_on: bool = False,
) -> Tensor:
    """On-times of `n` molecules, in the unit of their `mean`.

    Parameters
    ----------
    n, mean, distribution, generator
        See the head of this file.
    already_on : bool
        Of molecules met shining at a given moment. Long on-times are met more often: their density
        is t p(t) / mean, which is a gamma of one shape more, the log-normal moved by its variance,
        and a rising line (Cox, Renewal Theory, 1962, ch. 5).

    Returns
    -------
    Tensor float32 (n,)
    """
    if distribution == "uniform":
        drawn = uniform(n, (0.0, 1.0), generator)
        return 2 * mean * (drawn.sqrt() if already_on else drawn)
    if distribution == "lognormal":
        centre = math.log(mean) - 0.5 * LIFETIME_SPREAD**2
        moved = centre + LIFETIME_SPREAD**2 if already_on else centre
        return _lognormal(n, moved, LIFETIME_SPREAD, generator)
    shape = LIFETIME_SHAPE if distribution == "gamma" else 1.0
    return mean / shape * _gamma(n, shape + 1 if already_on else shape, generator)


@lru_cache(maxsize=64)
def gamma_parameters(low: float, high: float) -> tuple[float, float]:
    """Shape and scale of the gamma distribution with these 5th and 95th percentiles.

    The ratio of the percentiles depends on the shape alone and falls with it.
    """
    wanted = math.log(high / low)

    def excess(log_shape: float) -> float:
        q_low, q_high = gammaincinv(math.exp(log_shape), PERCENTILES)
        # a tiny shape puts the lower percentile below the smallest number
        return math.log(max(q_high, 1e-300) / max(q_low, 1e-300)) - wanted

    most = 2 * math.log(2 * Z_95 / wanted) + 1  # a narrow gamma is a normal distribution
    shape = math.exp(brentq(excess, math.log(0.01), max(most, 3.0)))
    return shape, high / float(gammaincinv(shape, PERCENTILES[1]))


def _gamma(n: int, shape: float, generator: torch.Generator) -> Tensor:
    shapes = torch.full((n,), shape, device=generator.device)
    return torch._standard_gamma(shapes, generator=generator)


def _lognormal(n: int, centre: float, spread: float, generator: torch.Generator) -> Tensor:
    normal = torch.randn(n, generator=generator, device=generator.device)
    return torch.exp(centre + spread * normal)
