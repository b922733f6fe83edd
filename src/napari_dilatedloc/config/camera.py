"""Cameras."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from napari_dilatedloc.config.base import Config


class _Camera(Config):
    model_config = ConfigDict(allow_inf_nan=False)

    baseline: float = Field(100.0, ge=0, description="ADU of a pixel without light")
    e_per_adu: float = Field(1.0, gt=0, description="electrons per ADU")
    qe: float = Field(0.9, gt=0, le=1, description="quantum efficiency, 0-1")
    read_noise_e: float = Field(1.5, ge=0, description="read noise, electrons rms")
    spurious_e: float = Field(0.0, ge=0, description="spurious charge, electrons per pixel")
    max_adu: int = Field(65535, gt=0, description="largest ADU the converter gives")

    @model_validator(mode="after")
    def _light_can_be_counted(self) -> Self:
        if self.baseline >= self.max_adu:
            raise ValueError(
                f"baseline must lie below max_adu, got baseline {self.baseline:g} and max_adu "
                f"{self.max_adu}; correct the one that is wrong"
            )
        return self


class EMCCDConfig(_Camera):
    """Electron-multiplying CCD camera."""

    kind: Literal["emccd"] = "emccd"
    em_gain: float = Field(300.0, ge=1, description="electron-multiplying gain")
    e_per_adu: float = Field(45.0, gt=0, description="electrons per ADU after the gain")
    read_noise_e: float = Field(74.4, ge=0, description="read noise after the gain, e rms")
    spurious_e: float = Field(0.002, ge=0, description="spurious charge, electrons per pixel")


class SCMOSConfig(_Camera):
    """Scientific CMOS camera, or a CCD without multiplication."""

    kind: Literal["scmos"] = "scmos"
    e_per_adu: float = Field(0.47, gt=0, description="electrons per ADU")
    maps: str | None = Field(
        None,
        description="file of per-pixel maps of the chip as it was read out, which replace baseline,"
        " e_per_adu, read_noise_e and qe: .npz with arrays of these names, storm-analysis' .npy, or"
        " a .tif of offset (ADU), variance (ADU^2), gain (ADU/e) and optionally relative QE",
    )


CameraConfig = Annotated[EMCCDConfig | SCMOSConfig, Field(discriminator="kind")]


BUILT_IN_CAMERAS: dict[str, SCMOSConfig | EMCCDConfig] = {
    "sCMOS, typical": SCMOSConfig(
        baseline=100.0, e_per_adu=0.47, qe=0.81, read_noise_e=1.61, spurious_e=0.002
    ),
    "EMCCD, SMLM Challenge 2016": EMCCDConfig(),
}
"""Cameras to begin with: that of published simulations of sCMOS movies, and the Challenge's."""


class PixelNoise(Config):
    """Noise of one camera pixel in photons: ``variance = excess * mean + floor_photons2``.

    The default is pure shot noise. For a camera `camera.Camera.noise` gives it.
    """

    excess: float = Field(1.0, gt=0, description="variance per photon: 1/QE, twice that for EM")
    floor_photons2: float = Field(0.0, ge=0, description="variance without light, photons^2")
