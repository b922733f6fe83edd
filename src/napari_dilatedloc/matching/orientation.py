"""Whether the spots of a movie look like the PSF or like its mirror image.

A mirror before the camera, or a bead stack saved by another program, turns a PSF around: coma
points the other way, a tetrapod opens along the other diagonal. Spots fitted in each of the eight
ways a square can lie tell which one the movie has. What no single image can tell is the direction
of z: with z turned around the PSF gives the very same images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from napari_dilatedloc.config import PixelNoise
from napari_dilatedloc.matching.first_fit import FirstFit
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.fit import fit_emitters

Turn = Callable[[Tensor], Tensor]

TURNS: Mapping[str, Turn] = MappingProxyType(
    {
        "mirrored in y": lambda r: r.flip(1),
        "mirrored in x": lambda r: r.flip(2),
        "turned by 180 degrees": lambda r: r.flip(1, 2),
        "mirrored with x and y swapped": lambda r: r.transpose(1, 2),
        "turned a quarter clockwise": lambda r: r.transpose(1, 2).flip(1),
        "turned a quarter anticlockwise": lambda r: r.transpose(1, 2).flip(2),
        "mirrored along the other diagonal": lambda r: r.transpose(1, 2).flip(1, 2),
    }
)
"""The ways to turn a square (N, S, S), by what the PSF then looks like in the movie."""
SPOTS = 100
FEWEST = 15
SAME = 0.02
"""Relative difference of two PSFs, rms, below which no fit tells them apart."""
LIKED = 0.7
"""Share of the spots that must prefer another way."""


@dataclass(frozen=True)
class Orientation:
    """Which way the PSF lies in the movie.

    Attributes
    ----------
    best : str or None
        Key of `TURNS` that fits better than the PSF as it is; None if none does.
    share : float
        Share of the spots that prefer `best`; of the best of the others where it is None.
    spots : int
        How many were asked.
    telling : tuple of str
        Ways that would be noticed: the PSF's images change with them.
    like_z_turned : bool
        Whether swapping x and y gives the same images in the opposite order of z.
    """

    best: str | None
    share: float
    spots: int
    telling: tuple[str, ...]
    like_z_turned: bool


def find_orientation(first: FirstFit, psf: PSF, noise: PixelNoise) -> Orientation:
    """Fit the brightest good spots with the PSF turned all ways that change it.

    Parameters
    ----------
    first : FirstFit
        Fits of isolated spots.
    psf : PSF
        A fast one.
    noise : PixelNoise
        Of the camera.
    """
    images = _images(psf)
    distances = {name: _distance(images, turn(images)) for name, turn in TURNS.items()}
    # a turn that gives the images at other z is not seen in single spots
    telling = tuple(name for name, (unseen, _) in distances.items() if unseen > SAME)
    usable = np.flatnonzero(first.fit.converged)
    order = usable[np.argsort(-first.fit.photons[usable])][:SPOTS]
    turned = any(distances[n][1] > SAME >= distances[n][0] for n in TURNS if "swapped" in n)
    if len(order) < FEWEST or not telling:
        return Orientation(None, 0.0, len(order), telling, turned)
    own = first.fit.log_likelihood_ratio[order]
    rois, place = first.rois[order], first.place[order]
    likes: dict[str, tuple[float, float]] = {}
    for name in telling:
        fit = fit_emitters(TURNS[name](rois), psf, noise, place=place, max_steps=25)
        gain = own - fit.log_likelihood_ratio
        likes[name] = float(np.mean(gain > 0)), float(np.median(gain))
    best = max(likes, key=lambda name: likes[name][1])
    share, gain_middle = likes[best]
    found = best if share >= LIKED and gain_middle > 2.0 else None
    return Orientation(found, share, len(order), telling, turned)


def _images(psf: PSF) -> Tensor:
    """Images (Z, R, R) of a centred emitter over the range of z."""
    z_nm = torch.linspace(*psf.config.z_range_nm, 41)
    zeros = torch.zeros_like(z_nm)
    with torch.no_grad():
        images = psf.rois(z_nm, zeros, zeros)
    return images if images.shape[1] % 2 else images[:, 1:, 1:]


def _distance(images: Tensor, turned: Tensor) -> tuple[float, float]:
    """Relative difference (rms) to the nearest image of any z, and to that of the same z."""
    flat, other = images.flatten(1), turned.flatten(1)
    size = float((flat**2).sum(1).mean())
    between = torch.cdist(other, flat) ** 2
    nearest = float(between.min(1).values.median()) / size
    same = float(between.diagonal().median()) / size
    return float(np.sqrt(nearest)), float(np.sqrt(same))
