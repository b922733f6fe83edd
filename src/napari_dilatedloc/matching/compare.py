"""Numbers of real and simulated frames side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

BINS = 120
RINGS = 32
CUT = (1e-5, 1 - 1e-5)
"""Quantiles of the pixels that the histograms reach from and to."""


@dataclass(frozen=True)
class Comparison:
    """Histograms and power spectra of photons.

    Attributes
    ----------
    edges : ndarray (120 + 1,)
        Bounds of the histograms' bins, photons; about 1e-5 of the pixels lie outside.
    real, simulated : ndarray (120,)
        Share of the pixels in each bin.
    frequency : ndarray (32,)
        Spatial frequency, cycles per pixel.
    real_power, simulated_power : ndarray (32,)
        Power of frames at these frequencies, mean over directions and frames, photons^2 per pixel:
        white noise of variance v gives v.
    """

    edges: Array
    real: Array
    simulated: Array
    frequency: Array
    real_power: Array
    simulated_power: Array

    @property
    def overlap(self) -> float:
        """Share of the histograms that is common to both, 0-1."""
        return float(np.minimum(self.real, self.simulated).sum())

    @property
    def power_ratio(self) -> tuple[float, float]:
        """Real over simulated power below and above a quarter of a cycle per pixel.

        Spots rule the lower half, noise the upper.
        """
        ratio = np.log(self.real_power / self.simulated_power)
        low = self.frequency < 0.25
        return float(np.exp(ratio[low].mean())), float(np.exp(ratio[~low].mean()))


def compare(real: Tensor, simulated: Tensor, photons_per_adu: float = 0.0) -> Comparison:
    """Compare frames.

    Parameters
    ----------
    real, simulated : Tensor (R, L, H, W)
        Photons; the numbers of runs may differ.
    photons_per_adu : float
        Bins get a whole number of counts each, so that none has more of them than its neighbour.
    """
    sides = [frames.flatten().numpy() for frames in (real, simulated)]
    ends = np.array([np.quantile(_thinned(side), CUT) for side in sides])
    low, high = ends[:, 0].min(), max(ends[:, 1].max(), ends[:, 0].min() + 1e-3)
    width = (high - low) / BINS
    if photons_per_adu > 0:
        width = photons_per_adu * np.ceil(width / photons_per_adu)
        low -= photons_per_adu / 2
    edges = np.asarray(low + width * np.arange(BINS + 1), dtype=np.float64)
    shares = [np.histogram(side, edges)[0] / side.size for side in sides]
    frequency, real_power = radial_power(real)
    _, simulated_power = radial_power(simulated)
    return Comparison(edges, shares[0], shares[1], frequency, real_power, simulated_power)


def _thinned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Evenly spaced million of the values, enough for quantiles."""
    return values[:: max(1, values.size // 1_000_000)]


def radial_power(frames: Tensor) -> tuple[Array, Array]:
    """Mean power over rings of spatial frequency.

    Parameters
    ----------
    frames : Tensor (..., H, W)
        Photons.

    Returns
    -------
    frequency, power : ndarray (32,)
        Cycles per pixel up to 0.5; photons^2 per pixel, so that white noise gives its variance.
    """
    height, width = frames.shape[-2:]
    window = torch.hann_window(height, False)[:, None] * torch.hann_window(width, False)
    flat = frames - frames.mean((-2, -1), keepdim=True)
    spectrum = torch.fft.rfft2(flat * window).abs() ** 2 / (window**2).sum()
    power = spectrum.flatten(0, -3).mean(0).numpy()
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    edges = np.linspace(0, 0.5, RINGS + 1)
    ring = np.digitize(np.hypot(fy, fx), edges) - 1
    inside = (ring < RINGS) & (np.hypot(fy, fx) > 0)
    count = np.bincount(ring[inside], minlength=RINGS)
    total = np.bincount(ring[inside], weights=power[inside], minlength=RINGS)
    centre = 0.5 * (edges[1:] + edges[:-1])
    mean = np.divide(total, count, out=np.full(RINGS, np.nan), where=count > 0)
    known = np.isfinite(mean) & (mean > 0)
    return centre, np.interp(centre, centre[known], mean[known]).astype(np.float64)
