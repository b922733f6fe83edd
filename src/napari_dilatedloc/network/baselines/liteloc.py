"""LiteLoc after its paper (Fei et al. 2025, doi:10.1038/s41467-025-62662-5).

Fig. 1c: a coarse feature extractor of dilated convolutions at half resolution, over the features
of three frames, and a fine one shaped like a U-Net.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dilatedloc.network.baselines.layers import HeadOutput, Heads, windows
from napari_dilatedloc.network.output import CHANNELS

WIDTH = 64


class Layer(nn.Sequential):
    """3x3 convolution, ReLU, batch norm, in this order; the size stays."""

    def __init__(self, channels_in: int, channels_out: int = WIDTH, dilation: int = 1) -> None:
        conv = nn.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation)
        nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
        super().__init__(conv, nn.ReLU(), nn.BatchNorm2d(channels_out))


class LiteLoc(nn.Module):
    """LiteLoc with its published 1,332,299 parameters; attributes as in `dilatedloc.DilatedLoc`.

    It has no background channel. Differs from what the authors run in what raw numbers mean
    (`output.activate`; theirs are tanh for coordinates, sigmoid for photons and errors) and in
    its input: normalized photons instead of camera counts. At the ends of a movie the pipeline
    repeats a frame where theirs has zeros.
    """

    window = 3
    multiple = 4
    halo = 96
    channels = CHANNELS[:-1]

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.stem = Layer(1)
        self.local = nn.ModuleList([Layer(WIDTH), Layer(2 * WIDTH), Layer(2 * WIDTH)])
        self.merge = Layer((self.window + 1) * WIDTH)
        self.dilated = nn.ModuleList(Layer(2 * WIDTH, dilation=d) for d in (2, 4, 8, 16))
        self.fine = _Fine()
        heads = (1, 4, 4)  # probability; x, y, z, photons; their errors
        self.heads = Heads(WIDTH, len(heads))
        self.out = HeadOutput(WIDTH, heads)

    def forward(self, frames: Tensor) -> Tensor:
        """Localize a run of frames: (B, T, H, W) to raw output (B, T - 2, 9, H, W)."""
        batch, time = frames.shape[:2]
        image, coarse = (x.unflatten(0, (batch, time)) for x in self._single(frames.flatten(0, 1)))
        image = image[:, 1:-1].flatten(0, 1)
        x = torch.cat([windows(coarse, self.window), image], 1)
        x = self._dilate(self.merge(x) + coarse[:, 1:-1].flatten(0, 1), image)
        x = self.fine(torch.cat([x, image], 1))
        raw: Tensor = self.out(self.heads(x)).unflatten(0, (batch, time - self.window + 1))
        return raw

    def _single(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled first features and local ones of single frames, each (N, 64, H/2, W/2)."""
        image = F.max_pool2d(self.stem(self.norm(frames[:, None])), 2)
        x = self.local[0](image)
        for layer in self.local[1:]:
            x = layer(torch.cat([x, image], 1)) + x
        return image, x

    def _dilate(self, x: Tensor, image: Tensor) -> Tensor:
        skipped: list[Tensor] = []
        for layer in self.dilated[:-1]:
            x = layer(torch.cat([x, image], 1)) + x
            skipped.append(x)
        last: Tensor = self.dilated[-1](torch.cat([x, image], 1)) + skipped[0] + skipped[-1]
        return last


class _Fine(nn.Module):
    """Fine feature extractor: a U-Net of one stage, then two layers at full resolution."""

    def __init__(self) -> None:
        super().__init__()
        wide = 2 * WIDTH
        self.enter = Layer(wide)
        self.bottom = nn.Sequential(Layer(WIDTH), Layer(WIDTH, wide), Layer(wide, wide))
        self.rise = Layer(wide)
        self.join = nn.Sequential(Layer(wide), Layer(WIDTH))
        self.full = nn.Sequential(Layer(WIDTH), Layer(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, 128, H/2, W/2) to (N, 64, H, W)."""
        top = self.enter(x)
        x = self.rise(F.interpolate(self.bottom(F.avg_pool2d(top, 2)), scale_factor=2.0))
        x = self.join(torch.cat([x, top], 1))
        refined: Tensor = self.full(F.interpolate(x, scale_factor=2.0))
        return refined
