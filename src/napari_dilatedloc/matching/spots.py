"""Bright spots of a sample: what a bank of matched filters sees above the noise.

The image of a molecule at height z over an even background is looked for with the image itself,
less its mean: the linear filter with the best signal to noise against even noise (e.g. Kay,
Fundamentals of Statistical Signal Processing II, 1998, ch. 4). It is taken at several heights and
the best answer kept, so that one rule serves every PSF, whatever its shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.ndimage import maximum_filter
from scipy.optimize import nnls
from scipy.spatial import cKDTree
from torch import Tensor

from napari_dilatedloc.matching.templates import TemplateBank

THRESHOLD = 7.0
"""Signal to noise of a spot; noise alone reaches it less than once in a sample."""
CORE = 0.8
"""Part of a spot's radius in which no second one is looked for."""
SHADOW = 0.25
"""Below this part of a spot whose ROI covers it, a maximum is taken for a side lobe of it."""
SAME_PLACE_PX = 2.0
"""A molecule moves no further from one frame to the next."""
AWAY_PX = 8.0
CHUNK_VALUES = 4_000_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Spots:
    """Spots of all frames, each field an array (N,).

    Attributes
    ----------
    run, frame : ndarray of int
        Run of the sample, frame of the run.
    y, x : ndarray of int
        Pixel of the window.
    plane : ndarray of int
        Which of the bank's heights answered.
    photons : ndarray
        Photons the filter sees.
    score : ndarray
        Signal to noise.
    """

    run: Ints
    frame: Ints
    y: Ints
    x: Ints
    plane: Ints
    photons: Floats
    score: Floats

    def __len__(self) -> int:
        """Number of spots."""
        return len(self.run)

    def select(self, index: NDArray[np.generic]) -> Spots:
        """Spots picked by a mask or indices."""
        return Spots(**{name: values[index] for name, values in vars(self).items()})


def find_spots(photons: Tensor, bg: Tensor, noise: Tensor, bank: TemplateBank) -> Spots:
    """Spots of a sample.

    Parameters
    ----------
    photons : Tensor (R, L, H, W)
        Frames.
    bg, noise : Tensor (R, 1, H, W)
        Background, and standard deviation of a pixel without spots, photons.
    bank : TemplateBank
        What is looked for.
    """
    flat = ((photons - bg) / noise).flatten(0, 1)
    lengths = bank.filters.flatten(1).norm(dim=1)
    filters = bank.filters / lengths[:, None, None]
    best, plane = _filtered(flat, filters)
    score, planes = best.numpy(), plane.numpy()
    near = maximum_filter(score, size=(1, 3, 3))
    image, y, x = np.nonzero((score >= near) & (score > THRESHOLD))
    length = photons.shape[1]
    sd = noise.expand(-1, 1, *photons.shape[2:])[:, 0].numpy()[image // length, y, x]
    found = planes[image, y, x].astype(np.int64)
    value = score[image, y, x]
    spots = Spots(
        run=image // length,
        frame=image % length,
        y=y,
        x=x,
        plane=found,
        photons=value * sd / lengths.numpy()[found],
        score=value,
    )
    return explain_together(flat, spots.select(_kept(spots, bank)), length, bank)


def _filtered(frames: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    """Largest answer over the filters and which gave it, both (N, H, W)."""
    height, width = frames.shape[1:]
    half = filters.shape[1] // 2
    size = [_good(height + half), _good(width + half)]
    spectra = torch.fft.rfft2(filters.flip(1, 2), s=size)
    best = torch.full_like(frames, -torch.inf)
    plane = torch.zeros(frames.shape, dtype=torch.uint8)
    step = max(1, CHUNK_VALUES // (size[0] * size[1]))
    for start in range(0, len(frames), step):
        part = slice(start, start + step)
        spectrum = torch.fft.rfft2(frames[part], s=size)
        for k, one in enumerate(spectra):
            # what wraps around falls on the first `half` rows and columns, which are not used
            answer = torch.fft.irfft2(spectrum * one, s=size)
            answer = answer.roll((-half, -half), (1, 2))[:, :height, :width]
            better = answer > best[part]
            best[part] = torch.where(better, answer, best[part])
            plane[part] = torch.where(better, torch.full_like(plane[part], k), plane[part])
    return best, plane


def _good(length: int) -> int:
    """Next length whose only prime factors are 2, 3 and 5, quick to transform."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


def _kept(spots: Spots, bank: TemplateBank) -> NDArray[np.bool_]:
    """Mask of spots that are not part of a brighter one, brightest first."""
    radius = CORE * bank.radius_px.numpy()[spots.plane] + 1.5
    half = bank.images.shape[1] / 2
    keep = np.ones(len(spots), dtype=bool)
    if len(spots) == 0:
        return keep
    image = spots.run * (spots.frame.max() + 1) + spots.frame
    # frames lie so far apart that none meets another
    tree = cKDTree(np.column_stack([spots.y, spots.x, image * 4 * half]))
    near = tree.query_ball_point(tree.data, 1.5 * half)
    for one in np.argsort(-spots.score, kind="stable"):
        if not keep[one]:
            continue
        others = np.array([k for k in near[one] if k != one], dtype=np.int64)
        if len(others) == 0:
            continue
        dy, dx = spots.y[others] - spots.y[one], spots.x[others] - spots.x[one]
        inside = np.hypot(dy, dx) <= radius[one]
        covered = (np.abs(dy) <= half) & (np.abs(dx) <= half)
        dim = spots.score[others] < SHADOW * spots.score[one]
        weaker = spots.score[others] <= spots.score[one]
        keep[others[weaker & (inside | covered & dim)]] = False
    return keep


def persistence(spots: Spots, frames: int) -> tuple[float, int]:
    """Share of spots that are seen again in the next frame, and how many spots it rests on.

    Only spots half as bright again as the threshold are asked, so that few are lost in the next
    frame to noise. What chance neighbours would give is measured some pixels away, and taken off.

    Parameters
    ----------
    spots : Spots
        Of a sample.
    frames : int
        Length of a run.
    """
    asked = (spots.score > 1.5 * THRESHOLD) & (spots.frame < frames - 1)
    if not asked.any():
        return 0.0, 0
    gap = 100 * SAME_PLACE_PX  # frames lie so far apart that none meets another
    image = spots.run * (frames + 1) + spots.frame
    tree = cKDTree(np.column_stack([spots.y, spots.x, image * gap]))
    again = np.column_stack([spots.y[asked], spots.x[asked], (image[asked] + 1) * gap])
    found, chance = (
        float(np.isfinite(tree.query(again + move, distance_upper_bound=SAME_PLACE_PX)[0]).mean())
        for move in (np.zeros(3), np.array([AWAY_PX, -AWAY_PX, 0.0]))
    )
    share = (found - chance) / max(1 - chance, 1e-3)
    return float(np.clip(share, 0.0, 0.98)), int(asked.sum())


def explain_together(frames: Tensor, spots: Spots, length: int, bank: TemplateBank) -> Spots:
    """Spots that are still needed once all of a frame share its light.

    Side lobes answer a filter as loudly as a dim molecule does. When all spots of a frame and an
    even background are fitted to it at once, with no negative photons (non-negative least squares:
    Lawson & Hanson, Solving Least Squares Problems, 1974, ch. 23), the bright ones take back what
    is theirs.

    Parameters
    ----------
    frames : Tensor (R * L, H, W)
        Frames less background, in standard deviations of the noise.
    spots : Spots
        Candidates.
    length : int
        Frames of a run.
    bank : TemplateBank
        Their images.
    """
    image = spots.run * length + spots.frame
    order = np.argsort(image, kind="stable")
    bounds = np.searchsorted(image[order], np.arange(len(frames) + 1))
    half = bank.images.shape[1] // 2
    norms = bank.filters.flatten(1).norm(dim=1).numpy()
    factor = np.zeros(len(spots), dtype=np.float32)
    for index, frame in enumerate(frames):
        members = order[bounds[index] : bounds[index + 1]]
        if len(members) == 0:
            continue
        columns = torch.zeros(len(members) + 1, *(n + 2 * half for n in frame.shape))
        for row, k in zip(columns, members, strict=False):
            y, x = int(spots.y[k]), int(spots.x[k])
            row[y : y + 2 * half + 1, x : x + 2 * half + 1] = bank.images[spots.plane[k]]
        columns[-1] = 1.0
        inner = columns[:, half : half + frame.shape[0], half : half + frame.shape[1]].flatten(1)
        light = _share(inner, frame.flatten())[:-1]
        factor[members] = light * norms[spots.plane[members]] / spots.score[members]
    shared = Spots(
        **{
            **vars(spots),
            "photons": spots.photons * factor,
            "score": spots.score * factor,
        }
    )
    return shared.select(shared.score > THRESHOLD)


def _share(columns: Tensor, frame: Tensor) -> Floats:
    """Non-negative weights of the columns (K, P) that explain a frame (P,) best."""
    gram = (columns @ columns.T).double().numpy()
    gram[np.diag_indices_from(gram)] *= 1 + 1e-6
    root = np.linalg.cholesky(gram)
    answer = solve_triangular(root, (columns @ frame).double().numpy(), lower=True)
    return nnls(root.T, answer)[0].astype(np.float32)
