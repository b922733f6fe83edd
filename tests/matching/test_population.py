"""A detector that is known exactly: bright molecules near focus are seen, others are not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime

from napari_dilatedloc.matching import population
from napari_dilatedloc.matching.population import Classes, gather, most_likely
from napari_dilatedloc.matching.resimulate import Blinking, Resimulated
from napari_dilatedloc.matching.spots import Spots
from napari_dilatedloc.simulation.emitters import EmitterBatch

FRAMES, SIDE, PLANES = 100, 100, 5
AREA_UM2 = 100.0
EDGES = tuple(np.linspace(-500.0, 500.0, PLANES + 1))
TRUE = Blinking(0.5, 700.0, 0.5, 1.0, EDGES, (0.1, 0.3, 0.3, 0.2, 0.1))
GUESS = Blinking(0.2, 1200.0, 0.4, 1.0, EDGES, (0.2,) * 5)


def shown(blinking, seed):
    """Molecules, all of them fully on in one frame, and the spots of those that are seen."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(blinking.density_per_um2 * AREA_UM2 * FRAMES)
    photons = blinking.median_photons * np.exp(blinking.spread * rng.normal(size=n))
    z_nm = blinking.z_nm(rng.uniform(size=n))
    frame, y, x = rng.integers(FRAMES, size=n), *rng.uniform(0, SIDE, (2, n))
    light = torch.from_numpy(photons).float()
    places = (torch.from_numpy(values).float() for values in (y, x, z_nm))
    zero = torch.zeros(n, dtype=torch.long)
    emitters = EmitterBatch(zero, torch.from_numpy(frame), torch.arange(n), *places, light)
    sample = SimpleNamespace(adu=torch.zeros(1, FRAMES, 1, 1))
    seen = photons > 500 * (1 + (z_nm / 300) ** 2)
    spots = Spots(
        run=np.zeros(seen.sum(), np.int64),
        frame=frame[seen],
        y=y[seen].round().astype(np.int64),
        x=x[seen].round().astype(np.int64),
        plane=np.searchsorted(EDGES[1:-1], z_nm[seen]),
        photons=photons[seen].astype(np.float32),
        score=np.ones(seen.sum(), np.float32),
    )
    return spots, Resimulated(sample, emitters, light)


def test_molecules_that_are_not_seen_are_counted():
    spots, _ = shown(TRUE, 1)
    assert len(spots) < 0.6 * TRUE.density_per_um2 * AREA_UM2 * FRAMES
    classes = Classes.of(spots, PLANES)
    guess, evidence = GUESS, []
    for turn in range(5):
        found, simulated = shown(guess, 10 + turn)
        evidence.append(gather(found, simulated, guess, classes, 1.0))
        guess = most_likely(classes.count(spots), evidence[-3:], guess)
    assert guess.density_per_um2 == pytest.approx(TRUE.density_per_um2, rel=0.2)
    assert guess.median_photons == pytest.approx(TRUE.median_photons, rel=0.1)
    assert guess.spread == pytest.approx(TRUE.spread, rel=0.15)
    np.testing.assert_allclose(guess.z_shares, TRUE.z_shares, atol=0.06)
    assert sum(guess.z_shares) == pytest.approx(1)


@pytest.mark.parametrize("worth", [1.0, 0.25])
def test_spots_are_predicted_for_a_guess_that_was_not_simulated(worth):
    classes = Classes.of(shown(TRUE, 1)[0], PLANES)
    near = replace(TRUE, density_per_um2=0.4, median_photons=850.0, z_shares=(0.2,) * 5)
    found, simulated = shown(near, 2)
    e = gather(found, simulated, near, classes, worth)
    score = (e.log_photons - np.log(TRUE.median_photons)) / TRUE.spread
    density = TRUE.density_per_um2 * np.asarray(TRUE.z_shares)[e.slice]
    weight = density / TRUE.spread * np.exp(e.log_weight - 0.5 * score**2)
    predicted = np.bincount(e.number, weight, len(classes)) + e.others
    expected = np.mean([classes.count(shown(TRUE, seed)[0]) for seed in range(20, 40)], axis=0)
    expected = worth * expected
    assert predicted.sum() == pytest.approx(expected.sum(), rel=0.08)  # three times its scatter
    common = expected > 50 * worth
    np.testing.assert_allclose(predicted[common], expected[common], rtol=0.3)


def test_the_gradient_is_that_of_the_value():
    spots, _ = shown(TRUE, 1)
    classes = Classes.of(spots, PLANES)
    found, simulated = shown(GUESS, 2)
    evidence = gather(found, simulated, GUESS, classes, 1.0)
    at = np.log([900.0, 0.45, 0.03, 0.09, 0.1, 0.05, 0.04])

    def value(values):
        return population._unlikeliness(values, classes.count(spots), evidence)[0]

    _, gradient = population._unlikeliness(at, classes.count(spots), evidence)
    np.testing.assert_allclose(gradient, approx_fprime(at, value, 1e-6), rtol=1e-3, atol=0.05)


def test_few_spots_leave_the_spread_near_what_is_usual():
    spots, _ = shown(replace(TRUE, density_per_um2=0.003), 3)
    assert len(spots) < 30
    classes = Classes.of(spots, PLANES)
    found, simulated = shown(GUESS, 4)
    evidence = [gather(found, simulated, GUESS, classes, 1.0)]
    guess = most_likely(classes.count(spots), evidence, GUESS)
    assert 0.25 < guess.spread < 0.9


def test_a_spot_of_no_molecule_is_no_evidence_of_one():
    found, simulated = shown(GUESS, 2)
    nothing = torch.zeros(0, dtype=torch.long)
    empty = EmitterBatch(nothing, nothing, nothing, *(torch.zeros(0),) * 4)
    dark = Resimulated(simulated.sample, empty, torch.zeros(0))
    classes = Classes.of(found, PLANES)
    evidence = gather(found, dark, GUESS, classes, 0.5)
    assert len(evidence.number) == 0
    np.testing.assert_allclose(evidence.others, 0.5 * classes.count(found))
