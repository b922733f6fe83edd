import math

import pytest
import torch
from torch import Tensor, nn

from napari_dilatedloc.config import (
    GaussianPSFConfig,
    ModelInfo,
    ScalingConfig,
    SCMOSConfig,
    SimulationConfig,
)
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.network.output import CHANNELS
from napari_dilatedloc.simulation.emitters import EmitterBatch
from napari_dilatedloc.simulation.simulator import SimulatedBatch, Simulator


@pytest.fixture
def emitter_batch():
    """Two movies of four frames: kept, border frame, dim, outside, kept in the corner."""
    return EmitterBatch(
        movie=torch.tensor([0, 0, 0, 1, 1]),
        frame=torch.tensor([1, 0, 2, 1, 2]),
        id=torch.arange(5),
        y=torch.tensor([3.2, 3.2, 5.0, 17.0, 15.4]),
        x=torch.tensor([3.8, 3.8, 5.0, 2.0, -0.4]),
        z_nm=torch.zeros(5),
        photons=torch.tensor([500.0, 500.0, 50.0, 900.0, 800.0]),
    )


class Oracle(nn.Module):
    """Knows the truth and answers with normal errors of given size, and claims another one.

    Movies are answered in the order in which they were announced.
    """

    window = 3
    multiple = 16
    halo = 0
    channels = CHANNELS

    def __init__(self, scaling, *, claim=1.0, photons=1.0, sigma_px=0.1, sigma_z_nm=40.0):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.scaling, self.claim, self.photons = scaling, claim, photons
        self.sigma_px, self.sigma_z_nm = sigma_px, sigma_z_nm
        self.generator = torch.Generator().manual_seed(7)
        self.awaited: list[EmitterBatch] = []

    def announce(self, emitters: EmitterBatch, movies: int) -> None:
        """Truth of the next movies; ``frame`` counts output images."""
        self.awaited += [emitters.select(emitters.movie == i) for i in range(movies)]

    def announce_isolated(self, data) -> None:
        """Truth of an `IsolatedSet`."""
        t = data.truth
        frame = torch.from_numpy(t.frame).long()
        y, x, z_nm, photons = (torch.from_numpy(v) for v in (t.y, t.x, t.z_nm, t.photons))
        emitters = EmitterBatch(
            frame, 0 * frame, torch.from_numpy(t.id).long(), y, x, z_nm, photons
        )
        self.announce(emitters, len(data.adu))

    def noisy(self, values: Tensor, sigma) -> Tensor:
        return values + torch.randn(len(values), generator=self.generator) * sigma

    def forward(self, frames: Tensor) -> Tensor:
        _, length, height, width = frames.shape
        truth = self.awaited.pop(0)
        s = self.scaling
        sigma_x, sigma_z = self.sigmas(truth)
        y, x = self.noisy(truth.y, sigma_x), self.noisy(truth.x, sigma_x)
        row, col = torch.round(y).long(), torch.round(x).long()
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        z = (self.noisy(truth.z_nm, sigma_z) - s.z_centre_nm) / s.z_scale_nm
        sigma_photons = 0.05 * truth.photons
        found = self.photons * self.noisy(truth.photons, sigma_photons)
        answers = {
            "prob": torch.full_like(x, 20.0),
            "x": 1.5 * torch.atanh((x - col) / 1.5),
            "y": 1.5 * torch.atanh((y - row) / 1.5),
            "z": 1.2 * torch.atanh((z / 1.2).clamp(-0.999, 0.999)),
            "photons": unplus(found / s.photon_scale),
            "sigma_x": unplus(self.claim * sigma_x - 0.005),
            "sigma_y": unplus(self.claim * sigma_x - 0.005),
            "sigma_z": unplus(self.claim * sigma_z / s.z_scale_nm - 0.001),
            "sigma_photons": unplus(self.claim * sigma_photons / s.photon_scale - 0.001),
            "bg": torch.zeros_like(x),
        }
        raw = torch.full((1, length - 2, len(CHANNELS), height, width), -20.0)
        for channel, name in enumerate(CHANNELS):
            raw[0, truth.frame[inside], channel, row[inside], col[inside]] = answers[name][inside]
        return raw

    def sigmas(self, truth: EmitterBatch) -> tuple[Tensor, Tensor]:
        """True standard deviations of each emitter, px and nm."""
        ones = torch.ones_like(truth.x)
        return self.sigma_px * ones, self.sigma_z_nm * ones


class Announcing(Simulator):
    """Simulator that tells an oracle what it drew."""

    oracle: Oracle

    def draw(self, movies, frames, size, generator) -> SimulatedBatch:
        batch = super().draw(movies, frames, size, generator)
        e = batch.emitters
        inner = e.select((e.frame >= 1) & (e.frame < frames - 1))
        self.oracle.announce(EmitterBatch(**{**vars(inner), "frame": inner.frame - 1}), movies)
        return batch


def unplus(values: Tensor) -> Tensor:
    """Inverse of softplus."""
    return torch.log(torch.expm1(values.double().clamp(min=1e-6))).float()


@pytest.fixture
def oracle_model():
    """Model around an oracle for a small PSF, and a simulator class that informs it."""

    def make(**errors):
        simulation = SimulationConfig(
            density_per_um2=(0.05, 0.1), photons=(1000, 8000), bg=(20, 80), z_range_nm=(-600, 600)
        )
        scaling = ScalingConfig(
            input_offset=50,
            input_scale=50,
            z_scale_nm=600,
            z_centre_nm=0,
            photon_scale=4000,
            bg_scale=100,
        )
        info = ModelInfo(
            network="dilatedloc",
            scaling=scaling,
            camera=SCMOSConfig(),
            psf=GaussianPSFConfig(roi_size=15, z_range_nm=(-600, 600)),
            simulation=simulation,
        )
        oracle = Oracle(scaling, **errors)
        simulators = type("Told", (Announcing,), {"oracle": oracle})
        return Model(oracle, info, {}, "oracle", ""), simulators

    assert math.isclose(float(unplus(torch.tensor([math.log(2)]))), 0, abs_tol=1e-6)
    return make
