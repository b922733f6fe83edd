"""The vectorial PSF; its formulas are in `optics`."""

from __future__ import annotations

from functools import lru_cache
from typing import Self

import torch
from torch import Tensor

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.optics import Optics, build_optics
from napari_dilatedloc.psf.zernike import Mode, check_mode


class VectorialBase:
    """Optics in the device and precision of the emitters."""

    def __init__(self, optics: Optics, blurred: VectorialPSFConfig) -> None:
        self._optics = lru_cache(maxsize=4)(optics.to)
        self._blur = blurred.blur_y_px, blurred.blur_x_px

    def images(self, z_nm: Tensor, y: Tensor, x: Tensor, zernike_nm: Tensor) -> Tensor:
        """ROIs for coefficients (M,) or, emitter by emitter, (N, M); see `Optics.rois`."""
        optics: Optics = self._optics(z_nm.device, z_nm.dtype)
        blur_y, blur_x = (torch.tensor(value, device=z_nm.device) for value in self._blur)
        return optics.rois(z_nm, y, x, zernike_nm, (blur_y, blur_x))


class VectorialPSF(VectorialBase):
    """PSF of a freely rotating dipole seen through aberrations; see `optics`.

    float64 positions give the reference, float32 ones are twice as fast and agree to 1e-5 of the
    peak. For many ROIs compile it (`compile.compile_psf`).

    Parameters
    ----------
    config : VectorialPSFConfig
        Optics and Zernike coefficients.
    pupil : Tensor (2, P, P), optional
        Amplitude and phase (rad) of a mask, on top of the coefficients.
    """

    def __init__(self, config: VectorialPSFConfig, pupil: Tensor | None = None) -> None:
        modes = modes_of(config)
        super().__init__(build_optics(config, modes, pupil), config)
        self.config = config
        self.pupil = pupil

    def tensors(self) -> dict[str, Tensor]:
        """Give the mask on the pupil, if there is one."""
        return {} if self.pupil is None else {"pupil": self.pupil}

    def to(self, device: torch.device | str) -> Self:
        """Itself: it works on the device of its input."""
        return self

    def rois(self, z_nm: Tensor, y: Tensor, x: Tensor, place: Tensor | None = None) -> Tensor:
        """Images of emitters that each send one photon; see `base.PSF.rois`.

        A photon counts once it is through the objective, so a ROI sums to less than 1 by the light
        that falls beside it.
        """
        sizes = [nm for _, _, nm in self.config.zernike_nm]
        return self.images(z_nm, y, x, z_nm.new_tensor(sizes))


def modes_of(config: VectorialPSFConfig) -> tuple[Mode, ...]:
    """Modes of the coefficients, each checked."""
    for n, m, _ in config.zernike_nm:
        check_mode(n, m)
    return tuple((n, m) for n, m, _ in config.zernike_nm)
