"""Simulated frames in the place of a sample's: same windows, background and camera."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.config import Range, SimulationConfig
from napari_dilatedloc.matching.background import spread_cells
from napari_dilatedloc.matching.sample import MovieSample
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.simulation.distributions import Z_95
from napari_dilatedloc.simulation.emitters import EmitterBatch, sample_emitters
from napari_dilatedloc.simulation.simulator import render_emitters

OUTERMOST = 0.02
"""Part of the molecules that the range of z leaves out at each end."""


@dataclass(frozen=True)
class Blinking:
    """One guess of how molecules shine.

    Attributes
    ----------
    density_per_um2 : float
        Molecules that shine during any part of a frame.
    median_photons, spread : float
        Of a molecule fully on in a frame: median, and standard deviation of the logarithm.
    lifetime_frames : float
        Mean on-time.
    z_edges_nm : tuple of float
        Bounds of the slices of z, ascending.
    z_shares : tuple of float
        Part of the molecules in each slice, evenly within it; the sum is 1.
    """

    density_per_um2: float
    median_photons: float
    spread: float
    lifetime_frames: float
    z_edges_nm: tuple[float, ...]
    z_shares: tuple[float, ...]

    @property
    def z_range_nm(self) -> Range:
        """2nd and 98th percentile of z, nm."""
        low, high = self.z_nm(np.array([OUTERMOST, 1 - OUTERMOST]))
        return float(low), float(high)

    @property
    def photons(self) -> Range:
        """5th and 95th percentile of the photons."""
        factor = math.exp(Z_95 * self.spread)
        return self.median_photons / factor, self.median_photons * factor

    def z_nm(self, probability: NDArray[np.floating]) -> NDArray[np.float64]:
        """Quantiles of z, nm."""
        reached = np.concatenate([[0.0], np.cumsum(self.z_shares)])
        quantiles: NDArray[np.float64] = np.interp(probability, reached, self.z_edges_nm)
        return quantiles


@dataclass(frozen=True)
class Resimulated:
    """Simulated frames and their truth.

    Attributes
    ----------
    sample : MovieSample
        The frames.
    emitters : EmitterBatch
        One entry per molecule per frame; ``movie`` is the run, ``frame`` that of the run.
    full_photons : Tensor (N,)
        Photons a frame the molecule of each entry has when it is fully on.
    """

    sample: MovieSample
    emitters: EmitterBatch
    full_photons: Tensor


def resimulate(
    sample: MovieSample, cells: Tensor, blinking: Blinking, psf: PSF, *, repeats: int, seed: int
) -> Resimulated:
    """Frames like those of a sample.

    Parameters
    ----------
    sample : MovieSample
        Gives windows, length of runs and camera.
    cells : Tensor (R, h, w)
        Background of each run in cells, photons per pixel.
    blinking : Blinking
        How molecules shine.
    psf : PSF
        A fast one.
    repeats : int
        How often each run is simulated, for firmer numbers from a short movie.
    seed : int
        Same seed, same frames.
    """
    generator = torch.Generator().manual_seed(seed)
    runs, length = sample.adu.shape[:2]
    origin = sample.origin.repeat(repeats, 1)
    emitters, full_photons = _molecules(
        blinking, runs * repeats, length, sample.size, psf, generator
    )
    bg = spread_cells(cells.clamp_min(0), sample.size).repeat(repeats, 1, 1, 1)
    with torch.no_grad():
        light = render_emitters(psf, emitters, runs * repeats, length, sample.size, origin)
    camera = sample.chip.at(origin, sample.size)
    frames = replace(
        sample,
        adu=camera.to_adu(light + bg, generator),
        origin=origin,
        first_frame=sample.first_frame * repeats,
    )
    return Resimulated(frames, emitters, full_photons)


def _molecules(
    blinking: Blinking,
    runs: int,
    length: int,
    size: tuple[int, int],
    psf: PSF,
    generator: torch.Generator,
) -> tuple[EmitterBatch, Tensor]:
    """Emitters of all runs, and the photons each entry's molecule has when it is fully on."""
    density = blinking.density_per_um2
    emitters = sample_emitters(
        SimulationConfig(
            density_per_um2=(density, density),
            photons=(1.0, 1.0),  # gives the part of the frame each molecule is on
            lifetime_frames=blinking.lifetime_frames,
            min_photons=0.0,
        ),
        movies=runs,
        frames=length,
        size=size,
        margin=psf.config.roi_size // 2,
        z_range_nm=(0.0, 1.0),  # a probability, which the guess turns into z
        pixel_size_nm=psf.config.pixel_size_nm,
        generator=generator,
    )
    molecules = int(emitters.id.max()) + 1 if len(emitters.id) else 0
    normal = torch.randn(molecules, generator=generator)[emitters.id]
    full = blinking.median_photons * torch.exp(blinking.spread * normal)
    z_nm = torch.from_numpy(blinking.z_nm(emitters.z_nm.numpy()).astype(np.float32))
    return replace(emitters, z_nm=z_nm, photons=emitters.photons * full), full
