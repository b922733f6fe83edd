"""Mean precision bound of a pupil and its slope in the Zernike coefficients, for pupil design.

The image and its slopes along z, y and x come from one pass: the derivative of each wave that makes
the image is the wave times i kz, -i ky or -i kx, so the pupil is sent through the same small matrix
products with these factors in them. With E the fields of the image, I = sum |E|^2 and
dI/dx = 2 sum Re(E* dE/dx). All that does not depend on the aberrations is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import pi

import torch
from torch import Tensor

from napari_dilatedloc.config import PixelNoise, VectorialPSFConfig
from napari_dilatedloc.psf.crlb import fisher_information, mean_crlb_nm
from napari_dilatedloc.psf.optics import FIELD_WEIGHTS, MARGIN_PX, Optics, build_optics
from napari_dilatedloc.psf.slopes import Slopes
from napari_dilatedloc.psf.zernike import Mode, basis, disc

CHUNK_PLANES = 4
"""Planes of z computed at a time: bounds the memory of the backward pass."""


@dataclass(frozen=True)
class Merit:
    """Mean 3-D bound over z planes as a function of the coefficients; see `build_merit`.

    Attributes
    ----------
    pupil, pupil_dz : Tensor (N, 5, P, P) complex
        Light on the pupil for each plane without the aberrations of `basis`, and its slope per nm.
    wave, wave_slope : Tensor (P, F) complex
        Waves from pupil to image samples, and their slope per px of the emitter's position.
    basis : Tensor (M, P, P)
        Modes, as phase in rad per nm rms.
    filter_y, filter_x : Tensor (R, F)
        From samples to pixels.
    photons, bg : float
        Photons of the emitter; background per pixel.
    noise : PixelNoise
        Noise of a pixel.
    pixel_size_nm : float
        Camera pixel, nm.
    """

    pupil: Tensor
    pupil_dz: Tensor
    wave: Tensor
    wave_slope: Tensor
    basis: Tensor
    filter_y: Tensor
    filter_x: Tensor
    photons: float
    bg: float
    noise: PixelNoise
    pixel_size_nm: float

    def value_nm(self, zernike_nm: Tensor) -> float:
        """Mean 3-D bound of coefficients (M,), nm; infinite where z or another cannot be told."""
        with torch.no_grad():
            wavefront = zernike_nm.to(self.basis.dtype)
            return sum(float(self._share(wavefront, part)) for part in self._parts())

    def value_and_slope(self, zernike_nm: Tensor) -> tuple[float, Tensor]:
        """Mean 3-D bound, nm, and its derivative (M,) in each coefficient, nm per nm."""
        leaf = zernike_nm.detach().to(self.basis.dtype).requires_grad_()
        total, slope = 0.0, torch.zeros_like(leaf)
        for part in self._parts():
            share = self._share(leaf, part)
            slope = slope + torch.autograd.grad(share, leaf)[0]
            total += float(share.detach())
        return total, slope.to(zernike_nm.dtype)

    def slopes(self, zernike_nm: Tensor, part: slice = slice(None)) -> Slopes:
        """Unit-photon ROIs (N, R, R) of centred emitters and their derivatives."""
        phase = torch.einsum("m,mvu->vu", zernike_nm, self.basis)
        turned = torch.polar(torch.ones_like(phase), phase)
        pupil, pupil_dz = self.pupil[part] * turned, self.pupil_dz[part] * turned
        columns = (pupil @ self.wave).mT  # (N, 5, F of x, P of y)
        field = columns @ self.wave  # (N, 5, F of x, F of y)
        field_dz = (pupil_dz @ self.wave).mT @ self.wave
        field_dy = columns @ self.wave_slope
        field_dx = (pupil @ self.wave_slope).mT @ self.wave
        rois = self._pixels(field, field)
        slopes = (2 * self._pixels(field, other) for other in (field_dz, field_dy, field_dx))
        return Slopes(rois, *slopes)

    def _pixels(self, first: Tensor, second: Tensor) -> Tensor:
        """Sum over the fields of Re(first* second), on pixels."""
        weights = first.real.new_tensor(FIELD_WEIGHTS)
        product = first.real * second.real + first.imag * second.imag
        return self.filter_y @ torch.einsum("c,ncxy->nyx", weights, product) @ self.filter_x.T

    def _share(self, zernike_nm: Tensor, part: slice) -> Tensor:
        """Share of some planes in the mean."""
        slopes = self.slopes(zernike_nm, part)
        count = len(slopes.rois)
        photons, bg = (zernike_nm.new_full((count,), value) for value in (self.photons, self.bg))
        information = fisher_information(slopes, photons, bg, self.noise)
        return mean_crlb_nm(information, self.pixel_size_nm) * (count / len(self.pupil))

    def _parts(self) -> list[slice]:
        starts = range(0, len(self.pupil), CHUNK_PLANES)
        return [slice(start, start + CHUNK_PLANES) for start in starts]


def build_merit(
    config: VectorialPSFConfig,
    modes: tuple[Mode, ...],
    z_nm: Tensor,
    photons: float,
    bg: float,
    noise: PixelNoise | None = None,
    *,
    coarse: bool = False,
) -> Merit:
    """Mean 3-D bound over planes of z, for emitters in the middle of the central pixel.

    Parameters
    ----------
    config : VectorialPSFConfig
        Optics; its aberrations of `modes` are replaced by the coefficients, others stay.
    modes : tuple of (n, m)
        What the coefficients mean.
    z_nm : Tensor (N,)
        Planes averaged over, nm.
    photons, bg : float
        Photons of the emitter; background per pixel.
    noise : PixelNoise, optional
        Default: pure shot noise.
    coarse : bool
        float32 and one image sample a pixel, where the optics allow it: within some percent of the
        truth and ten times as fast.
    """
    optics = build_optics(config, modes, _fixed_pupil(config, modes))
    if coarse:
        optics = _fewest_samples(optics)
    z_nm = z_nm.double()
    size, size_dz = _size_and_slope(optics, z_nm)
    turned = torch.polar(torch.ones_like(size), optics.kz * z_nm[:, None, None])
    wave = torch.polar(torch.ones_like(optics.k_px[:1]), optics.k_px[:, None] * optics.samples_px)
    real = torch.float32 if coarse else torch.float64
    wide = torch.complex64 if coarse else torch.complex128
    blur_y, blur_x = torch.tensor(config.blur_y_px), torch.tensor(config.blur_x_px)
    return Merit(
        pupil=((size * turned)[:, None] * optics.fields).to(wide),
        pupil_dz=(((size_dz + 1j * optics.kz * size) * turned)[:, None] * optics.fields).to(wide),
        wave=wave.to(wide),
        wave_slope=(-1j * optics.k_px[:, None] * wave).to(wide),
        basis=(optics.basis * (2 * pi / config.wavelength_nm)).to(real),
        filter_y=optics.pixel_filter(blur_y).to(real),
        filter_x=optics.pixel_filter(blur_x).to(real),
        photons=photons,
        bg=bg,
        noise=noise if noise is not None else PixelNoise(),
        pixel_size_nm=config.pixel_size_nm,
    )


def _fixed_pupil(config: VectorialPSFConfig, modes: tuple[Mode, ...]) -> Tensor:
    """Aberrations of modes that are not designed, as a mask (2, P, P) of amplitude and phase."""
    others = [(n, m, size_nm) for n, m, size_nm in config.zernike_nm if (n, m) not in modes]
    y, x, _ = disc(config.n_pupil)
    waves = basis(tuple((n, m) for n, m, _ in others), y, x)
    sizes = torch.tensor([size_nm for _, _, size_nm in others], dtype=y.dtype)
    phase = torch.einsum("m,mvu->vu", sizes, waves) * (2 * pi / config.wavelength_nm)
    return torch.stack([torch.ones_like(phase), phase])


def _size_and_slope(optics: Optics, z_nm: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitude of the light on the pupil at each height, and its slope per nm, (N, P, P).

    Light beyond the critical angle decays with the height, and the rest grows by what that loses,
    as an emitter sends one photon into the pupil at any height.
    """
    size = optics.amplitude(z_nm)
    above = (z_nm + optics.config.depth_nm > 0).to(size.dtype)[:, None, None]
    decay = optics.decay * above
    energy = optics.power * size**2
    lost = (energy * decay).sum(dim=(1, 2), keepdim=True) / energy.sum(dim=(1, 2), keepdim=True)
    return size, size * (lost - decay)


def _fewest_samples(optics: Optics) -> Optics:
    """Same optics with one image sample a pixel, if the intensity's highest frequency allows it."""
    config = optics.config
    cutoff = 2 * config.na * config.pixel_size_nm / config.wavelength_nm
    if cutoff > 0.48:
        return optics
    reach = config.roi_size // 2 + MARGIN_PX
    return replace(optics, samples_px=torch.arange(-reach, reach + 1, dtype=torch.float64))
