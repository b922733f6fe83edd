import pytest
import torch

from napari_dilatedloc.network.registry import (
    NETWORKS,
    as_network,
    build_network,
    count_macs,
    count_parameters,
)


def test_published_network_has_the_published_size():
    network = build_network("dilatedloc-2024")
    assert count_parameters(network) == 453_835
    assert count_macs(network, 128) == 20_241_776_640


def test_default_network_keeps_its_budget():
    network = build_network("dilatedloc")
    assert count_parameters(network) <= 1_400_000
    assert count_macs(network, 128) <= 2.0e9


def test_unknown_network_names_the_known_ones():
    with pytest.raises(ValueError, match="dilatedloc-2024"):
        build_network("unet")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_run_gives_one_output_per_window(name):
    network = build_network(name).eval()
    typed = as_network(network)
    frames = torch.randn(2, typed.window + 2, 32, 40)
    raw = network(frames)
    assert raw.shape == (2, 3, len(typed.channels), 32, 40)
    alone = network(frames[:, 1 : 1 + typed.window])
    assert torch.allclose(raw[:, 1:2], alone, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_first_guess_is_that_there_is_nothing(name):
    network = build_network(name).eval()
    frames = torch.zeros(1, as_network(network).window, 32, 32)
    logit = network(frames)[0, 0, as_network(network).channels.index("prob")]
    assert torch.sigmoid(logit).mean() < 0.05
