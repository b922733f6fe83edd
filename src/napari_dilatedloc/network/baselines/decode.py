"""DECODE after its paper (Speiser et al. 2021, doi:10.1038/s41592-021-01236-x).

Fig. 1 and the methods ("deep context dependent"): one U-Net looks at each of three frames, a second
one at their features side by side, and heads give probability, coordinates, their errors and the
background. No line is from the authors' program, which is under the GPL.
"""

from __future__ import annotations

from torch import Tensor, nn

from napari_dilatedloc.network.baselines.layers import HeadOutput, Heads, UNet, windows
from napari_dilatedloc.network.output import CHANNELS


class DECODE(nn.Module):
    """DECODE with 2,563,354 parameters; attributes as in `dilatedloc.DilatedLoc`.

    Differs from what the authors run in three points. The first U-Net is run once per frame of a
    run and not once per window. What raw numbers mean is this project's choice
    (`output.activate`); theirs are tanh for coordinates, sigmoid for photons and background and
    three times a sigmoid for the errors. Input is scaled by `output.normalize`.
    """

    window = 3
    multiple = 4
    halo = 52
    channels = CHANNELS

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.frame = UNet(1, width)
        self.context = UNet(self.window * width, width)
        heads = (1, 4, 4, 1)  # probability; x, y, z, photons; their errors; background
        self.heads = Heads(width, len(heads))
        self.out = HeadOutput(width, heads)

    def forward(self, frames: Tensor) -> Tensor:
        """Localize a run of frames: (B, T, H, W) to raw output (B, T - 2, 10, H, W)."""
        batch, time = frames.shape[:2]
        features = self.frame(frames.flatten(0, 1)[:, None]).unflatten(0, (batch, time))
        x = self.context(windows(features, self.window))
        raw: Tensor = self.out(self.heads(x)).unflatten(0, (batch, time - self.window + 1))
        return raw
