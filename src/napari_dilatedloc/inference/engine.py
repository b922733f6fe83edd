"""Ways to run a network, from layer by layer to compiled; one interface.

Speed relative to ``exact`` and share of the fastest 3x3 convolution of the machine, of the default
network on one core of a CPU with AVX512-BF16 (AMD Zen 4), for 16 frames of 64 px and 8 of 128 px;
and how far localizations lie from those of ``exact`` in 100 to 400 frames of the standard test of
each shipped model: largest rms along x or y, along z, largest share that only one has
(`agreement`). Shares in brackets; ``compiled`` was timed on another occasion.

=========  =========  ============  ============  =======  =======  ============
engine     precision  speed 64 px   speed 128 px  rms x,y  rms z    only one has
=========  =========  ============  ============  =======  =======  ============
exact      float32    1     (0.72)  1     (0.61)
torch      float32    1.04  (0.74)  1.0   (0.60)  0.1 pm   0.1 pm   0
compiled   float32                  1.18
openvino   float32    1.29  (0.91)  1.25  (0.76)  0.1 pm   0.1 pm   0
torch      bfloat16   2.15  (0.67)  2.0   (0.61)  0.7 nm   1.5 nm   0.31%
compiled   bfloat16                 2.41
openvino   bfloat16   2.71  (0.85)  2.54  (0.77)  0.7 nm   2.9 nm   0.36%
=========  =========  ============  ============  =======  =======  ============

So ``auto`` is OpenVINO where it is installed, else torch, in float32: the speed of bfloat16 costs
more than the 1 nm and 0.2% that `agreement` allows. Against the truth little changes (Jaccard by
0.001 at most, RMSE by 1%). First and last layers in float32, as `engine_graph` keeps them, did
not change that, and no layer makes most of the rounding. Converting to OpenVINO takes about half a
second, what two hundred frames of 64 px save; compiling takes over half a minute, hence on request
only.
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
