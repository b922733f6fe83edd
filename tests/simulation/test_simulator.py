import numpy as np
import pytest
import torch

from napari_dilatedloc.camera import CameraMaps, build_camera
from napari_dilatedloc.config import (
    FieldSplinePSFConfig,
    GaussianPSFConfig,
    SCMOSConfig,
    SimulationConfig,
)
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.spline import FieldSplinePSF
from napari_dilatedloc.simulation import simulator
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


def test_no_light_from_outside_is_missing_at_the_border():
    wide = GaussianPSF(GaussianPSFConfig(roi_size=21, sigma_nm=1500.0))  # fills its ROI evenly
    config = CONFIG.replace(density_per_um2=(2.0, 2.0), photons=(1000.0, 1000.0))
    simulator = Simulator(wide, build_camera(SCMOSConfig()), config)
    batch = simulator.draw(400, 1, (48, 48), torch.Generator().manual_seed(0))
    light = render_emitters(simulator.psf, batch.emitters, 400, 1, (48, 48)).mean((0, 1))
    border = torch.cat([light[0], light[-1], light[:, 0], light[:, -1]]).mean()
    assert float(border) == pytest.approx(float(light[12:-12, 12:-12].mean()), rel=0.04)


def test_batches_differ_and_repeat_with_the_seed():
    simulator = Simulator(PSF, build_camera(SCMOSConfig()), CONFIG)
    generator = torch.Generator().manual_seed(3)
    first = simulator.draw(2, 3, (32, 32), generator)
    second = simulator.draw(2, 3, (32, 32), generator)
    again = simulator.draw(2, 3, (32, 32), torch.Generator().manual_seed(3))
    assert first.adu.shape == (2, 3, 32, 32)
    assert torch.equal(first.adu, again.adu)
    assert not torch.equal(first.adu, second.adu)


def test_on_another_device_the_generator_seeds_one_there(monkeypatch):
    """So its state alone says what comes, and a checkpoint serves every device."""

    class There:
        def __init__(self, device):
            self.device = torch.device(device)

        def manual_seed(self, seed):
            self.seed = seed
            return self

    here = torch.Generator().manual_seed(3)
    assert simulator._generator_on(torch.device("cpu"), here) is here
    monkeypatch.setattr(simulator.torch, "Generator", There)
    first, second = (simulator._generator_on(torch.device("cuda", 0), here) for _ in range(2))
    again = simulator._generator_on(torch.device("cuda", 0), here.manual_seed(3))
    assert first.device == torch.device("cuda", 0)
    assert first.seed == again.seed != second.seed


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


def test_rendering_agrees_with_adding_spot_by_spot():
    config = CONFIG.replace(lifetime_frames=3, density_per_um2=(6, 6))
    e = draw_emitters(config, frames=4, movies=3, size=(40, 56))
    moved = EmitterBatch(**{**vars(e), "y": e.y - 9, "x": e.x + 30})  # many lie outside
    assert len(torch.unique(moved.id)) > 300  # more than are drawn at a time
    got = render_emitters(PSF, moved, 3, 4, (40, 56)).double().numpy()
    roi, pad = PSF.config.roi_size, 60
    canvas = np.zeros((3, 4, 40 + 2 * pad, 56 + 2 * pad))
    row, col = torch.round(moved.y), torch.round(moved.x)
    spots = PSF.rois(moved.z_nm, moved.y - row, moved.x - col) * moved.photons[:, None, None]
    for i in range(len(moved.id)):
        top, left = int(row[i]) - roi // 2 + pad, int(col[i]) - roi // 2 + pad
        image = canvas[moved.movie[i], moved.frame[i]]
        image[top : top + roi, left : left + roi] += spots[i].double().numpy()
    assert got == pytest.approx(canvas[..., pad:-pad, pad:-pad], abs=0.01)


def test_molecules_too_far_away_and_none_at_all_give_darkness():
    far = emitters_at([-300.0, 20.0], [10.0, 900.0])
    assert torch.all(render_emitters(PSF, far, 1, 1, (32, 32)) == 0)
    none = far.select(torch.zeros(2, dtype=torch.bool))
    assert torch.all(render_emitters(PSF, none, 1, 1, (32, 32)) == 0)


def numbered_chip(height=70, width=90):
    """Camera without noise whose baseline tells every pixel of the chip from every other."""
    baseline = 100 + np.arange(height * width, dtype=np.float32).reshape(height, width)
    maps = CameraMaps(baseline=baseline, qe=np.full((height, width), 0.9, dtype=np.float32))
    return build_camera(SCMOSConfig(read_noise_e=0), maps), baseline


DARK = SimulationConfig(density_per_um2=(0, 1e-9), bg=(0, 0))


def test_each_movie_lies_on_its_own_part_of_the_maps():
    camera, baseline = numbered_chip()
    batch = Simulator(PSF, camera, DARK).draw(12, 2, (40, 56), torch.Generator().manual_seed(0))
    assert len(torch.unique(batch.origin, dim=0)) > 6
    for adu, (y, x) in zip(batch.adu, batch.origin.int().tolist(), strict=True):
        assert np.array_equal(adu[1], baseline[y : y + 40, x : x + 56])
    # the same place turns counts into photons
    photons = camera.at(batch.origin, (40, 56)).to_photons(batch.adu)
    assert torch.all(photons == 0)


def test_psf_and_maps_share_one_place_on_the_chip():
    grid = FieldSplinePSFConfig(
        pixel_size_nm=100,
        roi_size=7,
        z_range_nm=(-300, 300),
        z_min_nm=-300,
        z_step_nm=200,
        rows_px=(20.0, 69.0),
        columns_px=(0.0, 200.0),
    )
    psf = FieldSplinePSF(grid, torch.ones(4, 4, 11, 11) / 49)
    camera, baseline = numbered_chip()
    batch = Simulator(psf, camera, DARK).draw(40, 1, (16, 16), torch.Generator().manual_seed(0))
    first = batch.origin
    assert torch.equal(first, first.round())
    assert first[:, 0].min() >= 20
    assert first[:, 0].max() <= 70 - 16
    assert first[:, 1].max() <= 90 - 16  # the maps end before the PSF's do
    y, x = first[0].int().tolist()
    assert np.array_equal(batch.adu[0, 0], baseline[y : y + 16, x : x + 16])


def test_a_movie_takes_the_top_left_of_the_maps(tmp_path):
    _, baseline = numbered_chip()
    np.savez(tmp_path / "chip.npz", baseline=baseline)
    config = SCMOSConfig(read_noise_e=0, maps=str(tmp_path / "chip.npz"))
    movie, _ = simulate_movie(PSF, config, DARK, frames=2, size=(40, 56), seed=0)
    assert np.array_equal(movie[1], baseline[:40, :56])
    with pytest.raises(ValueError, match="maps must be at least as large"):
        simulate_movie(PSF, config, DARK, frames=2, size=(80, 56), seed=0)


def test_patches_larger_than_the_maps_are_refused():
    camera, _ = numbered_chip(30, 30)
    simulator = Simulator(PSF, camera, DARK)
    with pytest.raises(ValueError, match="simulate a smaller field"):
        simulator.draw(2, 1, (40, 40), torch.Generator().manual_seed(0))


def test_molecules_beyond_the_range_of_the_psf_are_refused():
    low, high = PSF.config.z_range_nm
    far = CONFIG.replace(z_range_nm=(low, high + 100))
    with pytest.raises(ValueError, match="must lie within the PSF's, -700 to 700 nm"):
        Simulator(PSF, build_camera(SCMOSConfig()), far)
    with pytest.raises(ValueError, match="must lie within the PSF's"):
        simulate_movie(PSF, SCMOSConfig(), far, frames=1, size=(32, 32), seed=0)
    inner = CONFIG.replace(z_range_nm=(-100.0, 300.0))
    assert Simulator(PSF, build_camera(SCMOSConfig()), inner).z_range_nm == (-100, 300)


def test_counts_beyond_16_bits_saturate():
    camera = SCMOSConfig(max_adu=1_000_000, e_per_adu=0.001)
    bright = CONFIG.replace(bg=(200, 200), bg_structure=0)  # 180 000 ADU
    movie, _ = simulate_movie(PSF, camera, bright, frames=1, size=(32, 32), seed=0)
    assert movie.min() == 65535


def test_structure_lies_in_the_range_of_the_psf_wherever_that_is():
    above = GaussianPSF(GaussianPSFConfig(z_range_nm=(200.0, 1200.0)))
    _, truth = simulate_structure(above, SCMOSConfig(), frames=40, size=(48, 48), seed=2)
    assert truth.z_nm.min() > 200
    assert truth.z_nm.max() < 1200
    assert np.ptp(truth.z_nm) > 500
