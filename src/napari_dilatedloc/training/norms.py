"""Batch normalization in training: statistics of each batch at first, fixed ones later.

A trained network normalizes by fixed statistics. While every batch is normalized by its own, a
network learns to rely on them, because those of a few patches tell how bright and crowded they
are; that fails it afterwards, most of all for wide PSFs, whose batches are two patches. So the
statistics are measured and then held for the rest of a run (PreciseBN and FrozenBN of Wu & Johnson
2021, https://arxiv.org/abs/2105.07576).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

BATCHES, SEED = 24, 20241006  # measured on these, the same for every run of the same settings


def hold_statistics(network: nn.Module) -> None:
    """Normalize by the statistics as they are, from now on; weights go on learning."""
    for layer in _layers(network):
        layer.eval()


@torch.no_grad()
def measure_statistics(network: nn.Module, run: Callable[[torch.Generator], object]) -> None:
    """Replace the running statistics by the mean over `BATCHES` calls of `run`.

    Parameters
    ----------
    network : nn.Module
        Where statistics were held, they are not any more.
    run : callable
        Draws a batch from the generator it is given and passes it through the network.
    """
    layers, generator = _layers(network), torch.Generator().manual_seed(SEED)
    usual = [layer.momentum for layer in layers]
    for layer in layers:
        layer.train()
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean
    for _ in range(BATCHES if layers else 0):
        run(generator)
    for layer, momentum in zip(layers, usual, strict=True):
        layer.momentum = momentum


def _layers(network: nn.Module) -> list[_BatchNorm]:
    return [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
