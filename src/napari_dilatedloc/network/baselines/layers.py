"""What the peers' networks share: U-Nets of ELU layers, windows over frames, separate heads."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RARE_LOGIT = -6.0  # first guess of the detection head: a molecule in 0.25% of the pixels


class ELULayer(nn.Sequential):
    """3x3 convolution and ELU; the size stays."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
        super().__init__(conv, nn.ELU())


class UNet(nn.Module):
    """U-Net of DECODE (Speiser et al. 2021, methods), which FD-DeepLoc uses too.

    Two 3x3 layers at full resolution; twice a strided 2x2 convolution and two layers of twice the
    channels; twice nearest upsampling, a layer that halves the channels, concatenation, two layers.
    ELU after every convolution.
    """

    def __init__(self, channels_in: int, width: int, stages: int = 2) -> None:
        super().__init__()
        self.enter = nn.Sequential(ELULayer(channels_in, width), ELULayer(width, width))
        widths = [width * 2**stage for stage in range(stages)]
        self.down = nn.ModuleList(_Down(narrow) for narrow in widths)
        self.up = nn.ModuleList(_Up(narrow) for narrow in reversed(widths))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W), H and W multiples of 2**stages, to (N, width, H, W)."""
        x = self.enter(x)
        skipped: list[Tensor] = []
        for down in self.down:
            skipped.append(x)
            x = down(x)
        for up in self.up:
            x = up(x, skipped.pop())
        return x


class _Down(nn.Sequential):
    """Half the resolution, twice the channels."""

    def __init__(self, narrow: int) -> None:
        shrink = nn.Conv2d(narrow, narrow, 2, stride=2)
        nn.init.kaiming_normal_(shrink.weight, mode="fan_in", nonlinearity="relu")
        wide = 2 * narrow
        super().__init__(shrink, nn.ELU(), ELULayer(narrow, wide), ELULayer(wide, wide))


class _Up(nn.Module):
    """Twice the resolution, half the channels, joined with the features of that resolution."""

    def __init__(self, narrow: int) -> None:
        super().__init__()
        self.halve = ELULayer(2 * narrow, narrow)
        self.join = nn.Sequential(ELULayer(2 * narrow, narrow), ELULayer(narrow, narrow))

    def forward(self, x: Tensor, skipped: Tensor) -> Tensor:
        x = self.halve(F.interpolate(x, scale_factor=2.0))
        joined: Tensor = self.join(torch.cat([x, skipped], 1))
        return joined


class Heads(nn.Sequential):
    """First layer of all heads in one convolution: each head's 3x3 layer sees the same features."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(ELULayer(width, heads * width))


class HeadOutput(nn.Conv2d):
    """Last 1x1 layer of heads, one row of weights per output channel.

    Each head sees its own `width` features only, so this is a convolution in groups that give
    unequal numbers of channels. One weight for all lets fine-tuning find a channel's row.

    Parameters
    ----------
    width : int
        Features of a head.
    sizes : tuple of int
        Output channels of each head; the first channel of all is the detection logit.
    """

    def __init__(self, width: int, sizes: tuple[int, ...]) -> None:
        super().__init__(width, sum(sizes), 1)
        self.sizes = sizes
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="linear")
        bias = cast("Tensor", self.bias)
        nn.init.zeros_(bias)
        with torch.no_grad():
            bias[0] = RARE_LOGIT

    def forward(self, x: Tensor) -> Tensor:
        """(N, heads * width, H, W) to (N, sum(sizes), H, W), in full precision."""
        weights, biases = self.weight.split(self.sizes), cast("Tensor", self.bias).split(self.sizes)
        # bfloat16 has eight bits: as an output it would round z to a 250th of the range.
        with torch.autocast(x.device.type, enabled=False):
            features = x.to(self.weight.dtype).split(self.in_channels, 1)
            heads = zip(features, weights, biases, strict=True)
            return torch.cat([F.conv2d(*of) for of in heads], 1)


def windows(features: Tensor, window: int) -> Tensor:
    """Features of each frame beside those of its neighbours in time.

    Parameters
    ----------
    features : Tensor (B, T, C, h, w)
        Of single frames.
    window : int
        Frames side by side; odd.

    Returns
    -------
    Tensor (B * (T - window + 1), window * C, h, w)
    """
    count = features.shape[1] - window + 1
    # flat first: a 5-D join would lose the channels-last order
    shifted = [features[:, first : first + count].flatten(0, 1) for first in range(window)]
    return torch.cat(shifted, 1)
