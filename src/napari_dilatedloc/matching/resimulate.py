"""Simulated frames in the place of a sample's: same windows, background and camera."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from napari_dilatedloc.config import Range, SimulationConfig
from napari_dilatedloc.matching.background import spread_cells
from napari_dilatedloc.matching.sample import MovieSample
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.simulation.distributions import Z_95
from napari_dilatedloc.simulation.emitters import sample_emitters
from napari_dilatedloc.simulation.simulator import render_emitters


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
    z_quantiles_nm : tuple of float
        Quantiles of z at even steps of probability, the two ends included.
    """

    density_per_um2: float
    median_photons: float
    spread: float
    lifetime_frames: float
    z_quantiles_nm: tuple[float, ...]

    @property
    def z_range_nm(self) -> Range:
        """Smallest and largest z, nm."""
        return self.z_quantiles_nm[0], self.z_quantiles_nm[-1]

    @property
    def photons(self) -> Range:
        """5th and 95th percentile of the photons."""
        factor = math.exp(Z_95 * self.spread)
        return self.median_photons / factor, self.median_photons * factor

    def config(self) -> SimulationConfig:
        """Settings that draw such molecules; the background is not used."""
        return SimulationConfig(
            density_per_um2=(self.density_per_um2, self.density_per_um2),
            photons=self.photons,
            photon_distribution="lognormal",
            lifetime_frames=self.lifetime_frames,
            z_range_nm=self.z_range_nm,
            min_photons=0.0,
        )


def resimulate(
    sample: MovieSample, cells: Tensor, blinking: Blinking, psf: PSF, *, repeats: int, seed: int
) -> MovieSample:
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
    emitters = sample_emitters(
        blinking.config(),
        movies=runs * repeats,
        frames=length,
        size=sample.size,
        margin=psf.config.roi_size // 2,
        z_range_nm=(0.0, 1.0),  # a probability, which the quantiles turn into z
        pixel_size_nm=psf.config.pixel_size_nm,
        generator=generator,
    )
    z_nm = np.interp(
        emitters.z_nm.numpy(),
        np.linspace(0, 1, len(blinking.z_quantiles_nm)),
        blinking.z_quantiles_nm,
    )
    emitters = replace(emitters, z_nm=torch.from_numpy(z_nm.astype(np.float32)))
    bg = spread_cells(cells.clamp_min(0), sample.size).repeat(repeats, 1, 1, 1)
    with torch.no_grad():
        light = render_emitters(psf, emitters, runs * repeats, length, sample.size, origin)
    camera = sample.chip.at(origin, sample.size)
    return replace(
        sample,
        adu=camera.to_adu(light + bg, generator),
        origin=origin,
        first_frame=sample.first_frame * repeats,
    )
