"""High-NA imaging of a freely rotating dipole: from the pupil to pixels.

The model of Stallinga & Rieger (Opt. Express 18, 24461 (2010)) with the layers of Li et al. (Nat.
Methods 15, 367 (2018)): the light of a dipole in the medium passes the cover slip and the
immersion (Fresnel), fills the pupil with its apodization, takes on the aberrations there, and is
focused on the camera. The field is

    E(r) = sum over the pupil of A(k) exp(i [2 pi W(k) / lambda + kz z - k.(r0 - r)])

once for each polarization and each direction of the dipole; their intensities are added. Two of the
six fields are equal, so five are computed.

Positions and phases follow the natural axes: k has x along columns and y along rows, m < 0 is the
sine, and a positive coma (3, 1) points its tail to -x. Laboratories that count x along rows are
turned at the door (`formats.vectorfit`).

The pupil is at most a hundred samples wide and the image some dozens of pixels, so two products
with small matrices of exponentials take its Fourier transform to just the pixels wanted, at any
pitch. That gives what the chirp-z transform gives, and on a CPU takes as long as it or padded FFTs.

Pixels: the intensity has no frequency above 2 NA / lambda, so samples finer than a pixel hold
all of it, and a pixel's integral is a short filter over them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, pi, sqrt

import torch
from torch import Tensor

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.zernike import Mode, basis, disc

MARGIN_PX = 3
"""Reach of a pixel's filter over the samples around it, px."""
CHUNK_BYTES = 64e6
FIELD_WEIGHTS = (1.0, 2.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Optics:
    """What the pupil and the camera do, ready for any aberration.

    Attributes
    ----------
    config : VectorialPSFConfig
        The settings; its `zernike_nm` and blurs are only defaults here.
    modes : tuple of (n, m)
        What the coefficients of `rois` mean.
    fields : Tensor (5, P, P) complex
        Light on the pupil for xx, xy, yy, xz, yz (polarization, dipole), at the cover slip and
        without phase of z.
    power : Tensor (P, P)
        Their energy, summed over the fields.
    basis : Tensor (M, P, P)
        Zernike modes.
    kz : Tensor (P, P)
        Phase per nm of z, rad/nm.
    decay : Tensor (P, P)
        Decay per nm of height of light beyond the critical angle, 1/nm.
    k_px : Tensor (P,)
        Lateral wave vector of the pupil's rows or columns, rad/px.
    samples_px : Tensor (F,)
        Places of the image samples, px from the centre pixel.
    """

    config: VectorialPSFConfig
    modes: tuple[Mode, ...]
    fields: Tensor
    power: Tensor
    basis: Tensor
    kz: Tensor
    decay: Tensor
    k_px: Tensor
    samples_px: Tensor

    def to(self, device: torch.device | str | None, dtype: torch.dtype) -> Optics:
        """Same on another device and in another real precision."""
        wide = torch.promote_types(dtype, torch.complex32)
        return replace(
            self,
            fields=self.fields.to(device, wide),
            power=self.power.to(device, dtype),
            basis=self.basis.to(device, dtype),
            kz=self.kz.to(device, dtype),
            decay=self.decay.to(device, dtype),
            k_px=self.k_px.to(device, dtype),
            samples_px=self.samples_px.to(device, dtype),
        )

    def rois(
        self,
        z_nm: Tensor,
        y: Tensor,
        x: Tensor,
        zernike_nm: Tensor,
        blur_px: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Pixel-integrated images of emitters that each send one photon into the pupil.

        Parameters
        ----------
        z_nm, y, x : Tensor (N,)
            Place: nm from the focus, px from the centre pixel.
        zernike_nm : Tensor (M,) or (N, M)
            Coefficients of `modes`, nm rms, of all emitters or of each.
        blur_px : pair of Tensor
            Gaussian blur along y and along x, px, with the pixel's own (0.29 px) in it.

        Returns
        -------
        Tensor (N, R, R)
            Photons per pixel; differentiable in everything.
        """
        filter_y, filter_x = (self.pixel_filter(blur) for blur in blur_px)
        size = 8 * 5 * len(self.k_px) * (len(self.k_px) + 2 * len(self.samples_px))
        step = max(1, int(CHUNK_BYTES / size))
        parts = []
        for first in range(0, len(z_nm), step):
            part = slice(first, first + step)
            own = zernike_nm[part] if zernike_nm.ndim == 2 else zernike_nm
            light = self.intensity(z_nm[part], y[part], x[part], own)
            parts.append(filter_y @ light @ filter_x.T)
        if not parts:
            size_px = self.config.roi_size
            return z_nm.new_zeros((0, size_px, size_px))
        return torch.cat(parts)

    def rois_and_slopes(
        self,
        z_nm: Tensor,
        y: Tensor,
        x: Tensor,
        zernike_nm: Tensor,
        blur_px: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """As `rois`, with the derivatives in all that acts on the phase of the pupil.

        Returns
        -------
        rois : Tensor (N, R, R)
            Photons per pixel.
        slopes : Tensor (N, M + 3, R, R)
            Per nm of each mode, per nm of z, per px of y and of x: each wave's derivative is the
            wave times i times its phase's, so every slope costs one transform. That of z is whole
            with `scan` "stage", where no amplitude changes with z.
        """
        filter_y, filter_x = (self.pixel_filter(blur) for blur in blur_px)
        modes = self.basis * (2 * pi / self.config.wavelength_nm)
        rows = -self.k_px[:, None].expand_as(self.kz)
        phases = torch.cat([modes, torch.stack([self.kz, rows, rows.T])])  # (M + 3, P, P)
        step = max(1, int(CHUNK_BYTES / (8 * 5 * len(self.k_px) * 2 * len(self.samples_px))))
        parts = []
        for first in range(0, len(z_nm), step):
            part = slice(first, first + step)
            pupil = self._pupil(z_nm[part], y[part], x[part], zernike_nm)
            field = self._focus(pupil)
            light = [_power(field, field)]
            light += [2 * _power(field, self._focus(pupil * (1j * phase))) for phase in phases]
            parts.append(filter_y @ torch.stack(light, dim=1) @ filter_x.T)
        every = torch.cat(parts)
        return every[:, 0], every[:, 1:]

    def intensity(self, z_nm: Tensor, y: Tensor, x: Tensor, zernike_nm: Tensor) -> Tensor:
        """Light per px^2 at the image samples, (N, F, F)."""
        field = self._focus(self._pupil(z_nm, y, x, zernike_nm))
        return _power(field, field)

    def _pupil(self, z_nm: Tensor, y: Tensor, x: Tensor, zernike_nm: Tensor) -> Tensor:
        """Fields on the pupil with all their phase, (N, 5, P, P)."""
        wavefront = torch.einsum("...m,mvu->...vu", zernike_nm, self.basis)  # (N or none, P, P)
        phase = wavefront * (2 * pi / self.config.wavelength_nm)
        phase = phase + self.kz * z_nm[:, None, None]
        phase = phase - self.k_px[:, None] * y[:, None, None] - self.k_px * x[:, None, None]
        return torch.polar(self.amplitude(z_nm), phase)[:, None] * self.fields

    def _focus(self, pupil: Tensor) -> Tensor:
        """Fields at the image samples, (N, 5, F of x, F of y)."""
        one = torch.ones((), dtype=self.k_px.dtype, device=self.k_px.device)
        wave = torch.polar(one, self.k_px[:, None] * self.samples_px)  # (P, F)
        return (pupil @ wave).mT @ wave

    def amplitude(self, z_nm: Tensor) -> Tensor:
        """Factor (N, P, P) on the fields that makes their energy one photon at each height.

        Light beyond the critical angle reaches the pupil only from near the cover slip.
        """
        height = (z_nm + self.config.depth_nm).clamp_min(0)[:, None, None]
        size = torch.exp(-self.decay * height)
        # a sum of waves with this spacing repeats after one period; its energy there is 1
        period_px = 2 * pi / (self.k_px[1] - self.k_px[0])
        energy = (self.power * size**2).sum(dim=(1, 2), keepdim=True)
        return size / (energy.sqrt() * period_px)

    def pixel_filter(self, blur_px: Tensor) -> Tensor:
        """Weights (R, F) that turn samples along one axis into pixels.

        The filter's spectrum is the pixel's and the blur's up to the cut-off of the intensity, and
        falls to zero before the samples' first alias.
        """
        config = self.config
        roi = config.roi_size
        cutoff = _cutoff_per_px(config)
        rate = 1 / float(self.samples_px[1] - self.samples_px[0])
        frequency = torch.linspace(0, 1, 129, dtype=torch.float64, device=blur_px.device)
        frequency = frequency * (rate - cutoff)
        variance = (blur_px.double() ** 2 - 1 / 12).clamp_min(0)
        spectrum = torch.sinc(frequency) * torch.exp(-2 * pi**2 * variance * frequency**2)
        fall = ((frequency - cutoff) / (rate - 2 * cutoff)).clamp(0, 1)
        spectrum = spectrum * (0.5 + 0.5 * torch.cos(pi * fall))
        # all pixels share one filter, each at its own place among the samples
        steps = round(MARGIN_PX * rate)
        distance = torch.arange(-steps, steps + 1, device=blur_px.device) / rate
        waves = torch.cos(2 * pi * distance[:, None] * frequency)
        weights = torch.trapezoid(spectrum * waves, frequency, dim=-1)
        weights = (weights / weights.sum()).to(self.k_px.dtype)
        rows = torch.zeros(roi, len(self.samples_px), dtype=weights.dtype, device=weights.device)
        starts = round(rate) * torch.arange(roi, device=weights.device)
        columns = starts[:, None] + torch.arange(len(weights), device=weights.device)
        return rows.scatter(1, columns, weights.expand(roi, -1))


def _power(first: Tensor, second: Tensor) -> Tensor:
    """Sum over the fields of Re(first* second), (N, F of y, F of x)."""
    weights = torch.tensor(FIELD_WEIGHTS, dtype=first.real.dtype, device=first.device)
    product = first.real * second.real + first.imag * second.imag
    return torch.einsum("c,ncxy->nyx", weights, product)


def needed_pupil(config: VectorialPSFConfig) -> int:
    """Pupil samples along a diameter that defocus at the ends of z asks for.

    Its phase must change by less than 2 from sample to sample (at 0.97 of the rim, or of the
    critical angle), or light of the rim comes back as a faint grid.
    """
    index = config.n_immersion if config.scan == "stage" else config.n_medium
    sine = 0.97 * min(config.na / index, 1.0)
    reach_nm = max(abs(z) for z in config.z_range_nm)
    wave = 2 * pi * index / config.wavelength_nm
    slope = wave * reach_nm * sine * (config.na / index) / sqrt(1 - sine**2)
    return ceil(slope)  # the diameter is 2


def _cutoff_per_px(config: VectorialPSFConfig) -> float:
    """Highest frequency of the intensity, 1/px."""
    return 2 * config.na * config.pixel_size_nm / config.wavelength_nm


def build_optics(
    config: VectorialPSFConfig,
    modes: tuple[Mode, ...],
    pupil: Tensor | None = None,
) -> Optics:
    """Optics of given settings, float64 on the CPU.

    Parameters
    ----------
    config : VectorialPSFConfig
        The settings.
    modes : tuple of (n, m)
        Zernike modes whose coefficients will be given.
    pupil : Tensor (2, P, P), optional
        Amplitude and phase (rad) of a mask on the pupil, on top of apodization and aberrations;
        (y, x) as the image, rim at the border of the array.
    """
    y, x, share = disc(config.n_pupil)
    fields, kz_medium, kz_immersion = _dipole_fields(config, y, x)
    k_px = y[:, 0] * (2 * pi * config.na / config.wavelength_nm * config.pixel_size_nm)
    if pupil is not None:
        if pupil.shape != (2, *share.shape):
            raise ValueError(
                f"a pupil must have shape (2, {config.n_pupil}, {config.n_pupil}) for n_pupil "
                f"{config.n_pupil}, got {tuple(pupil.shape)}; resample it"
            )
        fields = fields * torch.polar(pupil[0].double(), pupil[1].double())
    kz, decay = kz_medium.real, kz_medium.imag
    if config.scan == "stage":
        fields = fields * torch.exp(-decay * config.depth_nm)
        kz, decay = kz_immersion.real, torch.zeros_like(decay)
    weights = torch.tensor(FIELD_WEIGHTS, dtype=share.dtype)
    stage_nm = config.depth_nm * config.n_immersion / config.n_medium
    focus = kz_medium.real * config.depth_nm - kz_immersion.real * stage_nm
    oversampling = max(2, ceil(2.5 * _cutoff_per_px(config)))
    reach = (config.roi_size // 2 + MARGIN_PX) * oversampling
    return Optics(
        config=config,
        modes=modes,
        fields=fields * torch.polar(share, focus),
        power=torch.einsum("c,cvu->vu", weights, fields.abs() ** 2) * share,
        basis=basis(modes, y, x),
        kz=kz.clone(),
        decay=decay.clone(),
        k_px=k_px,
        samples_px=torch.arange(-reach, reach + 1, dtype=torch.float64) / oversampling,
    )


def _dipole_fields(
    config: VectorialPSFConfig, y: Tensor, x: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Fields (5, P, P) on the pupil, and kz (P, P) in medium and immersion, rad/nm, complex."""
    radius2 = (x**2 + y**2).clamp(max=1)
    indices = (config.n_medium, config.n_cover, config.n_immersion)
    cosines = [_cosine(radius2 * (config.na / n) ** 2) for n in indices]
    medium, cover, immersion = zip(indices, cosines, strict=True)
    p = _fresnel_p(medium, cover) * _fresnel_p(cover, immersion)
    s = _fresnel_s(medium, cover) * _fresnel_s(cover, immersion)
    apodization = torch.sqrt(immersion[1]) / medium[1]
    p, s = p * apodization, s * apodization
    radius = radius2.sqrt().clamp_min(1e-12)
    cos_phi, sin_phi = x / radius, y / radius
    cos_medium = medium[1]
    sin_medium = radius * config.na / config.n_medium
    tilted = p * cos_medium
    fields = torch.stack(
        [
            cos_phi**2 * tilted + sin_phi**2 * s,
            cos_phi * sin_phi * (tilted - s),
            sin_phi**2 * tilted + cos_phi**2 * s,
            -cos_phi * p * sin_medium,
            -sin_phi * p * sin_medium,
        ]
    )
    wave = 2 * pi / config.wavelength_nm
    return fields, wave * medium[0] * medium[1], wave * immersion[0] * immersion[1]


def _cosine(sine2: Tensor) -> Tensor:
    """Cosine of an angle from its squared sine; imaginary beyond the critical angle, never 0."""
    difference = 1 - sine2
    difference = torch.where(difference.abs() < 1e-9, 1e-9, difference)
    return torch.sqrt(difference.to(torch.complex128))


def _fresnel_p(first: tuple[float, Tensor], second: tuple[float, Tensor]) -> Tensor:
    """Transmission of p-polarized light between two layers (index, cosine of the angle)."""
    (n1, cos1), (n2, cos2) = first, second
    return 2 * n1 * cos1 / (n1 * cos2 + n2 * cos1)


def _fresnel_s(first: tuple[float, Tensor], second: tuple[float, Tensor]) -> Tensor:
    """Transmission of s-polarized light between two layers."""
    (n1, cos1), (n2, cos2) = first, second
    return 2 * n1 * cos1 / (n1 * cos1 + n2 * cos2)
