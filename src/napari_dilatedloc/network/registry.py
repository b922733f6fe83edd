"""Networks by name, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from napari_dilatedloc.network.dilatedloc import DilatedLoc
from napari_dilatedloc.network.dilatedloc_2024 import DilatedLoc2024


class Network(Protocol):
    """What a module must offer to be trained and run here (see `dilatedloc.DilatedLoc`)."""

    window: int
    multiple: int
    halo: int
    channels: tuple[str, ...]

    def __call__(self, frames: Tensor) -> Tensor:
        """(B, T, H, W) normalized photons to raw (B, T - window + 1, C, H, W)."""
        ...


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "dilatedloc": DilatedLoc,
    "dilatedloc-2024": DilatedLoc2024,
}


def build_network(name: str) -> nn.Module:
    """Untrained network by registry name."""
    if name not in NETWORKS:
        raise ValueError(f"no network named {name!r}; use one of {', '.join(NETWORKS)}")
    return NETWORKS[name]()


def as_network(module: nn.Module) -> Network:
    """The same module, typed by the protocol it follows."""
    return cast("Network", module)


def count_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_macs(module: nn.Module, size: int = 128) -> int:
    """Multiply-accumulates for one more frame of a stream of size x size px frames.

    The difference of two runs that differ by one frame is what one frame costs once the stream
    flows, so that features shared by neighbouring windows count once. Convolutions count
    kernel x channels in per output number, batch norms four per number (as the `thop`
    tool counts, which made the paper's Table 3).
    """
    window = as_network(module).window
    return _macs_of_run(module, size, window + 1) - _macs_of_run(module, size, window)


def _macs_of_run(module: nn.Module, size: int, frames: int) -> int:
    total = 0

    def add(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.BatchNorm2d):
            total += 4 * output.numel()

    handles = [layer.register_forward_hook(add) for layer in module.modules()]
    training = module.training
    try:
        with torch.inference_mode():
            module.eval()(torch.zeros(1, frames, size, size))
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    return total
