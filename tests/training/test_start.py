import pytest
import torch
from torch import nn

from napari_dilatedloc.config import SimulationConfig
from napari_dilatedloc.network.output import CHANNELS, activate, scaling_for
from napari_dilatedloc.network.registry import NetworkError, build_network
from napari_dilatedloc.training.start import adapted, fresh_network

SIMULATION = SimulationConfig()


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


class Stranger(nn.Module):
    """Network of somebody else; its last layer has another name."""

    window, multiple, halo, channels = 1, 1, 0, CHANNELS

    def __init__(self, **last):
        super().__init__()
        self.last = nn.Conv2d(1, len(CHANNELS), 1)
        for name, layer in last.items():
            setattr(self, name, layer)


@pytest.mark.parametrize("last", [{}, {"out": nn.ReLU()}, {"out": nn.Conv2d(1, 3, 1)}])
def test_a_network_without_an_output_layer_keeps_its_scaling(last):
    network, scaling = Stranger(**last), scaling_for(SIMULATION, (-700.0, 700.0))
    copied, kept = adapted(network, scaling, (-500.0, 700.0))
    assert kept == scaling
    assert copied is not network
    assert torch.equal(copied.last.weight, network.last.weight)
    sentence = "Stranger reach from -700 to 700 nm, but -700 to 900 nm are wanted"
    with pytest.raises(NetworkError, match=sentence):
        adapted(network, scaling, (-700.0, 900.0))


def test_fresh_weights_follow_the_seed():
    one, same, other = (fresh_network("dilatedloc", seed) for seed in (1, 1, 2))
    assert torch.equal(one.stem[0].weight, same.stem[0].weight)
    assert not torch.equal(one.stem[0].weight, other.stem[0].weight)


def test_an_unknown_network_is_named():
    with pytest.raises(ValueError, match="no network named 'x'"):
        fresh_network("x", 0)
