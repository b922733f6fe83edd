import numpy as np
import pytest
import torch

from napari_dilatedloc.matching.compare import compare, radial_power


def noise(sd, seed=0):
    return 50 + sd * torch.randn(2, 50, 48, 40, generator=torch.Generator().manual_seed(seed))


def test_power_of_white_noise_is_its_variance():
    _, power = radial_power(noise(3.0))
    np.testing.assert_allclose(power[2:], 9.0, rtol=0.15)
    assert power.mean() == pytest.approx(9.0, rel=0.05)


def test_power_of_a_wave_lies_at_its_frequency():
    wave = torch.cos(2 * torch.pi * 0.2 * torch.arange(64))[None, None, None].expand(1, 1, 64, 64)
    frequency, power = radial_power(wave)
    assert frequency[power.argmax()] == pytest.approx(0.2, abs=0.02)


def test_equal_and_unequal_histograms():
    same = compare(noise(3.0, 1), noise(3.0, 2))
    assert same.overlap > 0.95
    assert same.power_ratio == pytest.approx((1, 1), rel=0.05)
    assert same.real.sum() == pytest.approx(1, abs=1e-3)
    other = compare(noise(6.0, 1), noise(3.0, 2))
    # two normal distributions, one twice as wide, have 0.677 in common
    assert other.overlap == pytest.approx(0.677, abs=0.03)
    assert other.power_ratio == pytest.approx((4, 4), rel=0.05)


def test_bins_hold_whole_counts():
    """Rounded counts in bins of uneven numbers of counts would look like a comb."""
    counts = (noise(30.0) + 200).round() * 0.5
    share = compare(counts, counts, 0.5).real
    middle = share[30:70]
    assert np.abs(np.diff(middle)).max() < 0.2 * middle.max()
