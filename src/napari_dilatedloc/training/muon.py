"""Muon: momentum whose step has all singular values alike, for the convolutions of a network.

Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon/): the momentum of a weight matrix is
replaced by the nearest orthogonal one, which a few Newton-Schulz iterations approach; the size of
the step as in Liu et al. 2025 (arXiv:2502.16982). A convolution (out, in, 3, 3) is a matrix
(out, in * 9). What is no matrix (norms, biases) and the output layer are left to AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, Jordan et al. 2024
ITERATIONS = 5


@torch.no_grad()
def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices (N, R, C) with the singular vectors of the given, and singular values near 1."""
    a, b, c = COEFFICIENTS
    is_wide = matrices.shape[1] <= matrices.shape[2]
    wide = matrices if is_wide else matrices.mT
    x: Tensor = wide / (torch.linalg.matrix_norm(wide, keepdim=True) + 1e-12)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x if is_wide else x.mT


class Muon(torch.optim.Optimizer):
    """Muon for parameters of two and more dimensions, with Nesterov momentum.

    Parameters
    ----------
    parameters : iterable of Tensor
        Weights (out, ...), seen as matrices (out, rest).
    lr : float
        Learning rate; a step changes a weight by 0.2 lr rms, as AdamW does, so that one rate
        serves both.
    momentum : float
        Decay of the momentum.
    weight_decay : float
        Share of the rate by which weights shrink.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step along the orthogonalized momentum; a closure is not evaluated."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    alike.setdefault(_matrix(weight).shape, []).append(weight)
            for weights in alike.values():  # together, since the matrices are small
                self._move(weights, group)

    def _move(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        decay, rate = group["momentum"], group["lr"]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        momenta = [self._momentum(weight) for weight in weights]
        get_ema_multi_avg_fn(decay)(momenta, gradients, 0)
        gradient, momentum = (torch.stack([*map(_matrix, t)]) for t in (gradients, momenta))
        ahead = gradient.lerp(momentum, decay)
        rms = 0.2 * max(ahead.shape[1:]) ** 0.5
        for weight, direction in zip(weights, orthogonalized(ahead), strict=True):
            shape = weight.movedim(1, -1).shape
            weight.mul_(1 - rate * group["weight_decay"])
            weight.add_(direction.reshape(shape).movedim(-1, 1), alpha=-rate * rms)

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"]
        return momentum


def _matrix(weight: Tensor) -> Tensor:
    """(out, in, ...) as (out, rest), channels last as they usually lie in memory.

    The order of columns is of no account: the nearest orthogonal matrix has the same.
    """
    return weight.movedim(1, -1).flatten(1)


def split_parameters(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weights for Muon (convolutions, all but the output layer) and the others."""
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    is_matrix = [p.ndim >= 2 and not name.startswith("out.") for name, p in trained]
    matrices = [p for (_, p), chosen in zip(trained, is_matrix, strict=True) if chosen]
    others = [p for (_, p), chosen in zip(trained, is_matrix, strict=True) if not chosen]
    return matrices, others
