"""FD-DeepLoc after its paper (Fu et al. 2023, doi:10.1038/s41592-023-01775-5).

Two U-Nets like DECODE's, with the place on the chip as two more input channels (CoordConv), a
normalization between them and a head for the image of the molecules. No line is from the authors'
program, which is under the GPL.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_dilatedloc.network.baselines.layers import HeadOutput, Heads, UNet, windows
from napari_dilatedloc.network.output import CHANNELS


class FDDeepLoc(nn.Module):
    """FD-DeepLoc with three frames (2,564,218 parameters) or one (2,522,746, as published).

    Attributes are those of `dilatedloc.DilatedLoc`. Differs from what the authors run:

    - Our networks are not told their place on the chip, so that a frame may be cut anywhere; the
      two coordinate channels are there and hold zeros. Aberrations that change over the field
      must be seen in the spots themselves.
    - Between the U-Nets the authors normalize each frame by mean and variance of its own features
      (layer norm over channels, rows and columns). A result would then depend on the size and
      content of the tile; here mean and variance are those of training, as in batch norm.
    - Their last head gives the image of the molecules without background, as a help in training.
      Here it gives the other part of the frame, ``bg``, which our trainer asks for.
    - What raw numbers mean is this project's choice (`output.activate`); theirs are tanh for
      coordinates and sigmoid for photons and errors.

    Parameters
    ----------
    window : int
        Frames that one output frame sees, 3 or 1.
    width : int
        Features at full resolution.
    """

    multiple = 4
    halo = 52
    channels = CHANNELS

    def __init__(self, window: int = 3, width: int = 48) -> None:
        super().__init__()
        if window not in (1, 3):
            raise ValueError(f"FD-DeepLoc sees 1 or 3 frames, got a window of {window}; use 3")
        self.window = window
        self.frame = UNet(3, width)
        self.norm = nn.BatchNorm3d(1, affine=False)  # one mean and variance over all channels
        self.context = UNet(window * width, width)
        heads = (1, 4, 4, 1)  # probability; x, y, z, photons; their errors; background
        self.heads = Heads(width, len(heads))
        self.out = HeadOutput(width, heads)

    def features(self, frames: Tensor) -> Tensor:
        """Features of single frames: (N, H, W) to (N, width, H, W)."""
        x = frames[:, None]
        x = self.frame(torch.cat([x, x.new_zeros(x.shape[0], 2, *x.shape[2:])], 1))
        normalized: Tensor = self.norm(x[:, None])[:, 0]
        return normalized

    def forward(self, frames: Tensor) -> Tensor:
        """Localize a run of frames: (B, T, H, W) to raw output (B, T - window + 1, 10, H, W)."""
        batch, time = frames.shape[:2]
        features = self.features(frames.flatten(0, 1)).unflatten(0, (batch, time))
        x = self.context(windows(features, self.window))
        raw: Tensor = self.out(self.heads(x)).unflatten(0, (batch, time - self.window + 1))
        return raw
