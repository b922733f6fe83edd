"""How much memory a network needs, found out by watching it on a small frame."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_dilatedloc.inference.tiles import round_up
from napari_dilatedloc.network.registry import as_network

PROBE_PX = 32
HIDDEN = 1.25
"""Layers need working space that is no tensor: peaks of the process were measured at 1.0 times
what tensors take with most networks, and at 1.4 times with LiteLoc."""


def bytes_per_pixel(module: nn.Module) -> float:
    """Memory that a network needs for each pixel of a frame to be localized, bytes.

    Its layers run once, in float32, over the smallest run of frames; a longer one needs less a
    frame, for neighbours are shared.
    """
    network = as_network(module)
    side = round_up(PROBE_PX, network.multiple)
    weights = next(module.parameters(), torch.zeros(0))
    frames = torch.zeros(1, network.window, side, side, device=weights.device)
    with torch.inference_mode(), _Peak() as peak:
        network(frames.to(weights.dtype))
    return float(HIDDEN * peak.bytes / side**2)


class _Peak(TorchDispatchMode):
    """Most bytes of tensors that were alive at a time, of those made while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note what it made."""
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._alive:
            self._alive[key] = storage.nbytes()
            weakref.finalize(storage, self._alive.pop, key, None)
            self.bytes = max(self.bytes, sum(self._alive.values()))
