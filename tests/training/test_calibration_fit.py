"""Calibration brings back known faults of a network that knows the truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import CalibrationConfig, SimulationConfig
from napari_dilatedloc.network.output import stretched, without_grid
from napari_dilatedloc.table import Emitters, Localizations
from napari_dilatedloc.training.accuracy import model_psf
from napari_dilatedloc.training.calibration import (
    ENOUGH_FOR_RIPPLE,
    best_threshold,
    calibration_of,
    calibration_simulation,
    fit_calibration,
    power_of,
    pull_of,
    ripple_of,
)
from napari_dilatedloc.training.pairs import Localized, Pairs, joined, localize_simulated, pair_up


def fit(model, simulators, **options):
    return fitted(model, simulators, **options).calibration


def fitted(model, simulators, **options):
    simulator = simulators(model_psf(model), build_camera(model.info.camera), model.info.simulation)
    return fit_calibration(model, simulator, frames=120, min_photons=200, **options)


def test_known_faults_are_found(oracle_model):
    shares = []
    model, simulators = oracle_model(claim=0.5, photons=0.8)
    factors = fit(model, simulators, progress=shares.append)
    for name in ("sigma_x", "sigma_y", "sigma_z"):
        assert getattr(factors, name) == pytest.approx(2.0, rel=0.08)
    assert factors.photons == pytest.approx(1.25, rel=0.01)
    # the claim is 0.5 x 5% of the true photons, the error after correction 5%
    assert factors.sigma_photons == pytest.approx(2.0, rel=0.08)
    assert abs(factors.pull_per_px2 * 0.05**2) < 0.12  # none there: within counting noise
    assert shares[-1] == 1.0


def test_an_honest_network_stays_as_it_is(oracle_model):
    factors = fit(*oracle_model())
    for name in ("sigma_x", "sigma_y", "sigma_z", "sigma_photons"):
        assert getattr(factors, name) == pytest.approx(1.0, rel=0.08)
    assert factors.photons == pytest.approx(1.0, rel=0.01)


def test_a_calibrated_prediction_has_true_error_bars(oracle_model):
    model, simulators = oracle_model(claim=0.5, photons=0.8)
    factors = CalibrationConfig(sigma_x=2, sigma_y=2, sigma_z=2, sigma_photons=2, photons=1.25)
    simulator = simulators(model_psf(model), build_camera(model.info.camera), model.info.simulation)
    parts = list(localize_simulated(model, simulator, frames=120, seed=3, calibration=factors))
    assert [part.frames for part in parts] == [100, 20]
    data = joined(parts)
    assert data.found.frame.max() >= 110
    pairs = pair_up(data, 100.0, 200).only_found()
    for name in ("x", "y", "z_nm", "photons"):
        assert pairs.z_scores(name).std() == pytest.approx(1.0, rel=0.08)


def made_pairs(n=10000, pull=6.0, ripple=0.0, seed=0):
    """Pairs whose places have the density 1 + c cos(2 pi u) + r cos(4 pi u) in each pixel."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.03, 0.3, (2, n))
    true = rng.uniform(0, 64, (2, n))
    even = rng.uniform(-0.5, 0.5, (2, n))  # where an unbiased network would find it
    grid = np.linspace(-0.5, 0.5, 2001)
    wave = np.sin(2 * np.pi * grid) / (2 * np.pi)
    waves = grid + ripple * np.sin(4 * np.pi * grid) / (4 * np.pi)
    offset = np.empty_like(even)
    for at in np.ndindex(*even.shape):
        offset[at] = np.interp(even[at], waves + pull * sigma[at] ** 2 * wave, grid)
    error = np.round(true) + offset - true
    ones = np.ones(n)
    return Pairs(
        id=np.arange(n),
        x=true[0],
        y=true[1],
        photons=1000 * ones,
        error_x=error[0],
        error_y=error[1],
        error_z_nm=rng.normal(size=n),
        error_photons=rng.normal(size=n),
        sigma_x=sigma[0],
        sigma_y=sigma[1],
        sigma_z_nm=ones,
        sigma_photons=ones,
    )


def test_a_known_pull_is_found_and_taken_off():
    pairs = made_pairs()
    pull = pull_of(pairs)
    assert pull == pytest.approx(6.0, rel=0.15)
    place = pairs.x + pairs.error_x
    before = np.histogram(np.mod(place + 0.5, 1), 10, (0, 1))[0] / 1000
    spread = without_grid(torch.as_tensor(place), torch.as_tensor(pairs.sigma_x), pull, 0).numpy()
    after = np.histogram(np.mod(spread + 0.5, 1), 10, (0, 1))[0] / 1000
    assert before.max() > 1.12
    assert np.abs(after - 1).max() < 0.1  # 3.2% counting noise a bin


def test_a_known_ripple_is_found_beside_a_pull():
    pairs = made_pairs(n=40000, pull=4.0, ripple=-0.07)
    assert ripple_of(pairs, pull_of(pairs)) == pytest.approx(-0.07, abs=0.02)
    assert ripple_of(made_pairs(n=40000, ripple=-0.5), 6.0) == 0.0  # it would not be taken off


def test_a_ripple_is_looked_for_where_the_pairs_tell_it():
    few = made_pairs(n=ENOUGH_FOR_RIPPLE - 1, ripple=-0.07)
    assert calibration_of(few).ripple == 0
    enough = made_pairs(n=ENOUGH_FOR_RIPPLE, ripple=-0.07)
    assert calibration_of(enough).ripple == pytest.approx(-0.07, abs=0.03)


def test_dim_molecules_that_look_bright_do_not_rule_the_photons():
    """A network that says 10% too little, but of the dim ones only the lucky are found."""
    pairs = made_pairs(n=2000)
    true = np.where(np.arange(2000) < 400, 600.0, 5000.0)
    said = np.where(true < 1000, 1.6 * true, 0.9 * true)
    pairs = replace(pairs, photons=true, error_photons=said - true)
    assert calibration_of(pairs).photons == pytest.approx(1 / 0.9, rel=1e-3)


def test_a_few_wrong_pairings_do_not_rule():
    pairs = made_pairs(n=2000)
    wrong = pairs.error_z_nm.copy()
    wrong[:4] = 100
    factors = calibration_of(pairs)
    assert factors.sigma_z == pytest.approx(1.0, rel=0.06)
    changed = calibration_of(Pairs(**{**vars(pairs), "error_z_nm": wrong}))
    assert changed.sigma_z == pytest.approx(factors.sigma_z, rel=0.04)


def test_error_bars_that_differ_too_little_are_stretched():
    rng = np.random.default_rng(4)
    pairs = made_pairs(n=8000, pull=0.0)
    actual = 0.15 * (pairs.sigma_x / 0.1) ** 1.5  # the network says sigma_x
    changed = Pairs(**{**vars(pairs), "error_x": rng.normal(size=8000) * actual})
    assert power_of(changed.sigma_x, changed.error_x) == pytest.approx(1.5, abs=0.06)
    assert power_of(np.ones(500), rng.normal(size=500)) == 1.0
    factors = calibration_of(changed)
    bars = stretched(torch.as_tensor(changed.sigma_x), factors.sigma_x, factors.power_x, 0.1)
    scores = changed.error_x / bars.numpy()
    for part in np.array_split(np.argsort(changed.sigma_x), 5):
        assert np.mean(scores[part] ** 2) == pytest.approx(1.0, abs=0.12)


def test_too_few_pairs_change_nothing():
    few = {name: values[:50] for name, values in vars(made_pairs(n=100)).items()}
    assert calibration_of(Pairs(**few)) == CalibrationConfig()


@pytest.mark.parametrize(
    ("density", "used"), [((0.03, 1.0), 0.2), ((0.5, 2), 0.5), ((0, 0.1), 0.1)]
)
def test_density_of_calibration_stays_within_the_training(density, used):
    training = SimulationConfig(density_per_um2=density, photons=(300, 900), density_contrast=0.5)
    simulation = calibration_simulation(training, 0.2)
    assert simulation.density_per_um2 == (used, used)
    assert simulation.photons == (300, 900)
    assert simulation.density_contrast == 0


def table(prob, right):
    """One emitter and one localization a frame, at its place or far from it."""
    n = len(prob)
    frame = np.arange(n)
    x = np.where(right, 10.0, 30.0)
    found = Localizations.from_columns(frame=frame, x=x, y=np.full(n, 10.0), prob=prob)
    ten = np.full(n, 10.0)
    truth = Emitters(frame=frame, x=ten, y=ten, z_nm=0 * ten, photons=1000 + ten, id=frame)
    return Localized(found, truth, n)


def test_threshold_is_where_jaccard_is_best():
    prob = np.repeat([0.25, 0.33, 0.9], 100)
    right = np.repeat([False, True, True], 100)
    assert best_threshold(table(prob, right), 100.0, 500) == 0.3
    assert best_threshold(table(prob, ~right), 100.0, 500) == 0.2
    assert best_threshold(table(np.full(9, 0.9), np.ones(9, bool)), 100.0, 500) == 0.5


def test_the_threshold_of_a_sure_network_is_the_middle_one(oracle_model):
    model, simulators = oracle_model()
    result = fitted(model, simulators)
    assert result.threshold == 0.5
