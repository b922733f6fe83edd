"""Picture of one or more pupils: phase, spots through z and precision bounds."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dilatedloc.config import PixelNoise, VectorialPSFConfig
from napari_dilatedloc.psf.crlb import crlb
from napari_dilatedloc.psf.design import mean_bound_nm
from napari_dilatedloc.psf.vectorial import VectorialPSF, modes_of
from napari_dilatedloc.psf.zernike import basis, disc

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

SPOTS = 7
BOUND_PLANES = 61
COLOURS = ("tab:blue", "tab:orange", "0.45", "tab:green", "tab:purple", "tab:red")


def design_figure(
    pupils: Mapping[str, VectorialPSFConfig],
    photons: float,
    bg: float,
    noise: PixelNoise | None = None,
) -> Figure:
    """One row per pupil (wavefront and spots), and below them the bounds of all.

    Parameters
    ----------
    pupils : mapping of str to VectorialPSFConfig
        By name; the first one's range of z is shown.
    photons, bg : float
        Photons of the emitter and background per pixel, for the bounds.
    noise : PixelNoise, optional
        Default: pure shot noise.
    """
    from matplotlib.figure import Figure  # slow to import, and seldom needed

    span = next(iter(pupils.values())).z_range_nm
    heights = [1.9] * len(pupils) + [3.2]
    figure = Figure(figsize=(12, sum(heights)), dpi=110, layout="constrained")
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (name, config) in zip(parts, pupils.items(), strict=False):
        _draw_pupil(part, name, config, span)
    _draw_bounds(parts[-1], pupils, span, (photons, bg), noise)
    return figure


def wavefront_nm(config: VectorialPSFConfig, samples: int = 128) -> NDArray[np.float64]:
    """Aberrations on the pupil, nm of path, (samples, samples) as (y, x); NaN outside."""
    y, x, share = disc(samples)
    sizes = torch.tensor([size for _, _, size in config.zernike_nm], dtype=y.dtype)
    waves = torch.einsum("m,mvu->vu", sizes, basis(modes_of(config), y, x))
    return torch.where(share > 0.5, waves, torch.nan).numpy()


def _draw_pupil(
    part: SubFigure, name: str, config: VectorialPSFConfig, span: tuple[float, float]
) -> None:
    axes = part.subplots(1, SPOTS + 1)
    phase = wavefront_nm(config) * (2 * pi / config.wavelength_nm)
    reach = float(np.nanmax(np.abs(phase))) or 1.0
    shown = axes[0].imshow(phase, cmap="RdBu_r", vmin=-reach, vmax=reach)
    axes[0].set_title(f"{name}\npupil phase / rad", fontsize=9, pad=3)
    part.colorbar(shown, ax=axes[0], shrink=0.8)
    z = torch.linspace(*span, SPOTS, dtype=torch.float64)
    images = VectorialPSF(config).rois(z, torch.zeros_like(z), torch.zeros_like(z))
    for axis, image, height in zip(axes[1:], images, z.tolist(), strict=True):
        axis.imshow(image.numpy(), cmap="inferno", vmin=0)
        axis.set_title(f"z {height:+.0f} nm", fontsize=9)
    for axis in axes:
        axis.set(xticks=[], yticks=[])


def _draw_bounds(
    part: SubFigure,
    pupils: Mapping[str, VectorialPSFConfig],
    span: tuple[float, float],
    light: tuple[float, float],
    noise: PixelNoise | None,
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axes = part.subplots(1, 3)
    z = np.linspace(*span, BOUND_PLANES)
    for (name, config), colour in zip(pupils.items(), COLOURS, strict=False):
        bounds = crlb(VectorialPSF(config), z, *light, noise)
        mean = mean_bound_nm(config.replace(z_range_nm=span), *light, noise)
        label = f"{name}, mean {mean:.1f} nm"
        axes[0].plot(z, bounds.x_nm, color=colour)
        axes[0].plot(z, bounds.y_nm, color=colour, ls=":")
        axes[1].plot(z, bounds.z_sigma_nm, color=colour)
        total = np.sqrt(bounds.x_nm**2 + bounds.y_nm**2 + bounds.z_sigma_nm**2)
        axes[2].plot(z, total, color=colour, label=label)
    titles = ("x (line) and y (dots)", "z", "3-D: sqrt(x² + y² + z²)")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(xlabel="z / nm", ylabel="smallest standard deviation / nm")
        axis.set_title(f"{title}, {light[0]:g} photons on {light[1]:g} a pixel", fontsize=9)
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
    axes[2].legend(fontsize=8)
