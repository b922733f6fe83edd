"""What is simulated."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from napari_dilatedloc.config.base import Config, Range

Distribution = Literal["uniform", "gamma", "lognormal"]
"""How numbers spread over a (low, high): evenly between them, or with 5% below and 5% above."""

LifetimeDistribution = Literal["exponential", "uniform", "gamma", "lognormal"]
"""How on-times spread about their mean; the shapes are in `simulation.distributions`."""


class SimulationConfig(Config):
    """Blinking molecules over consecutive frames."""

    model_config = ConfigDict(allow_inf_nan=False)

    density_per_um2: Range = Field(
        (0.1, 1.0), description="molecules on per frame and um2; each movie draws from this range"
    )
    density_distribution: Distribution = Field(
        "uniform",
        description="of the density over movies; for gamma and lognormal density_per_um2 are its "
        "5th and 95th percentiles",
    )
    density_contrast: float = Field(
        0.0,
        ge=0,
        le=1,
        description="unevenness of the density over the field; 0: even, 1: from empty regions to "
        "twice the mean",
    )
    photons: Range = Field((500.0, 8000.0), description="photons a frame of a molecule fully on")
    photon_distribution: Distribution = Field(
        "uniform",
        description="of the photons over molecules; for gamma and lognormal photons are its 5th "
        "and 95th percentiles",
    )
    lifetime_frames: float = Field(2.0, gt=0, description="mean on-time, frames")
    lifetime_distribution: LifetimeDistribution = Field(
        "exponential",
        description="of on-times about their mean; uniform: 0 to twice the mean, gamma: shape 2, "
        "lognormal: standard deviation 0.8 of the logarithm",
    )
    bg: Range = Field((10.0, 150.0), description="background, photons per pixel per frame")
    bg_structure: float = Field(
        0.2,
        ge=0,
        le=1,
        description="largest relative variation of the background over the field; each movie "
        "draws between 0 and this",
    )
    bg_octaves: int = Field(
        3, ge=1, le=8, description="sizes of background structure, each half the one before"
    )
    bg_feature_px: float = Field(
        32.0, ge=2, description="size of the largest background structure, px"
    )
    z_range_nm: Range | None = Field(None, description="z of molecules, nm; default: the PSF's")
    min_photons: float = Field(
        100.0, ge=0, description="dimmer emitters are simulated, but no target for the network"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("density_per_um2", "photons", "bg", "z_range_nm"):
            bounds = getattr(self, name)
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError(f"{name} must be (low, high), got {bounds}; swap the two")
        for name in ("density_per_um2", "photons", "bg"):
            if getattr(self, name)[0] < 0:
                raise ValueError(
                    f"{name} cannot be negative, got {getattr(self, name)}; start at 0 or above"
                )
        for name in ("density_per_um2", "photons"):
            if getattr(self, name)[1] == 0:
                raise ValueError(f"{name} must reach above 0, got {getattr(self, name)}; raise it")
        return self

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        kinds = (("density_per_um2", "density"), ("photons", "photon"))
        for name, what in kinds:
            kind = getattr(self, f"{what}_distribution")
            if kind != "uniform" and getattr(self, name)[0] == 0:
                raise ValueError(
                    f"{name} must start above 0 for {what}_distribution {kind}, whose 5th "
                    f"percentile it is, got {getattr(self, name)}; raise it or choose uniform"
                )
        if self.min_photons > self.photons[1]:
            raise ValueError(
                f"min_photons must not exceed the largest photons, {self.photons[1]:g}, got "
                f"{self.min_photons:g}; lower it, or no molecule would be a target"
            )
        return self
