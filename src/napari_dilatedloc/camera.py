"""Camera: photons to ADU and back, for EMCCD and sCMOS cameras.

The chain follows the order of the physics: quantum efficiency and spurious charge, shot noise,
electron multiplication, read noise, conversion, baseline, saturation (Huang et al. 2013,
doi:10.1038/nmeth.2488 for sCMOS; Sage et al. 2019, doi:10.1038/s41592-019-0364-4 for EMCCD).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.config import CameraConfig, EMCCDConfig, PixelNoise


@dataclass(frozen=True)
class CameraMaps:
    """Per-pixel calibration of a camera, each (Y, X) and None where the camera is uniform.

    Attributes
    ----------
    baseline : array, optional
        ADU of a pixel without light.
    e_per_adu : array, optional
        Electrons per ADU.
    read_noise_e : array, optional
        Read noise, electrons rms.
    """

    baseline: NDArray[np.float32] | None = None
    e_per_adu: NDArray[np.float32] | None = None
    read_noise_e: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Camera:
    """A camera ready for use; its maps are scalars or (Y, X) tensors on one device."""

    config: CameraConfig
    baseline: Tensor
    e_per_adu: Tensor
    read_noise_e: Tensor

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
        qe = self.config.qe
        return PixelNoise(excess=self.excess_noise / qe, floor_photons2=floor_e2 / qe**2)

    def to(self, device: torch.device | str) -> Camera:
        """Same camera on another device."""
        return replace(
            self,
            baseline=self.baseline.to(device),
            e_per_adu=self.e_per_adu.to(device),
            read_noise_e=self.read_noise_e.to(device),
        )

    def crop(self, y0: int, x0: int, y1: int, x1: int) -> Camera:
        """Camera of a region of the chip (maps cropped, scalars kept)."""

        def cut(values: Tensor) -> Tensor:
            return values[y0:y1, x0:x1] if values.ndim == 2 else values

        return replace(
            self,
            baseline=cut(self.baseline),
            e_per_adu=cut(self.e_per_adu),
            read_noise_e=cut(self.read_noise_e),
        )

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
        rate = photons * self.config.qe + self.config.spurious_e
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
        return (electrons - self.config.spurious_e) / self.config.qe


def build_camera(
    config: CameraConfig, maps: CameraMaps | None = None, device: torch.device | str = "cpu"
) -> Camera:
    """Camera from its settings, with per-pixel maps where there are any."""
    maps = maps or CameraMaps()

    def pick(values: NDArray[np.float32] | None, default: float) -> Tensor:
        chosen = default if values is None else np.asarray(values, dtype=np.float32)
        return torch.as_tensor(chosen, dtype=torch.float32, device=device)

    return Camera(
        config,
        baseline=pick(maps.baseline, config.baseline),
        e_per_adu=pick(maps.e_per_adu, config.e_per_adu),
        read_noise_e=pick(maps.read_noise_e, config.read_noise_e),
    )


def _multiply(electrons: Tensor, gain: float, generator: torch.Generator) -> Tensor:
    """Electrons after the multiplication register: Gamma(shape=electrons, scale=gain).

    No electrons stay none: Gamma(0) is undefined in the sampler.
    """
    drawn = torch._standard_gamma(electrons.clamp(min=1.0), generator=generator) * gain
    return torch.where(electrons > 0, drawn, torch.zeros_like(drawn))
