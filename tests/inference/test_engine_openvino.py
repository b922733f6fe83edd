import sys
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference import engine as seam
from napari_dilatedloc.inference import engine_openvino
from napari_dilatedloc.inference.engine import EngineError, build_engine
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.network.registry import NETWORKS, build_network

# Not pytest.importorskip, whose plain import tells the web of it.
pytestmark = pytest.mark.skipif(
    find_spec("openvino") is None, reason="OpenVINO (extra 'openvino') is not installed"
)

CPU = torch.device("cpu")


def config(**settings):
    return LocalizeConfig(device="cpu", **settings)


def with_weights(name):
    torch.manual_seed(0)
    network = build_network(name).eval().requires_grad_(False)
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.kaiming_normal_(parameter)
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers_are_those_of_torch_in_every_shape(name):
    network = with_weights(name)
    exact = build_engine(network, CPU, config(engine="exact"))
    fast = build_engine(network, CPU, config(engine="openvino", precision="float32"))
    assert (fast.name, fast.precision) == ("openvino", "float32")
    for images, height, width in ((3, 32, 48), (2, 48, 32), (1, 32, 48)):
        x = torch.randn(1, images + network.window - 1, height, width)
        expected, got = exact(x), fast(x)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_auto_takes_it_and_results_do_not_share_memory(monkeypatch):
    network = load_model("astigmatism").network
    engine = build_engine(network, CPU, config(precision="float32"))
    assert engine.name == "openvino"
    x = torch.randn(2, 1, 4, 32, 32)
    first = engine(x[0])
    kept = first.clone()
    assert not engine(x[1]).equal(kept)
    assert first.equal(kept)


def test_what_it_cannot_run_is_run_by_torch(monkeypatch):
    def refuse(*args):
        raise EngineError("no such layer")

    monkeypatch.setattr(seam, "openvino_run", refuse)
    network = with_weights("dilatedloc")
    assert build_engine(network, CPU, config()).name == "torch"
    with pytest.raises(EngineError, match="no such layer"):
        build_engine(network, CPU, config(engine="openvino"))


class Relative(nn.Module):
    """Makes a plain number of what it sees, which tracing takes for a constant."""

    window, multiple, halo, channels = 1, 1, 0, ("prob",)

    def forward(self, x):
        return x[:, :, None] + float(x.abs().sum())


def test_other_numbers_are_noticed():
    with pytest.raises(
        EngineError, match="other numbers than torch for Relative; use engine torch"
    ):
        build_engine(Relative().eval(), CPU, config(engine="openvino"))


def test_only_on_cpus():
    with pytest.raises(EngineError, match="runs on the CPU, but the device is cuda:0"):
        engine_openvino.openvino_run(Relative(), torch.device("cuda:0"), "float32")


def test_memory_of_many_shapes_is_bounded(monkeypatch):
    monkeypatch.setattr(engine_openvino, "PIXELS_KEPT", 3 * 8 * 8 + 2 * 16 * 8)
    model = engine_openvino._model_for(with_weights("dilatedloc-2024"))
    run = engine_openvino._Compiled(model, "float32")
    for shape in ((1, 3, 8, 8), (1, 2, 16, 8), (1, 1, 8, 8)):
        run(torch.zeros(shape))
    assert [tuple(shape) for shape in run._requests] == [(1, 2, 16, 8), (1, 1, 8, 8)]


def test_it_does_not_phone_home():
    build_engine(with_weights("dilatedloc"), CPU, config(engine="openvino"))
    assert not any(name.startswith("openvino_telemetry") for name in sys.modules)
