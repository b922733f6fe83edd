import numpy as np
import torch

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.matching.spots import Spots, find_spots, persistence
from napari_dilatedloc.matching.templates import template_bank
from napari_dilatedloc.psf.build import load_psf
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.emitters import EmitterBatch
from napari_dilatedloc.simulation.simulator import render_emitters

PSF = GaussianPSF(GaussianPSFConfig(roi_size=21))


def scene(psf, y, x, z_nm, photons, frames=1, size=(64, 64), bg=20.0):
    n = len(y)
    batch = EmitterBatch(
        movie=torch.zeros(n, dtype=torch.long),
        frame=torch.arange(n) % frames,
        id=torch.arange(n),
        y=torch.tensor(y),
        x=torch.tensor(x),
        z_nm=torch.tensor(z_nm),
        photons=torch.tensor(photons),
    )
    light = render_emitters(psf, batch, 1, frames, size) + bg
    return torch.poisson(light, generator=torch.Generator().manual_seed(1))


def test_bright_spots_are_found_where_they_are_with_their_photons():
    y, x = [12.0, 12.0, 40.0, 50.3], [12.0, 45.0, 20.0, 52.0]
    z, photons = [-600.0, 0.0, 300.0, 600.0], [4000.0, 2000.0, 3000.0, 5000.0]
    frames = scene(PSF, y, x, z, photons)
    noise = torch.full((1, 1, 1, 1), 20.0**0.5)
    found = find_spots(frames, torch.full((1, 1, 64, 64), 20.0), noise, template_bank(PSF))
    assert len(found) == 4
    order = np.lexsort((found.x, found.y))
    assert np.abs(found.y[order] - [12, 12, 40, 50]).max() <= 1
    assert np.abs(found.x[order] - [12, 45, 20, 52]).max() <= 1
    np.testing.assert_allclose(found.photons[order], photons, rtol=0.15)


def test_lobes_of_a_tetrapod_are_not_taken_for_molecules():
    psf = load_psf("tetrapod-3um")
    z = [-1400.0, 0.0, 1400.0]
    frames = scene(psf, [40.0] * 3, [40.0] * 3, z, [20_000.0] * 3, frames=3, size=(80, 80))
    noise = torch.full((1, 1, 1, 1), 20.0**0.5)
    found = find_spots(frames, torch.full((1, 1, 80, 80), 20.0), noise, template_bank(psf))
    bright = found.select(found.score > 0.3 * found.score.max())
    np.testing.assert_array_equal(bright.frame, [0, 1, 2])
    assert np.abs(bright.y - 40).max() <= 1
    assert np.abs(bright.x - 40).max() <= 1


def test_noise_alone_gives_no_spots():
    frames = scene(PSF, [30.0], [30.0], [0.0], [0.0], frames=20)
    noise = torch.full((1, 1, 1, 1), 20.0**0.5)
    bg = torch.full((1, 1, 64, 64), 20.0)
    assert len(find_spots(frames, bg, noise, template_bank(PSF))) == 0


def test_persistence_counts_the_same_place_in_the_next_frame():
    frame = np.array([0, 1, 0, 2, 3])  # the first two are one molecule
    y, x = np.array([10, 10, 30, 30, 50]), np.array([10, 11, 30, 30, 50])
    ones = np.ones(5)
    spots = Spots(0 * frame, frame, y, x, 0 * frame, 1000 * ones, 50 * ones)
    share, asked = persistence(spots, 4)
    assert asked == 4  # the last frame has no next one
    assert share == 0.25
