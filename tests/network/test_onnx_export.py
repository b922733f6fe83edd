from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from napari_dilatedloc.cli.app import app
from napari_dilatedloc.inference.engine_openvino import load_openvino
from napari_dilatedloc.network import onnx_export
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.network.onnx_export import OnnxExportError, export_onnx
from napari_dilatedloc.network.registry import NETWORKS, build_network

needs_onnx = pytest.mark.skipif(
    find_spec("onnx") is None, reason="the package onnx (extra 'onnx') is not installed"
)


@pytest.fixture(scope="module")
def model():
    return load_model("astigmatism")


def run_file(path, frames):
    """Output of an ONNX file in whatever runtime is here."""
    if find_spec("onnxruntime"):
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(["raw"], {"frames": frames})[0]
    if not find_spec("openvino"):
        pytest.skip("neither onnxruntime nor openvino is installed")
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return load_openvino().Core().compile_model(path, "CPU", settings)({"frames": frames})["raw"]


@needs_onnx
@pytest.mark.parametrize("name", NETWORKS)
def test_file_gives_what_the_network_gives(model, tmp_path, name):
    torch.manual_seed(0)
    network = model.network if name == "dilatedloc" else build_network(name).eval()
    path = tmp_path / "network.onnx"
    free = export_onnx(replace(model, network=network), path, size=30, frames=3)
    assert list(tmp_path.iterdir()) == [path]
    for size in ((32, 32), (64, 48)) if free else ((32, 32),):
        frames = torch.randn(1, 2 + network.window, *size)
        with torch.no_grad():
            expected = network(frames).numpy()
        got = run_file(path, frames.numpy())
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@needs_onnx
def test_default_network_takes_frames_of_any_size(model, tmp_path):
    assert export_onnx(model, tmp_path / "network.onnx")


class Unknown(nn.Module):
    """Asks for something ONNX has no operator for."""

    window, multiple, halo, channels = 1, 1, 0, ("prob",)

    def forward(self, x):
        return torch.special.airy_ai(x)[:, :, None]


@needs_onnx
def test_what_onnx_does_not_know_is_said(model, tmp_path):
    with pytest.raises(OnnxExportError, match="cannot be written as ONNX"):
        export_onnx(replace(model, network=Unknown()), tmp_path / "network.onnx")
    assert not list(tmp_path.iterdir())


def test_missing_package_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(OnnxExportError, match=r"pip install 'napari-dilatedloc\[onnx\]'"):
        export_onnx(model, tmp_path / "network.onnx")


def test_suffix_is_checked_first(model, tmp_path):
    with pytest.raises(OnnxExportError, match=r"ONNX files end in \.onnx, got network\.pt"):
        export_onnx(model, tmp_path / "network.pt")


def test_command_passes_the_sentence_on(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    out = tmp_path / "network.onnx"
    result = CliRunner().invoke(app, ["export-onnx", "astigmatism", "--out", str(out)])
    assert isinstance(result.exception, OnnxExportError)
    assert not out.exists()


@needs_onnx
def test_command_says_what_the_file_takes(tmp_path):
    out = tmp_path / "network.onnx"
    result = CliRunner().invoke(app, ["export-onnx", "astigmatism", "--out", str(out)])
    assert result.exit_code == 0
    assert "8 frames a call, of any size; input is (photons - " in result.stderr
    assert out.stat().st_size > 1e6
