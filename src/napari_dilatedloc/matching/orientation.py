"""Whether the spots of a movie look like the PSF or like its mirror image.

A mirror before the camera, or a bead stack saved by another program, turns a PSF around: coma
points the other way, a tetrapod opens along the other diagonal. Spots looked for and fitted in
each of the eight ways a square can lie tell which one the movie has. What no single image can tell
is the direction of z: with z turned around the PSF gives the very same images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from napari_dilatedloc.matching.background import pixel_noise, rough_background
from napari_dilatedloc.matching.first_fit import FirstFit, fit_isolated
from napari_dilatedloc.matching.sample import MovieSample
from napari_dilatedloc.matching.spots import Spots, find_spots
from napari_dilatedloc.matching.templates import TemplateBank
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.fit import fit_emitters

Turn = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Way:
    """How to turn frames (..., Y, X) so that they look like the PSF, and how to turn them back."""

    there: Turn
    back: Turn


def _flip_y(frames: Tensor) -> Tensor:
    return frames.flip(-2)


def _flip_x(frames: Tensor) -> Tensor:
    return frames.flip(-1)


def _half_turn(frames: Tensor) -> Tensor:
    return frames.flip(-2, -1)


def _swap(frames: Tensor) -> Tensor:
    return frames.transpose(-2, -1)


def _other_swap(frames: Tensor) -> Tensor:
    return frames.transpose(-2, -1).flip(-2, -1)


def _anticlockwise(frames: Tensor) -> Tensor:
    return frames.transpose(-2, -1).flip(-2)


def _clockwise(frames: Tensor) -> Tensor:
    return frames.transpose(-2, -1).flip(-1)


TURNS: Mapping[str, _Way] = MappingProxyType(
    {
        "mirrored in y": _Way(_flip_y, _flip_y),
        "mirrored in x": _Way(_flip_x, _flip_x),
        "turned by 180 degrees": _Way(_half_turn, _half_turn),
        "mirrored, x and y swapped": _Way(_swap, _swap),
        "mirrored along the other diagonal": _Way(_other_swap, _other_swap),
        "turned a quarter clockwise": _Way(_anticlockwise, _clockwise),
        "turned a quarter anticlockwise": _Way(_clockwise, _anticlockwise),
    }
)
"""By what the PSF looks like in the movie (y downwards)."""
SPOTS = 100
FEWEST = 15
PIXELS = 200_000
"""Pixels times frames in which spots are looked for in every way."""
SAME = 0.1
"""Relative difference of two PSFs, rms, below which fits hardly tell them apart."""
LIKED, JUST_LIKED = 0.7, 0.55
"""Share of the spots that must prefer another way, and when that also explains much more light."""
MORE_LIGHT = 1.25


@dataclass(frozen=True)
class Orientation:
    """Which way the PSF lies in the movie.

    Attributes
    ----------
    best : str or None
        Key of `TURNS` that fits better than the PSF as it is; None if none does.
    share : float
        Share of the spots that prefer it, or the best of the others where `best` is None.
    spots : int
        How many were asked; 0 where the movie could not tell.
    telling : tuple of str
        Ways that would be noticed: they change the set of the PSF's images.
    like_z_turned : bool
        Whether some other way gives the same images at other heights.
    """

    best: str | None
    share: float
    spots: int
    telling: tuple[str, ...]
    like_z_turned: bool


def find_orientation(
    sample: MovieSample, first: FirstFit | None, psf: PSF, bank: TemplateBank
) -> Orientation:
    """Look for spots and fit them with the PSF turned all ways that change its images.

    Parameters
    ----------
    sample : MovieSample
        Real frames.
    first : FirstFit or None
        Fits of isolated spots found with the PSF as it is.
    psf : PSF
        A fast one.
    bank : TemplateBank
        Of the same PSF.
    """
    images = _images(psf)
    distances = {name: _distance(images, way.there(images)) for name, way in TURNS.items()}
    telling = tuple(name for name, (any_z, _) in distances.items() if any_z > SAME)
    z_turned = any(same_z > 2 * SAME >= 4 * any_z for any_z, same_z in distances.values())
    nothing = Orientation(None, 0.0, 0, telling, z_turned)
    if not telling:
        return nothing
    part = _thinned(sample)
    own = _explained(_spots(part, bank, None))
    light = {name: _explained(_spots(part, bank, TURNS[name])) for name in telling}
    candidates = {max(light, key=lambda name: light[name])}
    if first is not None:
        candidates.add(_liked_by_fits(first, psf, sample, telling))
    votes = {name: _vote(part, first, psf, bank, TURNS[name]) for name in candidates}
    best = max(votes, key=lambda name: votes[name][0])
    share, asked = votes[best]
    if asked < FEWEST:
        return nothing
    found = share >= LIKED or (share >= JUST_LIKED and light[best] > MORE_LIGHT * own)
    return Orientation(best if found else None, share, asked, telling, z_turned)


def _images(psf: PSF) -> Tensor:
    """Images (Z, R, R) of a centred emitter over the range of z."""
    z_nm = torch.linspace(*psf.config.z_range_nm, 61)
    zeros = torch.zeros_like(z_nm)
    with torch.no_grad():
        return psf.rois(z_nm, zeros, zeros)


def _distance(images: Tensor, turned: Tensor) -> tuple[float, float]:
    """Relative difference (rms) to the nearest image of any z, and to that of the same z."""
    flat, other = images.flatten(1), turned.flatten(1)
    size = (other**2).sum(1)
    between = torch.cdist(other, flat) ** 2 / size[:, None]
    nearest = float(between.min(1).values.median())
    return float(np.sqrt(nearest)), float(between.diagonal().median().sqrt())


def _thinned(sample: MovieSample) -> MovieSample:
    """Some frames of every run."""
    runs, length, height, width = sample.adu.shape
    count = max(1, min(length, PIXELS // (runs * height * width)))
    index = torch.linspace(0, length - 1, count).round().long()
    return MovieSample(sample.adu[:, index], sample.origin, sample.first_frame, sample.chip)


def _spots(part: MovieSample, bank: TemplateBank, way: _Way | None) -> Spots:
    photons = part.photons if way is None else way.there(part.photons).contiguous()
    noise = pixel_noise(photons)
    size = photons.shape[2], photons.shape[3]
    return find_spots(photons, rough_background(photons).per_pixel(size), noise, bank)


def _explained(spots: Spots) -> float:
    """Light that spots explain, in squared noise; of each at most that of a spot of 50 noises."""
    return float((np.minimum(spots.score, 50.0) ** 2).sum())


def _liked_by_fits(first: FirstFit, psf: PSF, sample: MovieSample, ways: tuple[str, ...]) -> str:
    """Way in which most of the brightest spots fit better."""
    order = np.argsort(-first.fit.photons)[: SPOTS // 2]
    rois, place = first.rois[order], first.place[order]
    own = first.fit.log_likelihood_ratio[order]
    noise = sample.chip.noise
    gains = {
        name: np.median(
            own
            - fit_emitters(
                TURNS[name].there(rois), psf, noise, place=place, max_steps=15
            ).log_likelihood_ratio
        )
        for name in ways
    }
    return max(gains, key=lambda name: float(gains[name]))


def _vote(
    part: MovieSample, first: FirstFit | None, psf: PSF, bank: TemplateBank, way: _Way
) -> tuple[float, int]:
    """Share of spots, found one way or the other, that a turned PSF fits better; how many."""
    noise = part.chip.noise
    turned = way.there(part.photons).contiguous()
    other = fit_isolated(turned, part.origin, _spots(part, bank, way), psf, bank, noise)
    shares, asked = [], 0
    for found, move in ((first, way.there), (other, way.back)):
        if found is None or len(found.fit) == 0:
            continue
        order = np.argsort(-found.fit.photons)[:SPOTS]
        rois, place = move(found.rois[order]).contiguous(), found.place[order]
        again = fit_emitters(rois, psf, noise, place=place, max_steps=25)
        gain = found.fit.log_likelihood_ratio[order] - again.log_likelihood_ratio
        better = gain > 0 if found is first else gain < 0
        shares.append(better.sum())
        asked += len(order)
    return float(np.sum(shares)) / max(asked, 1), asked
