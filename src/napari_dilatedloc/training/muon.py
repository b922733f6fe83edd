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

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, Jordan et al. 2024
ITERATIONS = 5


@torch.no_grad()
def orthogonalized(matrix: Tensor) -> Tensor:
    """Matrix (R, C) with the singular vectors of the given one and singular values near 1."""
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()
    x: Tensor = wide / (wide.norm() + 1e-12)
    for _ in range(ITERATIONS):
        square = x @ x.t()
        x = a * x + (b * square + c * square @ square) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.t()


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
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(momentum, group["momentum"])
        direction = orthogonalized(ahead.flatten(1)).view_as(ahead)
        rms = 0.2 * max(ahead.flatten(1).shape) ** 0.5
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(direction, alpha=-group["lr"] * rms)


def split_parameters(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weights for Muon (convolutions, all but the output layer) and the others."""
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    is_matrix = [p.ndim >= 2 and not name.startswith("out.") for name, p in trained]
    matrices = [p for (_, p), chosen in zip(trained, is_matrix, strict=True) if chosen]
    others = [p for (_, p), chosen in zip(trained, is_matrix, strict=True) if not chosen]
    return matrices, others
