import numpy as np
import pytest
import torch

from napari_dilatedloc.camera import CameraMaps, build_camera
from napari_dilatedloc.config import EMCCDConfig, SCMOSConfig


def expose(camera, photons, n=200_000):
    generator = torch.Generator().manual_seed(0)
    return camera.to_adu(torch.full((n,), float(photons)), generator)


@pytest.mark.parametrize("photons", [5.0, 50.0, 1000.0])
def test_scmos_mean_and_variance(photons):
    config = SCMOSConfig(qe=0.8, e_per_adu=0.5, read_noise_e=1.6, baseline=100)
    adu = expose(build_camera(config), photons)
    electrons = photons * 0.8
    assert adu.mean().item() == pytest.approx(100 + electrons / 0.5, rel=0.003)
    # rounding to whole ADU adds 1/12
    expected = (electrons + 1.6**2) / 0.5**2 + 1 / 12
    assert adu.var().item() == pytest.approx(expected, rel=0.02)


def test_emccd_doubles_the_shot_noise():
    config = EMCCDConfig(qe=0.9, em_gain=300, e_per_adu=45, read_noise_e=74.4, spurious_e=0.002)
    camera = build_camera(config)
    adu = expose(camera, 100.0)
    electrons = 100 * 0.9 + 0.002
    assert adu.mean().item() == pytest.approx(100 + electrons * 300 / 45, rel=0.003)
    variance_e = camera.excess_noise * electrons * 300**2 + 74.4**2
    assert adu.var().item() == pytest.approx(variance_e / 45**2, rel=0.03)


@pytest.mark.parametrize("config", [EMCCDConfig(), SCMOSConfig()])
def test_photons_come_back_on_average(config):
    camera = build_camera(config)
    photons = camera.to_photons(expose(camera, 80.0))
    assert photons.mean().item() == pytest.approx(80.0, abs=0.5)


def test_no_light_gives_the_baseline_and_bright_light_saturates():
    camera = build_camera(EMCCDConfig(read_noise_e=0, spurious_e=0, max_adu=4095))
    assert torch.all(expose(camera, 0.0, 100) == 100)
    assert torch.all(expose(camera, 1e6, 100) == 4095)


def test_maps_apply_pixel_by_pixel_and_crop():
    baseline = np.array([[100.0, 200.0], [300.0, 400.0]], dtype=np.float32)
    config = SCMOSConfig(read_noise_e=0, spurious_e=0)
    camera = build_camera(config, CameraMaps(baseline=baseline))
    adu = camera.to_adu(torch.zeros(5, 2, 2), torch.Generator().manual_seed(0))
    assert torch.equal(adu[3], torch.as_tensor(baseline))
    assert camera.crop(1, 0, 2, 2).baseline.tolist() == [[300.0, 400.0]]
    assert torch.allclose(camera.to_photons(adu), torch.zeros(5, 2, 2))


def test_maps_of_efficiency_and_gain_turn_back_into_photons():
    rng = np.random.default_rng(0)
    shape = (20, 30)
    maps = CameraMaps(
        baseline=rng.uniform(90, 110, shape).astype(np.float32),
        e_per_adu=rng.uniform(0.4, 0.6, shape).astype(np.float32),
        read_noise_e=rng.uniform(1, 3, shape).astype(np.float32),
        qe=rng.uniform(0.6, 0.9, shape).astype(np.float32),
    )
    camera = build_camera(SCMOSConfig(), maps)
    adu = camera.to_adu(torch.full((4000, *shape), 60.0), torch.Generator().manual_seed(0))
    photons = camera.to_photons(adu)
    assert photons.mean(0).numpy() == pytest.approx(np.full(shape, 60.0), abs=1.0)
    expected = (60 * maps.qe + maps.read_noise_e**2 + maps.e_per_adu**2 / 12) / maps.qe**2
    assert photons.var(0).numpy() == pytest.approx(expected, rel=0.15)
    assert photons.var(0).mean().item() == pytest.approx(expected.mean(), rel=0.01)


def test_read_noise_map_keeps_its_hot_pixel():
    noise = np.full((4, 4), 1.0, dtype=np.float32)
    noise[1, 2] = 50.0
    camera = build_camera(SCMOSConfig(baseline=1000), CameraMaps(read_noise_e=noise))
    adu = camera.to_adu(torch.zeros(3000, 4, 4), torch.Generator().manual_seed(0))
    assert adu.std(0)[1, 2].item() == pytest.approx(50 / 0.47, rel=0.05)
    assert adu.std(0)[0, 0].item() == pytest.approx(1 / 0.47, rel=0.1)
    assert camera.typical.read_noise_e.item() == 1.0
    assert camera.typical.shape is None


def test_settings_name_the_file_of_maps(tmp_path):
    np.savez(tmp_path / "chip.npz", baseline=np.full((6, 8), 200.0))
    camera = build_camera(SCMOSConfig(maps=str(tmp_path / "chip.npz")))
    assert camera.shape == (6, 8)
    assert camera.noise == build_camera(SCMOSConfig()).noise
    with pytest.raises(ValueError, match="no file of camera maps"):
        build_camera(SCMOSConfig(maps=str(tmp_path / "absent.npz")))


def test_a_movie_of_another_shape_is_refused():
    camera = build_camera(SCMOSConfig(), CameraMaps(qe=np.full((6, 8), 0.5, dtype=np.float32)))
    camera.check_shape(6, 8)
    with pytest.raises(ValueError, match="maps are 6 x 8 px, but the movie is 8 x 6 px"):
        camera.check_shape(8, 6)
    build_camera(SCMOSConfig()).check_shape(3, 5)


def test_movies_from_several_parts_of_the_chip():
    baseline = np.arange(48, dtype=np.float32).reshape(6, 8)
    camera = build_camera(SCMOSConfig(), CameraMaps(baseline=baseline))
    placed = camera.at(torch.tensor([[0.0, 0.0], [2.0, 3.0]]), (4, 5))
    assert placed.baseline.shape == (2, 1, 4, 5)
    assert placed.baseline[1, 0].tolist() == baseline[2:6, 3:8].tolist()
    assert placed.crop(1, 1, 2, 2).baseline[1].item() == baseline[3, 4]
    assert camera.at(None, (4, 5)).baseline.tolist() == baseline[:4, :5].tolist()
    with pytest.raises(ValueError, match="at least as large"):
        camera.at(None, (7, 5))
    plain = build_camera(SCMOSConfig())
    assert plain.at(torch.zeros(2, 2), (400, 500)) is plain
