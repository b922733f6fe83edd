"""What a calibration does to the maps of a network."""

import numpy as np
import pytest
import torch

from napari_dilatedloc.config import CalibrationConfig, ScalingConfig
from napari_dilatedloc.network.output import CHANNELS, activate, calibrate, without_pull

SCALING = ScalingConfig(
    input_offset=0, input_scale=1, z_scale_nm=700, z_centre_nm=0, photon_scale=1000, bg_scale=50
)


@pytest.fixture
def prediction():
    raw = torch.randn(2, len(CHANNELS), 5, 6, generator=torch.Generator().manual_seed(0))
    return activate(raw, CHANNELS, SCALING)


def test_each_factor_has_its_map(prediction):
    factors = CalibrationConfig(sigma_x=2, sigma_y=3, sigma_z=4, sigma_photons=5, photons=6)
    changed = calibrate(prediction, factors)
    expected = {"sigma_x": 2, "sigma_y": 3, "sigma_z_nm": 4, "sigma_photons": 5, "photons": 6}
    for name, values in vars(prediction).items():
        assert torch.equal(getattr(changed, name), values * expected.get(name, 1)), name


def test_no_calibration_changes_not_a_bit(prediction):
    changed = calibrate(prediction, CalibrationConfig())
    for name, values in vars(prediction).items():
        assert torch.equal(getattr(changed, name), values)


def test_the_pull_is_judged_by_the_networks_own_sigma(prediction):
    factors = CalibrationConfig(sigma_x=3, pull_per_px2=2)
    changed = calibrate(prediction, factors)
    assert torch.equal(changed.x, without_pull(prediction.x, prediction.sigma_x, 2))
    assert not torch.equal(changed.y, prediction.y)


def test_removing_a_pull_makes_places_even_and_keeps_their_order():
    sigma = torch.full((20001,), 0.3, dtype=torch.float64)
    offset = torch.linspace(-0.5, 0.5, 20001, dtype=torch.float64)
    moved = without_pull(offset, sigma, 5.0)
    assert (moved.diff() > 0).all()
    assert moved[[0, 10000, -1]].tolist() == pytest.approx([-0.5, 0, 0.5])
    density = 1 + 5.0 * 0.3**2 * np.cos(2 * np.pi * offset.numpy())
    counts, _ = np.histogram(moved.numpy(), 10, weights=density)
    assert counts == pytest.approx(np.full(10, counts.mean()), rel=0.005)
    far = without_pull(offset, 10 * sigma, 5.0)
    assert (far.diff() > 0).all()
