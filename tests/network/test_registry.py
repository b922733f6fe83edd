import pytest
import torch
from torch import nn

from napari_dilatedloc.network.output import CHANNELS
from napari_dilatedloc.network.registry import (
    NETWORKS,
    NetworkError,
    as_network,
    build_all,
    build_network,
    count_macs,
    count_parameters,
    measure_halo,
    network_names,
    register_network,
    unregister_network,
)


class Pixelwise(nn.Module):
    """The smallest network there can be."""

    window = 1
    multiple = 1
    halo = 0
    channels = CHANNELS

    def __init__(self):
        super().__init__()
        self.out = nn.Conv2d(1, len(self.channels), 1)

    def forward(self, frames):
        return self.out(frames.flatten(0, 1)[:, None]).unflatten(0, frames.shape[:2])


@pytest.fixture
def register():
    """Register networks for one test."""
    names = []

    def call(name, builder):
        register_network(name, builder)
        names.append(name)

    yield call
    for name in set(names):
        unregister_network(name)


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


def test_a_registered_network_is_one_of_all(register):
    register("pixelwise", Pixelwise)
    assert network_names()[: len(NETWORKS)] == tuple(NETWORKS)
    assert "pixelwise" in network_names()
    assert isinstance(build_network("pixelwise"), Pixelwise)
    with pytest.raises(NetworkError, match="pixelwise"):
        build_network("unet")


def test_all_networks_are_built(register):
    register("pixelwise", Pixelwise)
    modules = build_all()
    assert {*NETWORKS, "pixelwise"} <= set(modules)
    assert all(name in network_names() for name in modules)


def test_a_network_that_is_gone_is_unknown(register):
    register_network("pixelwise", Pixelwise)
    unregister_network("pixelwise")
    with pytest.raises(NetworkError, match="no network named 'pixelwise'"):
        build_network("pixelwise")
    with pytest.raises(NetworkError, match="no network 'pixelwise' was registered"):
        unregister_network("pixelwise")


def test_a_name_is_given_once(register):
    with pytest.raises(NetworkError, match="'liteloc' is taken by a built-in network"):
        register("liteloc", Pixelwise)
    register("pixelwise", Pixelwise)
    register("pixelwise", Pixelwise)  # the same again, as when a notebook's cell is run twice
    with pytest.raises(NetworkError, match="'pixelwise' is taken by a network registered before"):
        register("pixelwise", lambda: Pixelwise())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 2}, "window of network 'odd' must be odd, got 2"),
        ({"multiple": 0}, "multiple of at least 1 px"),
        ({"halo": -1}, "halo of at least 0"),
        ({"channels": CHANNELS[1:]}, r"channels of network 'odd' must be prob, x, .* got x, y"),
        ({"channels": (*CHANNELS[:-1], "prob")}, "rename them"),
        ({"channels": (*CHANNELS, "psf")}, "rename them"),
    ],
)
def test_what_does_not_follow_the_protocol_is_refused(register, changes, message):
    register("odd", type("Odd", (Pixelwise,), changes))
    with pytest.raises(NetworkError, match=message):
        build_network("odd")


def test_a_network_without_background_is_one(register):
    register("plain", type("Plain", (Pixelwise,), {"channels": CHANNELS[:-1][::-1]}))
    assert as_network(build_network("plain")).channels[-1] == "prob"


def test_what_is_no_network_says_what_it_lacks(register):
    register("linear", lambda: nn.Linear(1, 1))
    with pytest.raises(NetworkError, match="does not state window, multiple, halo, channels"):
        build_network("linear")
    register("text", lambda: "network")
    with pytest.raises(NetworkError, match=r"must be a torch\.nn\.Module, got str"):
        build_network("text")


def test_what_cannot_be_used_is_left_out_with_a_warning(register, caplog):
    register("linear", lambda: nn.Linear(1, 1))
    assert "linear" not in build_all()
    assert "does not state window" in caplog.text


def dilated(distance, stride=1):
    """Pixelwise network after one layer that looks so far, at a stride."""
    look = nn.Conv2d(1, 1, 3, padding=distance, dilation=distance)
    pool = nn.AvgPool2d(stride)

    class Looking(Pixelwise):
        multiple = stride

        def __init__(self):
            super().__init__()
            self.look = nn.Sequential(pool, look, nn.Upsample(scale_factor=stride))

        def forward(self, frames):
            seen = self.look(frames.flatten(0, 1)[:, None])[:, 0]
            return super().forward(seen.unflatten(0, frames.shape[:2]))

    return Looking()


@pytest.mark.parametrize(("distance", "stride", "halo"), [(7, 1, 7), (5, 2, 12), (31, 4, 128)])
def test_the_halo_is_measured(distance, stride, halo):
    # At stride s the last pixel of a cell sees `distance` cells on, to the last pixel there or,
    # from the first, s - 1 more: s * distance + s - 1, rounded up to s.
    assert measure_halo(dilated(distance, stride)) == halo
    assert measure_halo(Pixelwise()) == 0


def test_a_norm_over_the_frame_has_no_halo():
    class Normed(Pixelwise):
        def forward(self, frames):
            return super().forward(nn.functional.layer_norm(frames, frames.shape[-2:]))

    with pytest.raises(NetworkError, match="more than 512 px away"):
        measure_halo(Normed())
