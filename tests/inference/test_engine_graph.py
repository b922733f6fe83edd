import logging

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from napari_dilatedloc.inference.engine_graph import ExactLayer, prepare, trial_frames
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.network.registry import build_network


class OneFrame(nn.Module):
    """Base of small networks on single frames, with batch norms that do something."""

    window, multiple, halo, channels = 1, 1, 8, ("prob", "x")

    def settle(self):
        generator = torch.Generator().manual_seed(0)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                for values in (module.running_mean, module.weight.data, module.bias.data):
                    values.copy_(torch.randn(values.shape, generator=generator))
                module.running_var.uniform_(0.5, 2, generator=generator)
        return self.eval()

    def forward(self, x):
        return self.layers(x.flatten(0, 1)[:, None]).unflatten(0, x.shape[:2])


class Plain(OneFrame):
    def __init__(self, first=None):
        super().__init__()
        self.layers = nn.Sequential(
            first or nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 2, 1),
        )
        self.settle()


class Standardized(nn.Conv2d):
    """Divides its weights by their norm, so that no factor can be put into them."""

    def forward(self, x):
        return F.conv2d(x, self.weight / self.weight.norm(), self.bias, padding=self.padding)


class Twice(OneFrame):
    """One convolution before two batch norms, and one that is run twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.a, self.b = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.again, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.out = nn.Conv2d(4, 2, 1)
        self.settle()

    def forward(self, x):
        y = self.first(x.flatten(0, 1)[:, None])
        y = self.a(y) - self.b(y)
        y = self.again(self.norm(self.again(y)))
        return self.out(y).unflatten(0, x.shape[:2])


class LooksAtValues(Plain):
    def forward(self, x):
        return super().forward(x if x.mean() > -100 else -x)


def norms(module):
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())


def exact_layers(module):
    return [layer for layer in module.modules() if isinstance(layer, ExactLayer)]


@torch.no_grad()
def assert_same(network):
    prepared = prepare(network)
    x = trial_frames(network, larger=True)
    torch.testing.assert_close(
        prepared(x), network(x), rtol=0, atol=1e-5 * float(network(x).abs().max())
    )
    return prepared


def test_batch_norms_go_into_convolutions():
    network = Plain()
    prepared = assert_same(network)
    assert (norms(network), norms(prepared)) == (2, 0)


def test_shipped_network_has_no_batch_norm_left():
    network = load_model("astigmatism").network
    prepared = assert_same(network)
    assert norms(network) > 20
    assert norms(prepared) == 0
    weights = [(layer.first, layer.layer.in_channels) for layer in exact_layers(prepared)]
    assert weights == [(True, 4), (False, 16)]  # the stem, and the layer of the output


def test_layers_that_serve_twice_stay():
    assert norms(assert_same(Twice())) == 3


def test_a_batch_norm_before_its_convolution_stays():
    network = build_network("dilatedloc-2024").eval()
    assert norms(assert_same(network)) == norms(network)


def test_other_numbers_are_noticed(caplog):
    network = Plain(Standardized(1, 4, 3, padding=1))
    network.layers[1].weight.data *= 3
    with caplog.at_level(logging.INFO):
        prepared = assert_same(network)
    assert norms(prepared) == 2
    assert "gives other numbers as a graph" in caplog.text


def test_what_cannot_be_traced_runs_as_it_is(caplog):
    network = LooksAtValues()
    with caplog.at_level(logging.INFO):
        prepared = assert_same(network)
    assert type(prepared) is LooksAtValues
    assert prepared is not network
    assert "cannot be traced" in caplog.text


def test_ends_stay_in_float32_under_an_autocast():
    seen = []
    prepared = prepare(Plain())
    for layer in prepared.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(
                lambda _, args, out: seen.append((args[0].dtype, out.dtype))
            )
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        raw = prepared(torch.randn(1, 2, 8, 8))
    full, half = torch.float32, torch.bfloat16
    assert seen == [(full, full), (half, half), (full, full)]
    assert raw.dtype == full


@pytest.mark.parametrize("name", ["dilatedloc", "decode"])
def test_trial_frames_differ_in_every_size(name):
    network = build_network(name)
    small, large = trial_frames(network), trial_frames(network, larger=True)
    assert all(a < b for a, b in zip(small.shape[1:], large.shape[1:], strict=True))
    assert large.shape[2] != large.shape[3]
    assert all(side % network.multiple == 0 for side in (*small.shape[2:], *large.shape[2:]))
