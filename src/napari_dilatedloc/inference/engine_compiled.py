"""The network compiled by torch: inductor on CPUs, CUDA graphs on CUDA.

Compiling takes from tens of seconds to minutes for a shape (again less when torch finds it in its
cache), so it is done on request only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from napari_dilatedloc.inference.batching import is_out_of_memory
from napari_dilatedloc.inference.device import Precision, autocast_for, exact_convolutions

logger = logging.getLogger(__name__)

Run = Callable[[Tensor], Tensor]

HOW: dict[str, dict[str, Any]] = {
    "cpu": {"options": {"freezing": True}},  # weights as constants, laid out ahead
    "cuda": {"mode": "reduce-overhead"},  # CUDA graphs; not measured for want of a device
}


def compiled_run(
    network: nn.Module, device: torch.device, precision: Precision, instead: Run
) -> Run | None:
    """How the compiled network is run; None where torch cannot compile (told to the log).

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, on the device; its attributes need not be the protocol's.
    device : torch.device
        A CPU needs a C++ compiler.
    precision : str
        float32 or bfloat16.
    instead : callable
        Takes over if this very network turns out not to compile.
    """
    if device.type not in HOW:
        logger.warning("torch is not known to compile for %s: engine torch runs.", device.type)
        return None
    try:
        torch.compile(_trial)(torch.ones(8, device=device))
    except Exception as error:  # many kinds, of compilers too
        logger.warning("torch cannot compile here (%s): engine torch runs.", _in_short(error))
        return None
    return _Compiled(network, device, precision, instead)


class _Compiled:
    def __init__(
        self, network: nn.Module, device: torch.device, precision: Precision, instead: Run
    ) -> None:
        self._module = torch.compile(network, dynamic=False, **HOW[device.type])
        self._device, self._precision = device, precision
        self._instead = instead
        self._works = True

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """(1, T, H, W) to (T - window + 1, C, H, W), float32."""
        if not self._works:
            return self._instead(x)
        try:
            with exact_convolutions(), autocast_for(self._device, self._precision):
                raw: Tensor = self._module(x)[0].float()
        except Exception as error:
            if is_out_of_memory(error):
                raise
            logger.warning(
                "The network does not compile (%s): engine torch runs.", _in_short(error)
            )
            self._works = False
            return self._instead(x)
        # CUDA graphs write every result to the same memory.
        return raw.clone() if self._device.type == "cuda" else raw


def _trial(x: Tensor) -> Tensor:
    return torch.relu(x) + 1


def _in_short(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
