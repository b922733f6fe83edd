"""Batch normalization by fixed statistics."""

import pytest
import torch
from torch import nn

from napari_dilatedloc.config import GaussianPSFConfig, SimulationConfig, TrainingConfig
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.training.norms import BATCHES, hold_statistics, measure_statistics
from napari_dilatedloc.training.places import checkpoint_path
from napari_dilatedloc.training.trainer import _Run

PSF = GaussianPSF(GaussianPSFConfig(roi_size=15))
SETTINGS = {
    "simulation": SimulationConfig(density_per_um2=(0.3, 0.6), photons=(3000, 6000), bg=(10, 20)),
    "batch": 2,
    "patch": 32,
    "frames": 3,
    "steps": 4,
    "validate_every": 4,
    "validation_frames": 10,
    "validation_per_plane": 2,
}
CONFIG = TrainingConfig(**SETTINGS, freeze_norms_at=0.5)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))


def test_measured_statistics_are_the_mean_over_the_batches(network):
    data = [torch.randn(4, 1, 8, 8) * (1 + i) + i for i in range(BATCHES)]
    waiting = iter(data)
    measure_statistics(network, lambda _: network(next(waiting)))
    maps = [network[0](batch) for batch in data]
    mean = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
    variance = torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0)
    assert torch.allclose(network[1].running_mean, mean, atol=1e-5)
    assert torch.allclose(network[1].running_var, variance, rtol=1e-4)
    assert network[1].momentum == 0.1


def test_held_statistics_stay_and_the_rest_goes_on_learning(network):
    hold_statistics(network.train())
    before = network[1].running_mean.clone()
    bright, dark = torch.full((1, 1, 8, 8), 9.0), torch.zeros(1, 1, 8, 8)
    apart = network(torch.cat([bright, dark]))[0]
    assert torch.allclose(apart, network(bright)[0], atol=1e-6)  # whatever lies in the batch
    network(bright).sum().backward()
    assert torch.equal(network[1].running_mean, before)
    assert network[1].weight.grad is not None
    assert network[0].training


def test_a_network_without_batch_norm_costs_no_batches():
    measure_statistics(nn.Conv2d(1, 1, 1), lambda _: pytest.fail("nothing to measure"))


def in_turn(run):
    """Batches of a run, one by one."""
    return iter(lambda: run.maker.draw(run.state.generator), None)


def running(run):
    """Whether batch norm still follows the batches."""
    return {m.training for m in run.state.network.modules() if isinstance(m, nn.BatchNorm2d)}


def test_a_run_holds_them_from_its_share_on_and_after_a_resume(tmp_path):
    out = tmp_path / "model.safetensors"
    run, seen = _Run(CONFIG, PSF, out, None), []
    for _ in range(CONFIG.steps):
        run.advance(in_turn(run))
        seen.append(running(run))
    assert seen == [{True}, {True}, {False}, {False}]
    assert checkpoint_path(out).is_file()
    again = _Run(CONFIG, PSF, out, None)
    assert running(again) == {True}
    again.resume()
    assert running(again) == {False}


def test_a_run_that_diverged_measures_them_anew(tmp_path):
    run = _Run(CONFIG.replace(freeze_norms_at=0.0), PSF, tmp_path / "model.safetensors", None)
    run.advance(in_turn(run))
    layers = [m for m in run.state.network.modules() if isinstance(m, nn.BatchNorm2d)]
    measured = [layer.running_mean.clone() for layer in layers]
    run._roll_back()  # to fresh weights, whose running statistics were never measured
    assert all(not layer.running_mean.any() for layer in layers)
    run.advance(in_turn(run))
    assert running(run) == {False}
    for layer, before in zip(layers, measured, strict=True):
        assert torch.allclose(layer.running_mean, before, atol=1e-5)  # same weights, same batches


def test_training_from_weights_holds_them_from_the_start(tmp_path):
    out = tmp_path / "model.safetensors"
    run = _Run(CONFIG, PSF, out, None)
    for _ in range(CONFIG.steps):
        run.advance(in_turn(run))
    tuned = TrainingConfig(**SETTINGS).for_fine_tuning()
    assert tuned.freeze_norms_at == 0
    assert CONFIG.for_fine_tuning().freeze_norms_at == 0.5  # what was stated stays
    fine = _Run(tuned, PSF, tmp_path / "tuned.safetensors", load_model(out))
    fine.advance(in_turn(fine))
    assert running(fine) == {False}
