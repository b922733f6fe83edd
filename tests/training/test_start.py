import pytest
import torch

from napari_dilatedloc.config import (
    GaussianPSFConfig,
    ModelInfo,
    SCMOSConfig,
    SimulationConfig,
)
from napari_dilatedloc.network.output import CHANNELS, activate, scaling_for
from napari_dilatedloc.network.registry import build_network
from napari_dilatedloc.training.start import adapted, distance, fresh_network, nearest

SIMULATION = SimulationConfig()


def info(depth_nm, roi_size=25, network="dilatedloc"):
    psf = GaussianPSFConfig(z_range_nm=(-depth_nm, depth_nm), roi_size=roi_size)
    return ModelInfo(
        network=network,
        scaling=scaling_for(SIMULATION, psf.z_range_nm),
        camera=SCMOSConfig(),
        psf=psf,
        simulation=SIMULATION,
    )


MODELS = {"shallow": info(700), "deep": info(3000, 51), "other": info(700, network="else")}


def test_the_nearest_model_of_the_network_is_chosen():
    wanted = GaussianPSFConfig(z_range_nm=(-600.0, 600.0), roi_size=21)
    assert nearest(wanted, "dilatedloc", MODELS) == "shallow"
    assert nearest(MODELS["deep"].psf, "dilatedloc", MODELS) == "deep"
    assert distance(MODELS["deep"].psf, MODELS["deep"]) == 0


def test_nothing_is_chosen_where_all_are_unlike():
    tiny = GaussianPSFConfig(z_range_nm=(-50.0, 50.0), roi_size=9)
    assert nearest(tiny, "dilatedloc", MODELS) is None
    assert nearest(tiny, "dilatedloc", {}) is None


def test_an_adapted_network_says_the_same_heights():
    torch.manual_seed(0)
    network = build_network("dilatedloc").eval()
    torch.nn.init.normal_(network.out.weight, std=0.02)
    with torch.no_grad():
        network.out.bias[CHANNELS.index("sigma_z")] = -4.0
    scaling = scaling_for(SIMULATION, (-700.0, 700.0))
    wider, rescaled = adapted(network, scaling, (-1400.0, 2000.0))
    assert (rescaled.z_scale_nm, rescaled.z_centre_nm) == (1700.0, 300.0)
    frames = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        before = activate(network(frames)[0], CHANNELS, scaling)
        after = activate(wider(frames)[0], CHANNELS, rescaled)
    near = before.z_nm.abs() < 200  # where both are linear
    assert torch.allclose(after.z_nm[near], before.z_nm[near], atol=25.0)
    assert torch.allclose(after.sigma_z_nm, before.sigma_z_nm, rtol=0.2, atol=2.0)
    assert torch.equal(after.photons, before.photons)


def test_the_given_network_stays_as_it_was():
    network = build_network("dilatedloc")
    before = network.out.bias.clone()
    adapted(network, scaling_for(SIMULATION, (-700.0, 700.0)), (-3000.0, 3000.0))
    assert torch.equal(network.out.bias, before)


def test_fresh_weights_follow_the_seed():
    one, same, other = (fresh_network("dilatedloc", seed) for seed in (1, 1, 2))
    assert torch.equal(one.stem[0].weight, same.stem[0].weight)
    assert not torch.equal(one.stem[0].weight, other.stem[0].weight)


def test_an_unknown_network_is_named():
    with pytest.raises(ValueError, match="no network named 'x'"):
        fresh_network("x", 0)
