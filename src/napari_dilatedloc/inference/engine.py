"""Ways to run a network, from layer by layer to compiled; one interface.

Measured with the default network on one core of a CPU with AVX512-BF16 (AMD, Zen 4), frames of
64 and 128 px in batches of 16 and 8, as speed relative to `exact`, and how far the localizations
of the four shipped models in their standard tests lie from those of `exact` (largest rms along x
or y, along z; largest share that only one has):

TABLE
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.device import (
    Precision,
    autocast_for,
    exact_convolutions,
    fast_bfloat16,
)
from napari_dilatedloc.inference.engine_compiled import compiled_run
from napari_dilatedloc.inference.engine_error import EngineError
from napari_dilatedloc.inference.engine_graph import prepare
from napari_dilatedloc.inference.engine_openvino import has_openvino, openvino_run
from napari_dilatedloc.inference.engine_shapes import LongestSeen
from napari_dilatedloc.network.registry import as_network

__all__ = ["Engine", "EngineError", "build_engine"]

logger = logging.getLogger(__name__)

Name = Literal["exact", "torch", "compiled", "openvino"]
Run = Callable[[Tensor], Tensor]

AUTO_PRECISION: Precision = "float32"
"""What precision "auto" is on every device; see the table above for why not bfloat16."""


@dataclass(frozen=True)
class Engine:
    """A network ready to run on its device.

    Attributes
    ----------
    name : str
        exact, torch, compiled or openvino.
    precision : str
        float32 or bfloat16: in which most of it computes.
    run : callable
        What `__call__` does.
    """

    name: Name
    precision: Precision
    run: Run

    def __call__(self, x: Tensor) -> Tensor:
        """(1, T, H, W) normalized photons to raw output (T - window + 1, C, H, W), float32."""
        return self.run(x)


def build_engine(network: nn.Module, device: torch.device, config: LocalizeConfig) -> Engine:
    """Engine for a run.

    Parameters
    ----------
    network : nn.Module
        Follows the protocol `registry.Network`; left untouched.
    device : torch.device
        Where it shall run.
    config : LocalizeConfig
        ``engine`` and ``precision``; nothing else, so that all parts of a run that is spread over
        processes are run alike.

    Raises
    ------
    EngineError
        If the engine that was asked for by name cannot be had here.
    """
    # A copy, because moving a module moves it for everyone who holds it.
    plain = copy.deepcopy(network).eval().requires_grad_(False)
    plain = plain.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.engine == "exact":
        return Engine("exact", "float32", _run(plain, device, "float32"))
    wanted = AUTO_PRECISION if config.precision == "auto" else config.precision
    precision: Precision = wanted if fast_bfloat16(device) else "float32"
    if config.engine == "openvino":
        return Engine("openvino", precision, openvino_run(plain, device, precision))
    if config.engine == "auto" and device.type == "cpu" and has_openvino():
        try:
            return Engine("openvino", precision, openvino_run(plain, device, precision))
        except EngineError as error:
            logger.info("%s", error)
    graph = prepare(plain)
    simple = _run(graph, device, precision)
    if config.engine == "compiled":
        run = compiled_run(graph, device, precision, simple)
        if run is not None:
            window = as_network(plain).window
            return Engine("compiled", precision, LongestSeen(run, window))
    return Engine("torch", precision, simple)


def _run(network: nn.Module, device: torch.device, precision: Precision) -> Run:
    """The network layer by layer."""

    @torch.inference_mode()
    def run(x: Tensor) -> Tensor:
        with exact_convolutions(), autocast_for(device, precision):
            raw: Tensor = network(x)[0].float()
        return raw

    return run
