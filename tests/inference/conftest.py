"""Small networks that follow the protocol, a model around them, and movies they answer."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dilatedloc.config import (
    GaussianPSFConfig,
    LocalizeConfig,
    ModelInfo,
    ScalingConfig,
    SCMOSConfig,
    SimulationConfig,
)
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.network.output import CHANNELS
from napari_dilatedloc.table import Localizations

SAME_NM = 0.01
PIXEL_NM = 100.0


class Strided(nn.Module):
    """Random layers with a stride of 4, a window of 3 and a small receptive field."""

    window = 3
    multiple = 4
    halo = 10  # 2 of the first layer, 4 + 3 of the strided one, 1 of the last
    channels = CHANNELS

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 5, padding=2)
        self.coarse = nn.Conv2d(64, 64, 3, padding=1)
        self.last = nn.Conv2d(4, len(CHANNELS), 3, padding=1)
        generator = torch.Generator().manual_seed(seed)
        for layer in (self.first, self.coarse, self.last):
            nn.init.normal_(layer.weight, std=0.2, generator=generator)
            nn.init.normal_(layer.bias, std=0.2, generator=generator)
        self.eval()

    def forward(self, frames: Tensor) -> Tensor:
        windows = torch.stack([frames[:, :-2], frames[:, 1:-1], frames[:, 2:]], 2)
        x = torch.tanh(self.first(windows.flatten(0, 1)))
        x = torch.tanh(F.pixel_shuffle(self.coarse(F.pixel_unshuffle(x, 4)), 4))
        return self.last(x).unflatten(0, windows.shape[:2])


class Previous(nn.Module):
    """Detects a molecule in the middle of each pixel that was bright in the frame before."""

    window = 3
    multiple = 8
    halo = 0
    channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, frames: Tensor) -> Tensor:
        before = frames[:, :-2]
        raw = torch.zeros(*before.shape[:2], len(CHANNELS), *before.shape[2:])
        raw[:, :, CHANNELS.index("prob")] = torch.where(before > 0.5, 5.0, -200.0)
        for name in ("sigma_x", "sigma_y"):  # so sure that pixels side by side are two molecules
            raw[:, :, CHANNELS.index(name)] = -3.0
        return raw


class Noting(Previous):
    """Remembers what it saw as (frames without neighbours, height, width), and may fail."""

    def __init__(self, fails: Callable[[tuple[int, ...]], bool] = lambda seen: False) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []
        self.fails = fails

    def __deepcopy__(self, memo: object) -> "Noting":
        return self

    def forward(self, frames: Tensor) -> Tensor:
        seen = frames.shape[1] - 2, *frames.shape[2:]
        self.seen.append(seen)
        if self.fails(seen):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(frames)


def model_of(network: nn.Module) -> Model:
    """A model whose camera and scaling leave the counts as they are."""
    info = ModelInfo(
        network="fake",
        scaling=ScalingConfig(
            input_offset=0,
            input_scale=1,
            z_scale_nm=700,
            z_centre_nm=0,
            photon_scale=1000,
            bg_scale=100,
        ),
        camera=SCMOSConfig(baseline=0, e_per_adu=1, qe=1),
        psf=GaussianPSFConfig(pixel_size_nm=PIXEL_NM),
        simulation=SimulationConfig(),
    )
    return Model(network, info, {}, "fake", "")


def assert_same(got: Localizations, expected: Localizations) -> None:
    """Equal up to 0.01 nm; both are in order of frame, row, column."""
    assert len(got) == len(expected)
    np.testing.assert_array_equal(got.frame, expected.frame)
    for name, unit in {"x": PIXEL_NM, "y": PIXEL_NM, "z_nm": 1.0}.items():
        apart = np.abs(getattr(got, name) - getattr(expected, name)) * unit
        assert apart.max(initial=0.0) < SAME_NM, name
    for name in ("photons", "bg", "prob", "sigma_x", "sigma_y", "sigma_z_nm", "sigma_photons"):
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), rtol=1e-4)


def exact_config(**settings: Any) -> LocalizeConfig:
    """Settings whose results depend on no size."""
    return LocalizeConfig(device="cpu", engine="exact", **settings)


def localized(movie: Any, model: Model, **settings: Any) -> Localizations:
    """All that is found with the exact engine."""
    blocks = localize(movie, model, exact_config(**settings))
    return Localizations.concatenate([block.localizations for block in blocks])


def marked_movie(
    *places: tuple[int, int, int], frames: int = 12, shape: tuple[int, int] = (40, 48)
) -> np.ndarray:
    """Dark movie with single bright pixels at (frame, row, col)."""
    movie = np.zeros((frames, *shape), np.uint16)
    for place in places:
        movie[place] = 1000
    return movie


def places_of(table: Localizations) -> list[tuple[int, float, float]]:
    """(frame, y, x) of all localizations."""
    return list(zip(table.frame.tolist(), table.y.tolist(), table.x.tolist(), strict=True))


@pytest.fixture
def no_leaked_threads() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert not set(threading.enumerate()) - before


@pytest.fixture
def exact() -> Callable[..., LocalizeConfig]:
    return exact_config


@pytest.fixture
def run() -> Callable[..., Localizations]:
    return localized


@pytest.fixture
def marked() -> Callable[..., np.ndarray]:
    return marked_movie


@pytest.fixture
def positions() -> Callable[[Localizations], list[tuple[int, float, float]]]:
    return places_of


@pytest.fixture
def strided() -> Model:
    return model_of(Strided())


@pytest.fixture
def previous() -> Model:
    return model_of(Previous())


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    """Movies of normal noise, (T, Y, X) float32."""

    def make(*shape: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)

    return make


@pytest.fixture
def wrap() -> Callable[[nn.Module], Model]:
    return model_of


@pytest.fixture
def noting() -> type[Noting]:
    return Noting


@pytest.fixture
def same() -> Callable[[Localizations, Localizations], None]:
    return assert_same
