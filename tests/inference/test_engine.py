import copy

import pytest
import torch
from torch import nn

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference import engine as seam
from napari_dilatedloc.inference.engine import EngineError, build_engine
from napari_dilatedloc.inference.engine_shapes import LongestSeen
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.network.registry import NETWORKS, build_network

CPU = torch.device("cpu")


def config(**settings):
    return LocalizeConfig(device="cpu", **settings)


def frames(network, *, images=3, height=32, width=48, seed=0):
    """Noise, (1, T, H, W), sides in strides of all networks."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, images + network.window - 1, height, width, generator=generator)


@pytest.fixture(scope="module")
def trained():
    return load_model("astigmatism").network


@pytest.fixture(autouse=True)
def _no_openvino(monkeypatch):
    """Engines here are those of torch; OpenVINO has a file of its own."""
    monkeypatch.setattr(seam, "has_openvino", lambda: False)


def test_exact_is_the_module_and_leaves_it_alone(trained):
    module = copy.deepcopy(trained).train()
    before = copy.deepcopy(module.state_dict())
    engine = build_engine(module, CPU, config(engine="exact", precision="bfloat16"))
    x = frames(trained)
    expected = trained(x)[0]
    torch.testing.assert_close(engine(x), expected, rtol=0, atol=1e-5)
    assert (engine.name, engine.precision) == ("exact", "float32")
    assert module.training
    assert not module.stem[0].weight.is_contiguous(memory_format=torch.channels_last)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_runs_alike_in_float32(name):
    torch.manual_seed(0)
    network = build_network(name).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.kaiming_normal_(parameter)
    x = frames(network)
    exact = build_engine(network, CPU, config(engine="exact"))(x)
    fast = build_engine(network, CPU, config(engine="torch", precision="float32"))(x)
    assert fast.shape == exact.shape == (3, len(network.channels), 32, 48)
    assert fast.dtype == torch.float32
    torch.testing.assert_close(fast, exact, rtol=0, atol=1e-4 * float(exact.abs().max()))


def test_bfloat16_is_near_and_comes_back_as_float32(trained, monkeypatch):
    monkeypatch.setattr(seam, "fast_bfloat16", lambda device: True)
    x = frames(trained)
    exact = build_engine(trained, CPU, config(engine="exact"))(x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_dilatedloc.inference.device.fast_bfloat16", lambda device: True)
        engine = build_engine(trained, CPU, config(engine="torch", precision="bfloat16"))
        raw = engine(x)
    assert (engine.name, engine.precision) == ("torch", "bfloat16")
    assert raw.dtype == torch.float32
    error = (raw - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert 1e-4 < error < 1e-2  # 8 bits are 2e-3 for each number


def test_bfloat16_only_where_it_is_fast(trained, monkeypatch):
    monkeypatch.setattr(seam, "fast_bfloat16", lambda device: False)
    engine = build_engine(trained, CPU, config(engine="torch", precision="bfloat16"))
    assert engine.precision == "float32"


def test_auto_without_openvino_is_torch(trained):
    engine = build_engine(trained, CPU, config())
    assert (engine.name, engine.precision) == ("torch", seam.AUTO_PRECISION)


@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
def test_mps_runs_torch_in_float32(trained, monkeypatch, precision):
    moved = []

    def to(module, **where):
        moved.append(where["device"].type)
        return module

    monkeypatch.setattr(nn.Module, "to", to)
    engine = build_engine(trained, torch.device("mps"), config(precision=precision))
    assert (engine.name, engine.precision, moved) == ("torch", "float32", ["mps"])


def test_openvino_needs_its_package(trained, monkeypatch):
    monkeypatch.setattr(
        "napari_dilatedloc.inference.engine_openvino.find_spec", lambda package: None
    )
    with pytest.raises(EngineError, match=r"pip install 'napari-dilatedloc\[openvino\]'"):
        build_engine(trained, CPU, config(engine="openvino"))


class TestLongestSeen:
    """A run of window 3 that notes the shapes it is given and sums over the window."""

    def run_and_shapes(self):
        shapes = []

        def run(x):
            shapes.append(tuple(x.shape))
            if x.shape[1] > 8:
                raise RuntimeError("out of memory")
            return (x[0, :-2] + x[0, 1:-1] + x[0, 2:])[:, None]

        return LongestSeen(run, 3), run, shapes

    def test_short_batches_take_the_shape_of_the_longest(self):
        longest, run, shapes = self.run_and_shapes()
        x = torch.randn(1, 7, 4, 5)
        for count in (7, 4, 3):
            part = x[:, :count]
            torch.testing.assert_close(longest(part), run(part))
        assert shapes[::2] == [(1, 7, 4, 5)] * 3
        longest(x[:, :3, :2])
        assert shapes[-1] == (1, 3, 2, 5)  # another size of frames is another shape

    def test_after_an_error_nothing_is_filled_up(self):
        longest, _, shapes = self.run_and_shapes()
        longest(torch.zeros(1, 8, 4, 4))
        with pytest.raises(RuntimeError, match="memory"):
            longest(torch.zeros(1, 9, 4, 4))
        assert longest(torch.zeros(1, 5, 4, 4)).shape == (3, 1, 4, 4)
        assert shapes[-1] == (1, 5, 4, 4)
