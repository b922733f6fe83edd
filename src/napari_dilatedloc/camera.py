"""Camera: photons to ADU and back, for EMCCD and sCMOS cameras.

The chain follows the order of the physics: quantum efficiency and spurious charge, shot noise,
electron multiplication, read noise, conversion, baseline, saturation (Huang et al. 2013,
doi:10.1038/nmeth.2488 for sCMOS; Sage et al. 2019, doi:10.1038/s41592-019-0364-4 for EMCCD).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_dilatedloc.camera_maps import CameraMaps, Map, load_camera_maps
from napari_dilatedloc.config import CameraConfig, EMCCDConfig, PixelNoise, SCMOSConfig


@dataclass(frozen=True)
class Camera:
    """A camera ready for use; its maps are scalars or tensors (..., Y, X) on one device."""

    config: CameraConfig
    baseline: Tensor
    e_per_adu: Tensor
    read_noise_e: Tensor
    qe: Tensor

    @property
    def shape(self) -> tuple[int, int] | None:
        """(Y, X) of the maps, px; None for a uniform camera, which suits any movie."""
        maps = [values for values in self._maps().values() if values.ndim >= 2]
        return (maps[0].shape[-2], maps[0].shape[-1]) if maps else None

    @property
    def typical(self) -> Camera:
        """Uniform camera with the medians of the maps; it suits movies of any size."""
        return self._changed(lambda values: values.median())

    @property
    def em_gain(self) -> float:
        """Electron-multiplying gain; 1 for a camera without."""
        return self.config.em_gain if isinstance(self.config, EMCCDConfig) else 1.0

    @property
    def excess_noise(self) -> float:
        """Factor on the shot-noise variance: 2 for an EMCCD at high gain, else 1."""
        return 2.0 if self.em_gain > 1 else 1.0

    @property
    def noise(self) -> PixelNoise:
        """Noise of a typical pixel in photons; of a map its median is taken.

        Shot noise, excess noise, spurious charge, read noise and the converter's rounding
        (variance 1/12 ADU^2).
        """
        read_e = float(self.read_noise_e.median()) / self.em_gain
        rounding_e2 = (float(self.e_per_adu.median()) / self.em_gain) ** 2 / 12
        floor_e2 = self.excess_noise * self.config.spurious_e + read_e**2 + rounding_e2
        qe = float(self.qe.median())
        return PixelNoise(excess=self.excess_noise / qe, floor_photons2=floor_e2 / qe**2)

    def to(self, device: torch.device | str) -> Camera:
        """Same camera on another device."""
        return self._changed(lambda values: values.to(device))

    def crop(self, y0: int, x0: int, y1: int, x1: int) -> Camera:
        """Camera of a region of the chip (maps cropped, scalars kept)."""
        return self._changed(
            lambda values: values[..., y0:y1, x0:x1] if values.ndim >= 2 else values
        )

    def at(self, origin: Tensor | None, size: tuple[int, int]) -> Camera:
        """Camera of several small movies, each from its own part of the chip.

        Parameters
        ----------
        origin : Tensor (movies, 2), optional
            First pixel (y, x) of each movie; without it all begin with the chip's first.
        size : tuple of int
            (height, width) of the movies, px.

        Returns
        -------
        Camera
            Its maps are (movies, 1, H, W) for movies (movies, T, H, W), (H, W) without `origin`.

        Raises
        ------
        ValueError
            If the maps are smaller than a movie.
        """
        if self.shape is None:
            return self
        if self.shape[0] < size[0] or self.shape[1] < size[1]:
            raise ValueError(
                f"the camera's maps must be at least as large as the simulated field, got "
                f"{self.shape[0]} x {self.shape[1]} px for {size[0]} x {size[1]} px; simulate a "
                "smaller field or give larger maps"
            )
        if origin is None:
            return self.crop(0, 0, *size)
        first = origin.long().to(self.baseline.device)
        rows = first[:, 0, None] + torch.arange(size[0], device=first.device)
        cols = first[:, 1, None] + torch.arange(size[1], device=first.device)
        return self._changed(
            lambda values: (
                values[rows[:, None, :, None], cols[:, None, None, :]]
                if values.ndim == 2
                else values
            )
        )

    def check_shape(self, height: int, width: int) -> None:
        """Refuse a movie whose frames are not those the maps were measured on.

        Raises
        ------
        ValueError
            If there are maps and their shape is another.
        """
        if self.shape is not None and self.shape != (height, width):
            raise ValueError(
                f"the camera's maps are {self.shape[0]} x {self.shape[1]} px, but the movie is "
                f"{height} x {width} px; cut the maps to the part of the chip that was read out"
            )

    def _maps(self) -> dict[str, Tensor]:
        names = ("baseline", "e_per_adu", "read_noise_e", "qe")
        return {name: getattr(self, name) for name in names}

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Camera:
        maps = {name: change(values) for name, values in self._maps().items()}
        return Camera(self.config, **maps)

    def to_adu(self, photons: Tensor, generator: torch.Generator) -> Tensor:
        """Noisy camera counts of expected photons.

        Parameters
        ----------
        photons : Tensor (..., Y, X)
            Expected photons per pixel per frame.
        generator : torch.Generator
            Source of the noise, on the device of `photons`.

        Returns
        -------
        Tensor (..., Y, X)
            ADU as whole numbers in float32, between 0 and `max_adu`.
        """
        rate = photons * self.qe + self.config.spurious_e
        electrons = torch.poisson(rate, generator=generator)
        if self.em_gain > 1:
            electrons = _multiply(electrons, self.em_gain, generator)
        noise = torch.empty_like(electrons).normal_(generator=generator)
        electrons = electrons + noise * self.read_noise_e
        adu = electrons / self.e_per_adu + self.baseline
        return adu.round().clamp(0, self.config.max_adu)

    def to_photons(self, adu: Tensor) -> Tensor:
        """Photons that explain camera counts on average; shapes as given, may be negative."""
        electrons = (adu - self.baseline) * (self.e_per_adu / self.em_gain)
        return (electrons - self.config.spurious_e) / self.qe


def build_camera(
    config: CameraConfig, maps: CameraMaps | None = None, device: torch.device | str = "cpu"
) -> Camera:
    """Camera from its settings, with per-pixel maps where there are any.

    Parameters
    ----------
    config : CameraConfig
        Settings; where they name a file of maps and `maps` is not given, it is read.
    maps : CameraMaps, optional
        Maps that take the place of the settings' numbers.
    device : device
        Where the maps go.

    Raises
    ------
    CameraMapsError
        If the file of maps is missing or holds impossible numbers.
    """
    if maps is None and isinstance(config, SCMOSConfig) and config.maps is not None:
        maps = load_camera_maps(config.maps, e_per_adu=config.e_per_adu, qe=config.qe)
    maps = maps or CameraMaps()

    def pick(values: Map | None, default: float) -> Tensor:
        chosen = default if values is None else np.asarray(values, dtype=np.float32)
        return torch.as_tensor(chosen, dtype=torch.float32, device=device)

    return Camera(
        config,
        baseline=pick(maps.baseline, config.baseline),
        e_per_adu=pick(maps.e_per_adu, config.e_per_adu),
        read_noise_e=pick(maps.read_noise_e, config.read_noise_e),
        qe=pick(maps.qe, config.qe),
    )


def _multiply(electrons: Tensor, gain: float, generator: torch.Generator) -> Tensor:
    """Electrons after the multiplication register: Gamma(shape=electrons, scale=gain).

    No electrons stay none: Gamma(0) is undefined in the sampler.
    """
    drawn = torch._standard_gamma(electrons.clamp(min=1.0), generator=generator) * gain
    return torch.where(electrons > 0, drawn, torch.zeros_like(drawn))
