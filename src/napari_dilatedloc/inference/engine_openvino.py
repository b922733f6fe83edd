"""The network in OpenVINO (extra ``[openvino]``), which runs on any x86 or ARM CPU.

It lays out features for the cache and joins layers, so convolutions run nearer to the machine's
peak than layer by layer in torch.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from napari_dilatedloc.inference.device import Precision
from napari_dilatedloc.inference.engine_error import EngineError
from napari_dilatedloc.inference.engine_graph import gives_the_same, trial_frames
from napari_dilatedloc.inference.engine_shapes import LongestSeen
from napari_dilatedloc.network.registry import as_network

logger = logging.getLogger(__name__)

Run = Callable[[Tensor], Tensor]
ModelFor = Callable[[torch.Size], Any]
"""OpenVINO's model for a shape (1, T, H, W)."""

HINTS = {"float32": "f32", "bfloat16": "bf16"}
PIXELS_KEPT = 2**22
"""Pixels of the batches that compiled networks may be kept for: each holds the memory of all its
layers, about 0.7 kB a pixel with the default network. (Tiles at the edges of a field have shapes
of their own.)"""


def has_openvino() -> bool:
    """Whether the package is installed."""
    return find_spec("openvino") is not None


def openvino_run(network: nn.Module, device: torch.device, precision: Precision) -> Run:
    """How OpenVINO runs a network.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, on the CPU.
    device : torch.device
        Where the run was asked for.
    precision : str
        float32 or bfloat16, the latter where the CPU is fast at it.

    Raises
    ------
    EngineError
        If the package is missing, the device is no CPU, or OpenVINO cannot run this network.
    """
    if device.type != "cpu":
        raise EngineError(
            f"engine openvino runs on the CPU, but the device is {device}; use device cpu or "
            "engine auto"
        )
    if not has_openvino():
        raise EngineError(
            "engine openvino needs the package openvino, which is not installed; install it with "
            "pip install 'napari-dilatedloc[openvino]' or use engine auto"
        )
    name = type(network).__name__
    try:
        model = _model_for(network)
    except Exception as error:  # OpenVINO raises many kinds for layers it does not know
        raise EngineError(
            f"OpenVINO cannot run the network {name} ({str(error).strip().splitlines()[0]}); use "
            "engine torch"
        ) from error
    if model is None:
        raise EngineError(f"OpenVINO gives other numbers than torch for {name}; use engine torch")
    return LongestSeen(_Compiled(model, precision), as_network(network).window)


class _Compiled:
    """A network compiled once for every shape that comes."""

    def __init__(self, model: ModelFor, precision: Precision) -> None:
        self._model = model
        self._core = load_openvino().Core()
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, on all threads
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            # Two processes that both hold on to the first cores would share them.
            "ENABLE_CPU_PINNING": False,
        }
        self._requests: OrderedDict[torch.Size, Any] = OrderedDict()

    def __call__(self, x: Tensor) -> Tensor:
        """(1, T, H, W) to (T - window + 1, C, H, W), float32, in memory of its own."""
        shape = x.shape
        if shape not in self._requests:
            self._make_room(x.numel())
            compiled = self._core.compile_model(self._model(shape), "CPU", self._settings)
            self._requests[shape] = compiled.create_infer_request()
        self._requests.move_to_end(shape)
        frames = x.contiguous().numpy()
        result = self._requests[shape].infer({0: frames}, share_inputs=True, share_outputs=False)
        return torch.from_numpy(result[0])

    def _make_room(self, pixels: int) -> None:
        kept = sum(shape.numel() for shape in self._requests)
        while self._requests and kept + pixels > PIXELS_KEPT:
            kept -= self._requests.popitem(last=False)[0].numel()


class _First(nn.Module):
    """The run of the only movie in a batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(1, T, H, W) to (T - window + 1, C, H, W)."""
        raw: Tensor = self.network(x)[0]
        return raw


def _model_for(network: nn.Module) -> ModelFor | None:
    """How to get OpenVINO's model for a shape; None if it gives other numbers than torch."""
    small, other = trial_frames(network), trial_frames(network, larger=True)
    general = _converted(network, small)

    def reshaped(shape: torch.Size) -> Any:
        model = general.clone()
        model.reshape(list(shape))
        return model

    def anew(shape: torch.Size) -> Any:
        model = _converted(network, torch.zeros(shape))
        model.reshape(list(shape))
        return model

    exact = _First(network)
    try:
        if gives_the_same(_Compiled(reshaped, "float32"), exact, other):
            return reshaped
    except RuntimeError:  # sizes that the network asks for in its own way became constants
        logger.info("OpenVINO converts %s for each shape anew.", type(network).__name__)
    return anew if gives_the_same(_Compiled(anew, "float32"), exact, other) else None


def _converted(network: nn.Module, frames: Tensor) -> Any:
    """OpenVINO's model of a network, made by following `frames` (1, T, H, W) through it.

    By way of the front end, not `openvino.convert_model`, which takes six times as long (it traces
    twice and imports much).
    """
    load_openvino()
    with warnings.catch_warnings(), torch.no_grad():
        # torch.jit.trace is deprecated, and it warns of sizes that become constants: whether they
        # did is checked by running another shape.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(_First(network).eval(), frames, check_trace=False)
        decoder = import_module("openvino.frontend.pytorch.ts_decoder").TorchScriptPythonDecoder
        front = import_module("openvino.frontend").FrontEndManager().load_by_framework("pytorch")
        source = decoder(traced, example_input=frames)  # kept: the front end does not hold it
        loaded = front.load(source)
        model = front.convert(loaded)
    return model


def load_openvino() -> Any:
    """The package, imported for the first time without its telemetry."""
    with _no_telemetry():
        return import_module("openvino")


@contextmanager
def _no_telemetry() -> Iterator[None]:
    """Import OpenVINO without its telemetry, which sends an event to the web at every import.

    OpenVINO itself goes on without that package where it is not there.
    """
    name = "openvino_telemetry"
    if name in sys.modules or "openvino" in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
