import logging
import shutil

import pytest
import torch
from torch import nn

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.engine import build_engine

CPU = torch.device("cpu")
CONFIG = LocalizeConfig(device="cpu", engine="compiled", precision="float32")


class Small(nn.Module):
    window, multiple, halo, channels = 3, 1, 2, ("prob", "x")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1)
        )
        self.eval().requires_grad_(False)

    def forward(self, x):
        windows = torch.stack([x[0, :-2], x[0, 1:-1], x[0, 2:]], 1)
        return self.layers(windows)[None]


def test_without_a_compiler_torch_runs(monkeypatch, caplog):
    def compile_(*args, **options):
        raise RuntimeError("No working C++ compiler found\nin a long list")

    monkeypatch.setattr(torch, "compile", compile_)
    with caplog.at_level(logging.WARNING):
        engine = build_engine(Small(), CPU, CONFIG)
    assert engine.name == "torch"
    assert "No working C++ compiler found): engine torch runs." in caplog.text
    x = torch.randn(1, 5, 8, 8)
    torch.testing.assert_close(engine(x), Small()(x)[0])


@pytest.fixture
def failing(monkeypatch):
    """torch.compile whose second result raises what is in the list, once it is called."""
    errors = []

    def compile_(function, **options):
        def run(x):
            if isinstance(function, nn.Module) and errors:
                raise errors[0]
            return function(x)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    return errors


def test_a_network_that_does_not_compile_is_run_by_torch(failing, caplog):
    failing.append(RuntimeError("BackendCompilerFailed"))
    engine = build_engine(Small(), CPU, CONFIG)
    x = torch.randn(1, 5, 8, 8)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            torch.testing.assert_close(engine(x), Small()(x)[0])
    assert caplog.text.count("does not compile (BackendCompilerFailed)") == 1


def test_memory_that_runs_out_is_not_hidden(failing):
    failing.append(RuntimeError("CUDA out of memory. Tried to allocate"))
    engine = build_engine(Small(), CPU, CONFIG)
    with pytest.raises(RuntimeError, match="out of memory"):
        engine(torch.randn(1, 5, 8, 8))


def test_short_batches_do_not_compile_anew(failing, monkeypatch):
    shapes = []
    engine = build_engine(Small(), CPU, CONFIG)
    monkeypatch.setattr(
        Small, "forward", lambda self, x: pytest.fail("the graph should run, not the module")
    )
    module = engine.run._run._module
    monkeypatch.setattr(engine.run._run, "_module", lambda x: shapes.append(x.shape) or module(x))
    x = torch.randn(1, 6, 8, 8)
    whole = engine(x)
    torch.testing.assert_close(engine(x[:, :4]), whole[:2])
    assert shapes == [(1, 6, 8, 8)] * 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_compiled_network_gives_the_same():
    engine = build_engine(Small(), CPU, CONFIG)
    assert engine.name == "compiled"
    x = torch.randn(1, 6, 8, 8)
    for part in (x, x[:, :4]):
        torch.testing.assert_close(engine(part), Small()(part)[0], rtol=1e-4, atol=1e-4)
