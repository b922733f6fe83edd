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
