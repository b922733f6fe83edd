import torch
from torch import nn

from napari_dilatedloc.inference.footprint import HIDDEN, bytes_per_pixel
from napari_dilatedloc.network.output import CHANNELS
from napari_dilatedloc.network.registry import build_network


class Chain(nn.Module):
    """1 to 6 to 4 to 10 channels, one tensor after another."""

    window = 1
    multiple = 4
    halo = 0
    channels = CHANNELS

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(*pair, 1) for pair in ((1, 6), (6, 4), (4, 10))])

    def forward(self, frames):
        x = frames.flatten(0, 1)[:, None]
        for layer in self.layers:
            x = layer(x)
        return x.unflatten(0, frames.shape[:2])


def test_two_layers_of_a_chain_are_alive_at_a_time():
    # float32: the frame and 4 + 10 channels while the last layer runs
    assert bytes_per_pixel(Chain()) == HIDDEN * 15 * 4


def test_what_is_kept_counts():
    class Kept(Chain):
        def forward(self, frames):
            first = self.layers[0](frames.flatten(0, 1)[:, None])
            last = self.layers[2](self.layers[1](first))
            return last.unflatten(0, frames.shape[:2])

    assert bytes_per_pixel(Kept()) == HIDDEN * 21 * 4  # 1 + 6 + 4 + 10: none is given up


def test_in_place_work_costs_nothing():
    class InPlace(Chain):
        def forward(self, frames):
            return torch.relu_(super().forward(frames)).add_(1)

    assert bytes_per_pixel(InPlace()) == bytes_per_pixel(Chain())


def test_networks_lie_where_they_were_measured():
    # peaks of the process for 512 x 512 px: 1.0 and 13.2 kB a pixel
    assert 900 < bytes_per_pixel(build_network("dilatedloc").eval()) < 1500
    assert 12_000 < bytes_per_pixel(build_network("dilatedloc-2024").eval()) < 18_000
