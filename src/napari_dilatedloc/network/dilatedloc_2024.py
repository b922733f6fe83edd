"""DilatedLoc exactly as published (Luo 2024, Table 3): single frame, full resolution.

453,835 parameters; 20,241,776,640 multiply-accumulates for one 128x128 frame, counted as the
paper's tool does (convolutions without bias, plus four per element of a batch norm).
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dilatedloc.network.output import CHANNELS

WIDTH = 64


class Layer(nn.Sequential):
    """3x3 convolution, ReLU, batch norm, in this order."""

    def __init__(self, channels_in: int, dilation: int = 1) -> None:
        conv = nn.Conv2d(channels_in, WIDTH, 3, padding=dilation, dilation=dilation)
        nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
        super().__init__(conv, nn.ReLU(), nn.BatchNorm2d(WIDTH))


class Head(nn.Sequential):
    """3x3 convolution, ELU, 1x1 convolution to the output channels."""

    def __init__(self, channels_out: int, start: float = 0.0) -> None:
        last = nn.Conv2d(WIDTH, channels_out, 1)
        if start:
            nn.init.constant_(cast("Tensor", last.bias), start)
        super().__init__(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ELU(), last)


class DilatedLoc2024(nn.Module):
    """The published network; attributes as in `dilatedloc.DilatedLoc`.

    The "dense connection" is the normalized frame concatenated to every layer's input, beside
    residual sums; the fine stage works at four times the resolution.
    """

    window = 1
    multiple = 1
    halo = 40
    channels = CHANNELS[:-1]

    def __init__(self) -> None:
        super().__init__()
        wide = WIDTH + 1
        self.norm = nn.BatchNorm2d(1)
        self.first = Layer(1)
        self.local = nn.ModuleList([Layer(wide), Layer(wide)])
        self.dilated = nn.ModuleList([Layer(wide, d) for d in (2, 4, 8, 16)])
        self.up = nn.ModuleList([Layer(wide), Layer(WIDTH)])
        self.down = Layer(WIDTH)
        self.mix = nn.Conv2d(WIDTH, WIDTH, 1)
        self.prob, self.position, self.sigma = Head(1, start=-6.0), Head(4), Head(4)

    def forward(self, frames: Tensor) -> Tensor:
        """Localize frames one by one: (B, T, H, W) to raw output (B, T, 9, H, W)."""
        batch, time = frames.shape[:2]
        image = self.norm(frames.flatten(0, 1)[:, None])
        x = self._fine(self._trunk(image), image)
        channels = torch.cat([self.prob(x), self.position(x), self.sigma(x)], 1)
        raw: Tensor = channels.unflatten(0, (batch, time))
        return raw

    def _trunk(self, image: Tensor) -> Tensor:
        x = self.first(image)
        for layer in self.local:
            x = layer(torch.cat([x, image], 1)) + x
        skip: list[Tensor] = []
        for layer in self.dilated[:-1]:
            x = layer(torch.cat([x, image], 1)) + x
            skip.append(x)
        last: Tensor = self.dilated[-1](torch.cat([x, image], 1)) + skip[0] + skip[-1]
        return last

    def _fine(self, x: Tensor, image: Tensor) -> Tensor:
        x = torch.cat([x, image], 1)
        for layer in self.up:
            x = layer(F.interpolate(x, scale_factor=2.0))
        x = self.down(F.max_pool2d(x, 2))
        mixed: Tensor = self.mix(F.max_pool2d(x, 2))
        return mixed
