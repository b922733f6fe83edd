"""DilatedLoc as this project uses it by default: a half-resolution dense dilated trunk.

The idea is the paper's (Luo 2024, section 3.2): dense connections and dilated convolutions
collect local and global features, one block per frame and three blocks over the temporal context,
a two-stage U-Net refines them and DECODE-like heads read them out. Unlike the published layers
(`dilatedloc_2024.py`) the trunk works at half resolution, where the dilations 1, 2, 4, 8 are the
paper's 2, 4, 8, 16 frame pixels at a quarter of the cost.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dilatedloc.network.dilated_conv import DilatedConv2d
from napari_dilatedloc.network.output import CHANNELS


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch norm, ReLU; the size stays."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int = 1) -> None:
        super().__init__(
            DilatedConv2d(channels_in, channels_out, dilation),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class ExactConv2d(nn.Conv2d):
    """Convolution in float32 whatever the autocast.

    bfloat16 has eight bits: on the way out it would round z to a 250th of the range.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) of any floating type to float32."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))


class DenseDilatedBlock(nn.Module):
    """Dense connections over dilated convolutions, fused by 1x1 and added to the input."""

    def __init__(self, channels: int, growth: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvBlock(channels + i * growth, growth, dilation)
            for i, dilation in enumerate(dilations)
        )
        self.fuse = nn.Sequential(
            nn.Conv2d(channels + len(dilations) * growth, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, channels, h, w) to features of the same shape."""
        features = x
        for layer in self.layers:
            features = torch.cat([features, layer(features)], 1)
        return F.relu(x + self.fuse(features))


class UNet(nn.Module):
    """Two-stage U-Net: average pooling down, nearest upsampling and concatenation up."""

    def __init__(self, channels_in: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        top, middle, bottom = widths
        self.enter = ConvBlock(channels_in, top)
        self.down_1 = nn.Sequential(ConvBlock(top, middle), ConvBlock(middle, middle))
        self.down_2 = nn.Sequential(ConvBlock(middle, bottom), ConvBlock(bottom, bottom))
        self.up_2 = ConvBlock(bottom + middle, middle)
        self.up_1 = ConvBlock(middle + top, top)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, channels_in, h, w), h and w multiples of 4, to (N, widths[0], h, w)."""
        top = self.enter(x)
        middle = self.down_1(F.avg_pool2d(top, 2))
        bottom = self.down_2(F.avg_pool2d(middle, 2))
        middle = self.up_2(torch.cat([F.interpolate(bottom, scale_factor=2.0), middle], 1))
        fused: Tensor = self.up_1(torch.cat([F.interpolate(middle, scale_factor=2.0), top], 1))
        return fused


class DilatedLoc(nn.Module):
    """The default network; one forward serves training windows and streams alike.

    Attributes
    ----------
    window : int
        Frames that one output frame sees (3).
    multiple : int
        Height and width of the input must be multiples of it, px.
    halo : int
        Radius of the receptive field, px, rounded up to `multiple`.
    channels : tuple of str
        Names of the output channels.
    """

    window = 3
    multiple = 8
    halo = 168
    channels = CHANNELS

    def __init__(
        self,
        width: int = 64,
        growth: int = 16,
        dilations: tuple[int, ...] = (1, 2, 4, 8),
        unet: tuple[int, int, int] = (48, 96, 128),
        head: int = 16,
    ) -> None:
        super().__init__()
        self.stem = ConvBlock(4, width)
        self.coarse = DenseDilatedBlock(width, growth, dilations)
        self.merge = nn.Sequential(
            nn.Conv2d(3 * width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.context = nn.Sequential(
            *(DenseDilatedBlock(width, growth, dilations) for _ in range(3))
        )
        self.unet = UNet(width, unet)
        self.expand = ConvBlock(unet[0], 4 * head)
        self.refine = ConvBlock(head, head)
        self.out = ExactConv2d(head, len(self.channels), 1)
        start_head(self.out, self.channels)

    def features(self, frames: Tensor) -> Tensor:
        """Coarse features of single frames: (N, H, W) to (N, width, H/2, W/2)."""
        x: Tensor = self.coarse(self.stem(F.pixel_unshuffle(frames[:, None], 2)))
        return x

    def forward(self, frames: Tensor) -> Tensor:
        """Localize a run of frames.

        Parameters
        ----------
        frames : Tensor (B, T, H, W)
            Normalized photons of T >= 3 consecutive frames.

        Returns
        -------
        Tensor (B, T - 2, 10, H, W)
            Raw output for the inner frames; coarse features are computed once per frame.
        """
        batch, time, height, width = frames.shape
        coarse = self.features(frames.reshape(-1, height, width))
        coarse = coarse.unflatten(0, (batch, time))
        # joined as images: a 5-D join would lose the channels-last order (a tenth of the speed)
        neighbours = torch.cat(
            [part.flatten(0, 1) for part in (coarse[:, :-2], coarse[:, 1:-1], coarse[:, 2:])], 1
        )
        x = self.unet(self.context(self.merge(neighbours)))
        x = self.refine(F.pixel_shuffle(self.expand(x), 2))
        raw: Tensor = self.out(x).unflatten(0, (batch, time - 2))
        return raw


def start_head(layer: nn.Conv2d, channels: tuple[str, ...]) -> None:
    """Start an output layer from zero, with few detections (probability 0.7%)."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
        with torch.no_grad():
            layer.bias[channels.index("prob")] = -5.0
