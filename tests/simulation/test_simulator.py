import numpy as np
import pytest
import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import GaussianPSFConfig, SCMOSConfig, SimulationConfig
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.background import sample_background
from napari_dilatedloc.simulation.emitters import EmitterBatch, sample_emitters
from napari_dilatedloc.simulation.simulator import Simulator, render_emitters, simulate_movie
from napari_dilatedloc.simulation.structure import simulate_structure

PSF = GaussianPSF(GaussianPSFConfig())
CONFIG = SimulationConfig(density_per_um2=(0.5, 0.5), photons=(1000, 5000), bg=(20, 20))


def emitters_at(y, x, z=0.0, photons=1000.0):
    n = len(y)
    whole = torch.zeros(n, dtype=torch.long)
    return EmitterBatch(
        movie=whole,
        frame=whole,
        id=torch.arange(n),
        y=torch.tensor(y),
        x=torch.tensor(x),
        z_nm=torch.full((n,), z),
        photons=torch.full((n,), photons),
    )


def draw_emitters(config, frames, movies=4, seed=0, size=(100, 100)):
    return sample_emitters(
        config,
        movies=movies,
        frames=frames,
        size=size,
        margin=0,
        z_range_nm=(-500, 300),
        pixel_size_nm=100,
        generator=torch.Generator().manual_seed(seed),
    )


def test_density_is_what_was_asked_for():
    e = draw_emitters(CONFIG, frames=50)
    per_frame = len(e.id) / (4 * 50)
    assert per_frame == pytest.approx(0.5 * 100, rel=0.1)  # 10 x 10 um


def test_density_is_steady_from_the_first_frame_to_the_last():
    e = draw_emitters(CONFIG, frames=40, movies=20)
    counts = torch.bincount(e.frame, minlength=40).float()
    assert counts[:5].mean() == pytest.approx(counts[-5:].mean().item(), rel=0.1)


def test_a_molecule_keeps_its_place_and_shines_in_consecutive_frames():
    e = draw_emitters(CONFIG, frames=30)
    on_times = []
    for molecule in torch.unique(e.id)[:300]:
        own = e.select(e.id == molecule)
        assert len(torch.unique(torch.stack([own.y, own.x, own.z_nm]), dim=1)[0]) == 1
        assert torch.equal(own.frame, torch.arange(own.frame[0], own.frame[0] + len(own.frame)))
        on_times.append(len(own.frame))
    assert 2.0 < np.mean(on_times) < 4.0  # mean on-time of 2 frames touches 3


def test_partly_on_frames_are_dimmer_and_middle_frames_full():
    e = draw_emitters(SimulationConfig(lifetime_frames=10, photons=(2000, 2000)), frames=30)
    assert e.photons.max().item() == pytest.approx(2000)
    assert e.photons.min() > 0
    assert (e.photons < 1999).float().mean() < 0.5


def test_z_and_photons_stay_in_range():
    e = draw_emitters(CONFIG, frames=30)
    assert e.z_nm.min() >= -500
    assert e.z_nm.max() <= 300
    assert e.photons.max() <= 5000


def test_rendered_photons_add_up_and_sit_where_they_should():
    image = render_emitters(PSF, emitters_at([20.3], [31.6]), 1, 1, (48, 64))[0, 0]
    assert image.sum().item() == pytest.approx(1000, rel=0.01)
    rows, cols = torch.arange(48.0), torch.arange(64.0)
    assert (image.sum(1) @ rows / image.sum()).item() == pytest.approx(20.3, abs=0.01)
    assert (image.sum(0) @ cols / image.sum()).item() == pytest.approx(31.6, abs=0.01)


def test_a_molecule_outside_shines_into_the_patch():
    image = render_emitters(PSF, emitters_at([-1.0], [16.0]), 1, 1, (32, 32))[0, 0]
    assert 50 < image.sum() < 500
    assert image[0].sum() > image[3].sum()
    assert image[20:].sum() == 0


def test_overlapping_molecules_add():
    both = render_emitters(PSF, emitters_at([10.0, 12.0], [10.0, 10.0]), 1, 1, (32, 32))
    one = render_emitters(PSF, emitters_at([10.0], [10.0]), 1, 1, (32, 32))
    two = render_emitters(PSF, emitters_at([12.0], [10.0]), 1, 1, (32, 32))
    assert torch.allclose(both, one + two, atol=1e-3)


def test_background_lies_around_its_level():
    bg = sample_background((50, 50), 200, (32, 40), torch.Generator().manual_seed(1))
    assert bg.shape == (200, 32, 40)
    assert bg.mean().item() == pytest.approx(50, rel=0.03)
    assert bg.std(dim=(1, 2)).max() > 1
    assert bg.min() > 30


def test_batches_differ_and_repeat_with_the_seed():
    simulator = Simulator(PSF, build_camera(SCMOSConfig()), CONFIG)
    generator = torch.Generator().manual_seed(3)
    first = simulator.draw(2, 3, (32, 32), generator)
    second = simulator.draw(2, 3, (32, 32), generator)
    again = simulator.draw(2, 3, (32, 32), torch.Generator().manual_seed(3))
    assert first.adu.shape == (2, 3, 32, 32)
    assert torch.equal(first.adu, again.adu)
    assert not torch.equal(first.adu, second.adu)


def test_movie_and_truth_belong_together():
    movie, truth = simulate_movie(PSF, SCMOSConfig(), CONFIG, frames=250, size=(40, 56), seed=5)
    assert movie.shape == (250, 40, 56)
    assert movie.dtype == np.uint16
    assert truth.x.max() < 56
    assert truth.y.max() < 40
    assert np.all(np.diff(truth.frame) >= 0)
    assert truth.frame.max() == 249
    bright = truth[truth.photons > 3000]
    at = movie[bright.frame, np.round(bright.y).astype(int), np.round(bright.x).astype(int)]
    assert at.mean() > movie.mean() + 100


def test_structure_fills_the_field_in_three_dimensions():
    movie, truth = simulate_structure(PSF, SCMOSConfig(), frames=60, size=(64, 64), seed=2)
    assert movie.shape == (60, 64, 64)
    assert np.ptp(truth.z_nm) > 800
    assert np.ptp(truth.x) > 45
    assert len(truth) > 60


@pytest.mark.parametrize(
    "bad",
    [
        {"photons": (5000, 100)},
        {"density_per_um2": (-1, 1)},
        {"bg": (-3, 4)},
        {"lifetime_frames": 0},
    ],
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        SimulationConfig(**bad)
