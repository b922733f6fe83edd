"""All that is measured of a sample, the same way whether it is real or simulated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_dilatedloc.matching.background import (
    Background,
    clear_background,
    pixel_noise,
    rough_background,
)
from napari_dilatedloc.matching.first_fit import FirstFit, fit_isolated
from napari_dilatedloc.matching.sample import MovieSample
from napari_dilatedloc.matching.spots import Spots, find_spots, persistence
from napari_dilatedloc.matching.templates import TemplateBank
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.simulation.emitters import EmitterBatch
from napari_dilatedloc.simulation.simulator import render_emitters


@dataclass(frozen=True)
class Look:
    """What a sample shows.

    Attributes
    ----------
    background : Background
        In cells, photons.
    spots : Spots
        Above the threshold.
    fit : FirstFit or None
        Of isolated spots; None if there is none, or none was asked for.
    again : float
        Share of bright spots seen again in the next frame.
    asked : int
        Spots that `again` rests on.
    pixels : int
        Pixels times frames looked at.
    """

    background: Background
    spots: Spots
    fit: FirstFit | None
    again: float
    asked: int
    pixels: int

    @property
    def per_pixel(self) -> float:
        """Spots per pixel and frame."""
        return len(self.spots) / self.pixels


def look_at(sample: MovieSample, psf: PSF, bank: TemplateBank, *, fitted: bool = True) -> Look:
    """Find background and spots, fit those that stand alone, and see how long they stay.

    Parameters
    ----------
    sample : MovieSample
        Real or simulated frames.
    psf : PSF
        A fast one (`psf.compile.compile_psf`).
    bank : TemplateBank
        Of the same PSF.
    fitted : bool
        Whether isolated spots are fitted, which takes half of the time.
    """
    photons = sample.photons
    noise = pixel_noise(photons)
    rough = rough_background(photons).per_pixel(sample.size)
    spots = find_spots(photons, rough, noise, bank)
    light = _light(spots, psf, bank, sample)
    background = clear_background(photons, light, noise)
    fit = (
        fit_isolated(photons, sample.origin, spots, psf, bank, sample.chip.noise)
        if fitted
        else None
    )
    again, asked = persistence(spots, photons.shape[1])
    return Look(background, spots, fit, again, asked, photons.numel())


def _light(spots: Spots, psf: PSF, bank: TemplateBank, sample: MovieSample) -> Tensor:
    """What the spots give in each pixel, (R, L, H, W) photons."""
    runs, length = sample.adu.shape[:2]
    emitters = EmitterBatch(
        movie=torch.from_numpy(spots.run),
        frame=torch.from_numpy(spots.frame),
        id=torch.arange(len(spots)),
        y=torch.from_numpy(spots.y).float(),
        x=torch.from_numpy(spots.x).float(),
        z_nm=bank.z_nm[torch.from_numpy(spots.plane)],
        photons=torch.from_numpy(spots.photons).float(),
    )
    with torch.no_grad():
        return render_emitters(psf, emitters, runs, length, sample.size, sample.origin)
