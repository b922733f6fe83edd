import threading

import pytest
import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import GaussianPSFConfig, SCMOSConfig, SimulationConfig
from napari_dilatedloc.network.output import scaling_for
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.training.batches import BatchMaker, batches

SIMULATION = SimulationConfig(density_per_um2=(0.3, 0.6), photons=(3000, 6000))


@pytest.fixture
def maker():
    psf = GaussianPSF(GaussianPSFConfig(roi_size=15))
    simulator = Simulator(psf, build_camera(SCMOSConfig()), SIMULATION)
    scaling = scaling_for(SIMULATION, simulator.z_range_nm)
    return BatchMaker(simulator, scaling, movies=2, frames=4, side=24, window=3)


def generator():
    return torch.Generator().manual_seed(3)


def take(maker, count, *, ahead):
    with batches(maker, generator(), ahead=ahead) as feed:
        return [next(feed) for _ in range(count)]


def test_batches_have_the_asked_shape(maker):
    batch = maker.draw(generator())
    assert batch.frames.shape == (2, 4, 24, 24)
    assert batch.targets.bg.shape == (4, 24, 24)
    assert len(batch.targets.image)


def test_a_thread_makes_the_same_batches(maker):
    for one, other in zip(take(maker, 5, ahead=False), take(maker, 5, ahead=True), strict=True):
        assert torch.equal(one.frames, other.frames)
        assert torch.equal(one.generator_state, other.generator_state)


def test_the_state_after_a_batch_gives_the_next_one(maker):
    first, second = take(maker, 2, ahead=True)
    again = generator()
    again.set_state(first.generator_state)
    assert torch.equal(maker.draw(again).frames, second.frames)


def test_no_thread_is_left(maker):
    take(maker, 1, ahead=True)
    assert "simulation" not in [thread.name for thread in threading.enumerate()]


def test_an_error_in_the_thread_reaches_the_taker(maker, monkeypatch):
    def fail(*_):
        raise RuntimeError("no light")

    monkeypatch.setattr(BatchMaker, "draw", fail)
    with pytest.raises(RuntimeError, match="no light"):
        take(maker, 1, ahead=True)
