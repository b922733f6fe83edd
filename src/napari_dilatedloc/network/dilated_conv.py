"""A dilated convolution whose gradients are matrix products, for training on CPUs.

oneDNN's backward pass of dilated convolutions runs at a third of the speed of its other kernels.
With the gradient unfolded once (each pixel beside the nine that its input reached), both gradients
are plain matrix products. Numbers are those of `torch.nn.functional.conv2d` up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _DilatedConv(torch.autograd.Function):
    """3x3 convolution with padding equal to its dilation, so that the size stays."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return F.conv2d(x, weight, padding=dilation, dilation=dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        images, channels, height, width = x.shape
        out = weight.shape[0]
        unfolded = _unfold(gradients[0], ctx.dilation)  # (pixels, 9 * out)
        flipped = weight.flip(2, 3)
        taps = flipped.permute(2, 3, 0, 1).reshape(9 * out, channels)
        of_x = (unfolded @ taps).view(images, height, width, channels).permute(0, 3, 1, 2)
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
        of_weight = (pixels.t() @ unfolded).view(channels, 3, 3, out).permute(3, 0, 1, 2)
        return of_x, of_weight.flip(2, 3), None


def _unfold(gradient: Tensor, dilation: int) -> Tensor:
    """Each pixel's nine neighbours at a distance, (N, C, H, W) to (N * H * W, 9 * C)."""
    images, channels, height, width = gradient.shape
    d = dilation
    padded = F.pad(gradient.permute(0, 2, 3, 1), (0, 0, d, d, d, d)).contiguous()
    image, row, col, channel = padded.stride()
    window = padded.as_strided(
        (images, height, width, 3, 3, channels), (image, row, col, row * d, col * d, channel)
    )
    return window.reshape(images * height * width, 9 * channels)


class DilatedConv2d(nn.Conv2d):
    """3x3 convolution without bias; the size stays. Trains fast on CPUs when dilated."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int) -> None:
        super().__init__(
            channels_in, channels_out, 3, padding=dilation, dilation=dilation, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, channels_out, H, W)."""
        dilation = int(self.dilation[0])
        on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
        if dilation > 1 and on_cpu and torch.is_grad_enabled() and self.weight.requires_grad:
            result: Tensor = _DilatedConv.apply(x, self.weight, dilation)  # type: ignore[no-untyped-call]
            return result
        return super().forward(x)
