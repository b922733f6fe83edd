"""What a calibration does to the maps of a network."""

import numpy as np
import pytest
import torch

from napari_dilatedloc.config import CalibrationConfig, ScalingConfig
from napari_dilatedloc.network.output import CHANNELS, activate, calibrate, without_grid

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
    factors = CalibrationConfig(sigma_x=3, pull_per_px2=2, ripple=0.05)
    changed = calibrate(prediction, factors)
    assert torch.equal(changed.x, without_grid(prediction.x, prediction.sigma_x, 2, 0.05))
    assert not torch.equal(changed.y, prediction.y)


@pytest.mark.parametrize("ripple", [0.0, 0.08, -0.08])
def test_removing_preferred_places_makes_them_even_and_keeps_their_order(ripple):
    sigma = torch.full((20001,), 0.3, dtype=torch.float64)
    offset = torch.linspace(-0.5, 0.5, 20001, dtype=torch.float64)
    moved = without_grid(offset, sigma, 5.0, ripple)
    assert (moved.diff() > 0).all()
    assert moved[[0, 10000, -1]].tolist() == pytest.approx([-0.5, 0, 0.5])
    turn = 2 * np.pi * offset.numpy()
    density = 1 + 5.0 * 0.3**2 * np.cos(turn) + ripple * np.cos(2 * turn)
    counts, _ = np.histogram(moved.numpy(), 10, weights=density)
    assert counts == pytest.approx(np.full(10, counts.mean()), rel=0.005)
    far = without_grid(offset, 10 * sigma, 5.0, 10 * ripple)
    assert (far.diff() > 0).all()
