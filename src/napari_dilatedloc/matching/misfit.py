"""Whether a model's PSF explains the spots of a movie.

Isolated spots are fitted again with the model's own PSF (`psf.fit`), so that what remains is the
shape of the PSF and neither the network's error of position nor a wrong brightness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from napari_dilatedloc.camera import Camera, build_camera
from napari_dilatedloc.matching.residual import (
    light_of,
    noise_ratio_in_frame,
    photons_of,
    pixel_variance,
)
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.build import build_psf
from napari_dilatedloc.psf.compile import fast_psf
from napari_dilatedloc.psf.fit import EmitterFit, fit_emitters
from napari_dilatedloc.psf.slopes import rois_and_slopes
from napari_dilatedloc.table import Localizations

Array = NDArray[np.float64]

ROWS = 2000
"""Localizations looked at, about."""
MOST_FRAMES, MOST_PIXELS = 200, 50_000_000
"""Frames read at most, and pixels of them together: a few seconds of work."""
SPOTS = 150
FEWEST_SPOTS = 12
LIGHT = 0.7
"""Share of the PSF's light that a ROI must hold wherever in z the molecule is."""
MIDDLE = (0.5, 0.95)
"""Quantiles of the photons between which spots are bright; above lie many that are two."""
CORE = 0.2
"""Part of its peak from which on a pixel belongs to the core of a spot."""

# Measured on simulated movies, positions from a network: with the right PSF a chi-square of 1.02 to
# 1.07 and a misfit below 2%, in fields twice as dense as trained 1.33 and 2.7%. Spots wider by 15%
# or 20 nm of coma give 3%, pixels wrong by a fifth or another astigmatism 5 to 6%, a saddle point
# or a tetrapod in place of astigmatism 7 to 11%. Astigmatism along the other axis is no misfit:
# with z mirrored it looks the same.
CHI2_LIMIT = 1.08
MISFIT_LIMIT = 0.035
NOISE_LIMIT = 1.5
SHIFT_LIMIT = 2.5


@dataclass(frozen=True)
class Misfit:
    """How well a PSF explains the spots of a movie.

    Attributes
    ----------
    spots : int
        Isolated bright spots that were fitted.
    reduced_chi2 : float
        Median over the spots of the sum of (data - model)^2 / variance over the core of the spot,
        divided by its mean; 1 where PSF and camera are right.
    scatter : float
        Standard deviation of that median for a right model.
    peak_misfit : float
        What of the difference noise does not explain, rms over the core of the spot, relative to
        its peak. Unlike chi-square it does not grow with the brightness.
    noise : float
        Variance between the spots over the one the camera's settings promise; 1 where no pixel
        is free of spots.
    shift : float
        Median distance from the table's position to the one fitted, in errors of both (rms of x,
        y and z); NaN where the table has no errors.
    """

    spots: int
    reduced_chi2: float
    scatter: float
    peak_misfit: float
    noise: float
    shift: float

    @property
    def psf_fits(self) -> bool:
        """Whether the PSF explains the spots: by noise alone, or up to 3.5% of their peak."""
        # a wrong gain changes all noise; only what goes beyond it speaks of the PSF
        limit = (CHI2_LIMIT + 3 * self.scatter) * max(self.noise, 1.0)
        return self.reduced_chi2 <= limit or self.peak_misfit <= MISFIT_LIMIT

    @property
    def doubts(self) -> list[str]:
        """What is wrong and what to do, one sentence each."""
        said = []
        if not 1 / NOISE_LIMIT < self.noise < NOISE_LIMIT:
            said.append(
                f"The noise between the molecules has {self.noise:.2g} times the variance that "
                "the camera's settings promise: check baseline, e_per_adu, qe and em_gain."
            )
        if not self.psf_fits:
            said.append(
                f"The spots differ from the model's PSF by {self.peak_misfit:.0%} of their peak "
                f"(reduced chi-square {self.reduced_chi2:.2f} instead of 1.00 +- "
                f"{self.scatter:.2f}, {self.spots} isolated spots): calibrate the PSF of this "
                "microscope with beads ('dilatedloc calibrate') and train for it ('dilatedloc "
                "train'); if it is right, check the pixel size."
            )
        elif self.shift > SHIFT_LIMIT:
            said.append(
                f"A fit with the model's own PSF moves isolated spots by {self.shift:.2g} times "
                "their predicted error, so the network is not at home in this movie: check that "
                "the PSF is not mirrored, and match the training to the movie ('dilatedloc "
                "match', then 'dilatedloc train')."
            )
        return said


@dataclass(frozen=True)
class _Spots:
    """Spots cut out of the frames.

    Attributes
    ----------
    rows : Localizations
        The N spots.
    rois, others : Tensor (N, S, S)
        What the camera saw of each, less the light of other molecules; that light. Photons.
    noise : float
        See `Misfit.noise`.
    """

    rows: Localizations
    rois: Tensor
    others: Tensor
    noise: float


def check_spots(movie: Any, found: Localizations, model: Model) -> list[str]:
    """Reasons to doubt that a model's PSF and camera are those of the movie, one sentence each.

    Parameters
    ----------
    movie : array (T, Y, X)
        ADU; at most 200 frames of it are read.
    found : Localizations
        All localizations of some frames; `frame` counts in `movie`.
    model : Model
        Its `info.camera` is taken for the movie's.
    """
    psf = build_psf(model.info.psf, model.psf_tensors)
    result = misfit(movie, found, psf, build_camera(model.info.camera))
    return [] if result is None else result.doubts


def misfit(movie: Any, found: Localizations, psf: PSF, camera: Camera) -> Misfit | None:
    """Compare isolated bright spots with the PSF; None if there are fewer than twelve.

    Parameters
    ----------
    movie : array (T, Y, X)
        ADU; at most 200 frames of it are read.
    found : Localizations
        All localizations of some frames; `frame` counts in `movie`.
    psf : PSF
        The PSF in question.
    camera : Camera
        Of the whole frame.
    """
    psf = fast_psf(psf)
    half = _half_side(psf)
    shape = int(movie.shape[1]), int(movie.shape[2])
    found = found[np.isfinite(found.x + found.y + found.z_nm + found.photons)]
    found = found[np.isin(found.frame, _frames_to_read(found, shape))].sorted_by_frame()
    chosen = _choose(found, half, shape)
    if len(chosen) < FEWEST_SPOTS:
        return None
    spots = _cut(movie, found, chosen, psf, camera, half)
    z_nm, offset, place = _places(spots.rows)
    start = torch.column_stack([z_nm, offset])
    fit = fit_emitters(spots.rois, psf, camera.noise, start=start, place=place)
    return _compare(spots, fit, psf, camera)


def _frames_to_read(found: Localizations, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Numbers of frames, spread evenly, that hold enough localizations."""
    frames = np.unique(found.frame)
    wanted = math.ceil(ROWS * len(frames) / max(len(found), 1))
    most = min(MOST_FRAMES, MOST_PIXELS // (shape[0] * shape[1]))
    return _spread(frames, max(5, min(wanted, most)))


def _spread(values: NDArray[Any], count: int) -> NDArray[Any]:
    """`count` of the values, evenly spaced; all if there are fewer."""
    if len(values) <= count:
        return values
    return values[np.linspace(0, len(values) - 1, count).round().astype(np.int64)]


def _half_side(psf: PSF) -> int:
    """Half the side of the smallest ROI that holds most of the light at any z, px."""
    low, high = psf.config.z_range_nm
    z_nm = torch.linspace(low, high, 9)
    images = psf.rois(z_nm, torch.zeros(9), torch.zeros(9)).clamp_min(0)
    middle = psf.config.roi_size // 2
    largest = middle - 1  # so that the PSF fills the ROI wherever in its pixel the molecule is
    for half in range(2, largest):
        inner = images[:, middle - half : middle + half + 1, middle - half : middle + half + 1]
        if (inner.sum((1, 2)) >= LIGHT * images.sum((1, 2))).all():
            return half
    return largest


def _pixels(rows: Localizations) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.rint(rows.y).astype(np.int64), np.rint(rows.x).astype(np.int64)


def _choose(found: Localizations, half: int, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Rows of isolated spots, bright but not the brightest, whose ROI lies in the frame.

    No other is in the ROI; what light of others reaches into it is taken off before the fit.
    """
    row, column = _pixels(found)
    inside = (np.minimum(row, column) >= half) & (row < shape[0] - half)
    inside &= column < shape[1] - half
    alone = np.flatnonzero(inside & (_nearest(found) > half + 1))
    if len(alone) == 0:
        return alone
    photons = found.photons[alone]
    low, high = np.quantile(photons, MIDDLE)
    return _spread(alone[(photons >= low) & (photons <= high)], SPOTS)


def _nearest(found: Localizations) -> Array:
    """Distance of each row to the nearest other of its frame, the larger of y and x, px."""
    nearest = np.full(len(found), np.inf)
    bounds = np.flatnonzero(np.diff(found.frame)) + 1
    for index in np.split(np.arange(len(found)), bounds):
        if len(index) > 1:
            points = np.column_stack([found.y[index], found.x[index]])
            distances = np.asarray(cKDTree(points).query(points, k=2, p=np.inf)[0])
            nearest[index] = distances[:, 1]
    return nearest


def _cut(
    movie: Any,
    found: Localizations,
    chosen: NDArray[np.int64],
    psf: PSF,
    camera: Camera,
    half: int,
) -> _Spots:
    """ROIs around the chosen rows (ascending), with the light of all others taken off."""
    seen, light, noise = [], [], []
    row, column = _pixels(found)
    for frame in np.unique(found.frame[chosen]):
        photons = photons_of(movie[int(frame)], camera)
        drawn = light_of(found[found.frame == frame], psf, photons.shape)
        noise.append(noise_ratio_in_frame(photons - drawn, drawn, camera))
        for index in chosen[found.frame[chosen] == frame]:
            y, x = int(row[index]), int(column[index])
            box = slice(y - half, y + half + 1), slice(x - half, x + half + 1)
            seen.append(photons[box])
            light.append(drawn[box])
    rows = found[chosen]
    z_nm, offset, place = _places(rows)
    own = _inner(psf.rois(z_nm, offset[:, 0], offset[:, 1], place), half)
    others = torch.stack(light) - own * torch.from_numpy(rows.photons)[:, None, None]
    known = [ratio for ratio in noise if math.isfinite(ratio)]
    return _Spots(rows, torch.stack(seen) - others, others, float(np.median(known or [1.0])))


def _compare(spots: _Spots, fit: EmitterFit, psf: PSF, camera: Camera) -> Misfit:
    """Differences of the spots from their fits, in units of noise and of the peak.

    A fit takes up noise where it bends to it: the expected square of a difference is the variance
    times one less the leverage of the pixel (the diagonal of the projection on the model's slopes).
    """
    half = spots.rois.shape[1] // 2
    _, _, place = _places(spots.rows)
    model, image, slopes = _fitted(fit, psf, place, half)
    seen_by = camera.at(place.long() - half, (2 * half + 1, 2 * half + 1))
    variance = pixel_variance(seen_by, (model + spots.others)[:, None])[:, 0]
    expected = variance * (1 - _leverage(slopes, variance))
    peak = image.amax((1, 2)).clamp_min(1e-6)
    core = image > CORE * peak[:, None, None]
    apart = (spots.rois - model) ** 2
    degrees = (expected / variance * core).sum((1, 2))
    chi2 = (apart / variance * core).sum((1, 2)) / degrees
    # what noise explains is taken off before the median, so that it averages to nothing
    beyond = ((apart - expected) * core).sum((1, 2)) / core.sum((1, 2)) / peak**2
    # signal to noise: half by the spots of which much can be said, half by all of them
    weight = peak / (variance * core).sum((1, 2)).sqrt()
    typical = float(degrees.median())
    return Misfit(
        spots=len(chi2),
        # the median of a chi-square with k degrees of freedom is about k (1 - 2 / 9k)^3
        reduced_chi2=float(chi2.median()) / (1 - 2 / (9 * typical)) ** 3,
        # a median of normal numbers scatters 1.25 times as much as their mean
        scatter=1.2533 * math.sqrt(2 / typical / len(chi2)),
        peak_misfit=math.sqrt(max(_weighted_median(beyond.numpy(), weight.numpy()), 0.0)),
        noise=spots.noise,
        shift=_shift(spots.rows, fit),
    )


def _fitted(fit: EmitterFit, psf: PSF, place: Tensor, half: int) -> tuple[Tensor, Tensor, Tensor]:
    """Model with background and without, (N, S, S), and its slopes (N, S, S, 5), in photons.

    The slopes are those along z, y, x, photons and background.
    """
    z_nm, y, x, photons, bg = (
        torch.from_numpy(values).float()[:, None, None]
        for values in (fit.z_nm, fit.y, fit.x, fit.photons, fit.bg)
    )
    row, column = y.round().clamp(-1, 1), x.round().clamp(-1, 1)
    offset = (y - row).clamp(-0.5, 0.5)[:, 0, 0], (x - column).clamp(-0.5, 0.5)[:, 0, 0]
    drawn = rois_and_slopes(psf, z_nm[:, 0, 0], *offset, place)
    moved = [_moved(part, row[:, 0, 0], column[:, 0, 0], half) for part in drawn]
    image = moved[0] * photons
    slopes = [*(part * photons for part in moved[1:]), moved[0], torch.ones_like(image)]
    return image + bg, image, torch.stack(slopes, dim=-1)


def _moved(images: Tensor, row: Tensor, column: Tensor, half: int) -> Tensor:
    """Middle (N, S, S) of images (N, R, R), each moved by whole pixels (at most one)."""
    steps = torch.arange(-half, half + 1) + images.shape[1] // 2
    rows = (steps - row.long()[:, None])[:, :, None]
    columns = (steps - column.long()[:, None])[:, None, :]
    return images[torch.arange(len(images))[:, None, None], rows, columns]


def _leverage(slopes: Tensor, variance: Tensor) -> Tensor:
    """Share of each pixel's noise that a weighted fit takes up, (N, S, S); 5 in all of a ROI."""
    columns = (slopes / variance.sqrt()[..., None]).flatten(1, 2).double()
    size = columns.norm(dim=1, keepdim=True).clamp_min(1e-30)
    basis = torch.linalg.qr(columns / size).Q  # (N, S S, 5)
    share: Tensor = (basis**2).sum(-1).view(variance.shape).to(variance)
    return share


def _weighted_median(values: Array, weights: Array) -> float:
    """Value with half of the weight below it."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _shift(rows: Localizations, fit: EmitterFit) -> float:
    """Median over spots of the distance from table to fit, in errors of both (rms of x, y, z)."""
    row, column = _pixels(rows)
    apart = (fit.x + column - rows.x, fit.y + row - rows.y, fit.z_nm - rows.z_nm)
    told = (rows.sigma_x, rows.sigma_y, rows.sigma_z_nm)
    fitted = (fit.sigma_x, fit.sigma_y, fit.sigma_z_nm)
    scores = [
        d**2 / (np.square(a, dtype=np.float64) + b**2)
        for d, a, b in zip(apart, told, fitted, strict=True)
    ]
    size = np.sqrt(np.mean(scores, axis=0))
    known = size[np.isfinite(size)]
    return float(np.median(known)) if len(known) else math.nan


def _places(rows: Localizations) -> tuple[Tensor, Tensor, Tensor]:
    """Z (N,) nm; offset from the pixel's centre (N, 2) px as y, x; that pixel (N, 2)."""
    row, column = _pixels(rows)
    offset = np.column_stack([rows.y - row, rows.x - column]).astype(np.float32)
    place = np.column_stack([row, column]).astype(np.float32)
    return torch.from_numpy(rows.z_nm), torch.from_numpy(offset), torch.from_numpy(place)


def _inner(images: Tensor, half: int) -> Tensor:
    """Middle of ROIs (N, R, R), (N, 2 half + 1, 2 half + 1)."""
    middle = images.shape[1] // 2
    part = slice(middle - half, middle + half + 1)
    return images[:, part, part]
