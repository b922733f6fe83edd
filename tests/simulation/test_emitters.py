import numpy as np
import pytest
import torch

from napari_dilatedloc.config import SimulationConfig
from napari_dilatedloc.simulation.emitters import EmitterBatch, sample_emitters, spread_over_frames

CONFIG = SimulationConfig(density_per_um2=(0.5, 0.5), photons=(1000, 5000), bg=(20, 20))
LIFETIMES = ["exponential", "uniform", "gamma", "lognormal"]


def draw(config, frames=20, movies=60, seed=0, size=(100, 100), margin=0):
    return sample_emitters(
        config,
        movies=movies,
        frames=frames,
        size=size,
        margin=margin,
        z_range_nm=(-500, 300),
        pixel_size_nm=100,
        generator=torch.Generator().manual_seed(seed),
    )


@pytest.mark.parametrize("lifetime", [0.3, 4.0])
@pytest.mark.parametrize("distribution", LIFETIMES)
def test_density_is_true_in_every_frame_for_every_lifetime(distribution, lifetime):
    config = CONFIG.replace(lifetime_distribution=distribution, lifetime_frames=lifetime)
    e = draw(config)
    counts = torch.bincount(e.frame, minlength=20).double() / 60
    assert counts.mean().item() == pytest.approx(50, rel=0.03)  # 0.5 on 10 x 10 um
    # steady: no rise or fall from the first frame to the last
    assert counts[0].item() == pytest.approx(50, rel=0.08)
    assert counts[-1].item() == pytest.approx(50, rel=0.08)


@pytest.mark.parametrize("distribution", LIFETIMES)
def test_light_is_as_steady_as_the_number(distribution):
    config = CONFIG.replace(lifetime_distribution=distribution, photons=(1000, 1000))
    e = draw(config)
    light = torch.zeros(20).index_add_(0, e.frame, e.photons) / 60
    # r molecules switch on per frame and give L frames of light: 50 L / (L + 1), L = 2
    assert light.numpy() == pytest.approx(1000 * 50 * 2 / 3, rel=0.08)


@pytest.mark.parametrize("contrast", [0.0, 0.5, 1.0])
def test_mean_density_is_true_however_uneven(contrast):
    e = draw(CONFIG.replace(density_contrast=contrast), margin=7, size=(86, 86))
    assert len(e.id) / (20 * 60) == pytest.approx(50, rel=0.03)
    assert e.y.min() >= -7.5
    assert e.x.max() <= 92.5


def test_contrast_makes_crowded_and_empty_regions():
    def crowding(contrast):
        config = CONFIG.replace(density_contrast=contrast, density_per_um2=(3, 3))
        e = draw(config, frames=1, movies=20)
        cell = (e.y / 10).long().clamp(0, 9) * 10 + (e.x / 10).long().clamp(0, 9)
        counts = torch.bincount(e.movie * 100 + cell, minlength=2000).double()
        return (counts.var() / counts.mean()).item()

    assert crowding(0.0) == pytest.approx(1, abs=0.15)  # Poisson
    assert crowding(1.0) > 1.4


def test_density_and_photons_follow_their_distributions():
    config = SimulationConfig(
        density_per_um2=(0.1, 1.0),
        density_distribution="lognormal",
        photons=(1000, 5000),
        photon_distribution="gamma",
        lifetime_frames=20,
    )
    e = draw(config, frames=3, movies=300)
    full = e.photons[e.frame == 1]
    assert (full > 5000).double().mean().item() == pytest.approx(0.05, abs=0.02)
    per_movie = torch.bincount(e.movie, minlength=300) / 300
    assert (per_movie > 1.1).sum() > 3
    assert per_movie.median().item() == pytest.approx(np.sqrt(0.1), rel=0.15)


def test_shares_of_frames_are_those_of_the_on_time():
    n = torch.zeros(3, dtype=torch.long)
    molecules = EmitterBatch(n, n, torch.arange(3), *torch.zeros(3, 3), torch.full((3,), 100.0))
    start = torch.tensor([-1.5, 0.25, 2.0])
    end = torch.tensor([0.75, 0.5, 9.0])
    e = spread_over_frames(molecules, start, end, 4)
    assert e.id.tolist() == [0, 1, 2, 2]
    assert e.frame.tolist() == [0, 0, 2, 3]
    assert e.photons.tolist() == pytest.approx([75, 25, 100, 100])


def test_a_molecule_that_was_on_before_or_comes_later_gives_nothing():
    n = torch.zeros(2, dtype=torch.long)
    molecules = EmitterBatch(n, n, torch.arange(2), *torch.zeros(3, 2), torch.full((2,), 100.0))
    e = spread_over_frames(molecules, torch.tensor([-3.0, 4.0]), torch.tensor([-1.0, 5.0]), 4)
    assert len(e.id) == 0


def test_long_movies_need_no_more_memory_than_their_emitters():
    e = draw(CONFIG, frames=20_000, movies=1, size=(20, 20))
    assert len(e.id) == pytest.approx(2 * 20_000, rel=0.05)
    assert e.frame.max() == 19_999
