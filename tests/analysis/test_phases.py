"""Sub-pixel phases: even ones pass as often as chance allows, preferred ones are seen."""

import numpy as np
import pytest

from napari_dilatedloc.analysis.phases import phase_histogram, phases_alone


def places(rng, molecules=800, frames=3, sigma=0.1):
    """Truth and unbiased localizations of molecules that shine in several frames."""
    true = np.repeat(rng.uniform(0, 64, (molecules, 2)), frames, axis=0)
    molecule = np.repeat(np.arange(molecules), frames)
    return true, true + rng.normal(0, sigma, true.shape), molecule


def test_p_values_of_unbiased_networks_are_even():
    rng = np.random.default_rng(1)
    p = np.array([phase_histogram(*places(rng)).p for _ in range(60)])
    assert 0.35 < p.mean() < 0.65
    assert (p < 0.05).sum() <= 8  # 3 expected


def test_noise_is_the_spread_of_a_bin():
    rng = np.random.default_rng(2)
    many = [phase_histogram(*places(rng)) for _ in range(60)]
    spread = np.std([one.deviation for one in many], axis=0).mean()
    assert np.mean([one.noise for one in many]) == pytest.approx(spread, rel=0.1)


def test_a_preference_is_seen_with_its_size():
    rng = np.random.default_rng(3)
    true, found, molecule = places(rng, molecules=8000)
    offset = found - np.round(found)
    found = found - 0.2 * np.sin(2 * np.pi * offset) / (2 * np.pi)  # density about 1 + 0.2 cos
    histogram = phase_histogram(true, found, molecule)
    assert histogram.p < 1e-6
    assert histogram.flatness == pytest.approx(0.22, abs=0.06)
    middle = histogram.deviation[:, 4:6].mean()
    border = histogram.deviation[:, [0, 9]].mean()
    assert middle > 0.1 > -0.1 > border


def test_emitters_missed_at_some_places_count():
    rng = np.random.default_rng(4)
    true, found, molecule = places(rng, molecules=4000)
    at_border = np.abs(true[:, 0] - np.round(true[:, 0])) > 0.4
    found[at_border & (rng.random(len(true)) < 0.5)] = np.nan
    histogram = phase_histogram(true, found, molecule)
    assert histogram.p < 1e-6
    assert histogram.deviation[0, [0, 9]].mean() < -0.2
    assert np.abs(histogram.deviation[1]).max() < 5 * histogram.noise


def test_nothing_found_has_no_value():
    true = np.zeros((5, 2))
    histogram = phase_histogram(true, np.full((5, 2), np.nan), np.arange(5))
    assert np.isnan(histogram.flatness)
    assert np.isnan(histogram.chi2)


def test_phases_without_truth_are_judged_by_cells():
    """Molecules found hundreds of times at one place are chance, a preference is not."""
    rng = np.random.default_rng(5)
    p = []
    for _ in range(30):
        spots = np.repeat(rng.uniform(0, 60, (600, 2)), 40, axis=0)
        p.append(phases_alone(spots + rng.normal(0, 0.1, spots.shape)).p)
    assert (np.array(p) < 0.01).sum() <= 2
    found = rng.uniform(0, 60, (30_000, 2))
    found -= 0.2 * np.sin(2 * np.pi * (found - np.round(found))) / (2 * np.pi)
    histogram = phases_alone(found)
    assert histogram.p < 1e-6
    assert histogram.flatness == pytest.approx(0.22, abs=0.06)
    assert np.isnan(phases_alone(np.zeros((0, 2))).chi2)
