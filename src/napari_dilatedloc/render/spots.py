"""Each localization as a Gaussian: exact kernels for few, a pyramid of stamps for many.

Both spread weights over the pixels of an image. The exact way integrates every Gaussian over every
pixel. The fast way differs from it in three places, all bounded:

- positions are rounded to 1/64 pixel and widths to steps of 1%, so that the profiles come from a
  small table, and kernels reach 3 standard deviations instead of 4;
- a Gaussian wider than 2.15 pixels is drawn on a grid that is 2, 4, ... times coarser, and all
  grids are added from coarse to fine by the binomial filter (1, 4, 6, 4, 1) / 16, which is how
  cubic splines are refined. Each refinement widens a spot by a variance of exactly 1 finer pixel
  squared, which is taken off before it is drawn.

What remains is below 4% of a spot's peak where the spot is wider than a fifth of a pixel, and work
per localization does not grow with its width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from napari_dilatedloc.render.view import Floats64, Image

Indices = NDArray[np.intp]

TRUNCATE = 4.0
"""Exact kernels reach this many standard deviations; what lies beyond (6e-5) goes to the rest."""

STAMP_TRUNCATE = 3.0
OFFSETS = 64  # places within a pixel
STEP = math.log(1.01)  # of widths
COARSER_FROM = 2.15  # pixels of standard deviation
EXACT_WEIGHTS = 30_000_000
"""Up to so many weights all kernels are exact: some tenths of a second."""

_BATCH = 2**18  # weights held at a time: they stay in the cache
_BAND = 32  # image rows that are worked on together, for the same reason
_PAD = 2  # coarse pixels around a coarse grid, which the refinement reaches


@dataclass(frozen=True)
class Cloud:
    """Spots in the pixels of an image.

    Attributes
    ----------
    v, u : ndarray (N,) float64
        Row and column; pixel i reaches from i to i + 1.
    sigma_v, sigma_u : ndarray (N,) float64
        Standard deviations, pixels.
    weights : ndarray (C, N) float32, optional
        What each spot adds to each channel; default: 1 to a single one.
    """

    v: Floats64
    u: Floats64
    sigma_v: Floats64
    sigma_u: Floats64
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.v)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Cloud:
        weights = None if self.weights is None else self.weights[:, rows]
        return Cloud(self.v[rows], self.u[rows], self.sigma_v[rows], self.sigma_u[rows], weights)

    def near(self, size: tuple[int, int]) -> Cloud:
        """Those that reach into the image and have a place and a width."""
        reach_v, reach_u = TRUNCATE * self.sigma_v + 1, TRUNCATE * self.sigma_u + 1
        near = (self.v > -reach_v) & (self.v < size[0] + reach_v)
        near &= (self.u > -reach_u) & (self.u < size[1] + reach_u)
        near &= np.isfinite(reach_v) & np.isfinite(reach_u)
        return self[near]

    def exact_weights(self) -> float:
        """Weights that exact kernels would have."""
        sides = (2 * TRUNCATE * sigma + 2 for sigma in (self.sigma_v, self.sigma_u))
        return float(np.prod(np.stack(list(sides)), axis=0).sum())


@dataclass
class Canvas:
    """Image of one or more channels that takes clouds; `image` gives what was drawn.

    Attributes
    ----------
    size : tuple of int
        (rows, columns).
    channels : int
        Channels, C.
    """

    size: tuple[int, int]
    channels: int = 1
    _grids: dict[int, Image] = field(default_factory=dict)
    _stamps: _Stamps = field(default_factory=lambda: _Stamps())

    def add(self, cloud: Cloud) -> None:
        """Draw a cloud, in the way that fits its number and widths."""
        cloud = cloud.near(self.size)
        if len(cloud) == 0:
            return
        if cloud.exact_weights() <= EXACT_WEIGHTS:
            self.add_exactly(cloud)
        else:
            self.add_stamps(cloud)

    def add_exactly(self, cloud: Cloud) -> None:
        """Draw with kernels that are integrated over each pixel."""
        _spread(self._grid(0), cloud, _Exact())

    def add_stamps(self, cloud: Cloud) -> None:
        """Draw from a table of profiles, wide spots on coarser grids."""
        cloud = cloud[_by_band(cloud.v)]
        narrow = np.minimum(cloud.sigma_v, cloud.sigma_u)
        level = np.floor(np.maximum(np.log2(narrow / COARSER_FROM), -1)).astype(int) + 1
        for one in np.unique(level):
            part = _coarser(cloud[level == one], int(one))
            _spread(self._grid(int(one)), part, self._stamps)

    def image(self) -> Image:
        """All that was drawn, (C, rows, columns) float32; the canvas is empty afterwards."""
        for level in range(max(self._grids, default=0), 0, -1):
            _refine(self._grids.pop(level), self._grid(level - 1), _PAD if level > 1 else 0)
        drawn = self._grid(0)
        self._grids.clear()
        return drawn

    def _grid(self, level: int) -> Image:
        if level not in self._grids:
            self._grids[level] = np.zeros(self._shape(level), np.float32)
        return self._grids[level]

    def _shape(self, level: int) -> tuple[int, int, int]:
        height, width = self.size
        for _ in range(level):
            height, width = (height + 1) // 2, (width + 1) // 2
        pad = 2 * _PAD if level else 0
        return self.channels, height + pad, width + pad


def _by_band(v: Floats64) -> Indices:
    """Order of rows that goes through the image from top to bottom, band by band."""
    band = np.clip(v, -1e6, 1e6) / _BAND
    return np.argsort(np.clip(band, -1, 32_000).astype(np.int16), kind="stable")


def _coarser(cloud: Cloud, level: int) -> Cloud:
    """The cloud in the pixels of the grid of a level, narrower by what refining adds."""
    scale = 2.0**-level
    added = (4.0**level - 1) / 3  # variance of all refinements, finest pixels squared
    pad = _PAD if level else 0

    def place(fine: Floats64) -> Floats64:
        # grids share the centre of their first pixel
        return (fine - 0.5) * scale + 0.5 + pad

    def width(sigma: Floats64) -> Floats64:
        # both grids integrate over their pixels, which adds a twelfth of a pixel squared
        return _in_steps(np.sqrt((sigma**2 + 1 / 12 - added) * scale**2 - 1 / 12))

    return Cloud(
        place(cloud.v),
        place(cloud.u),
        width(cloud.sigma_v),
        width(cloud.sigma_u),
        cloud.weights,
    )


def _refine(coarse: Image, fine: Image, pad: int) -> None:
    """Add a coarse grid (C, h, w), `_PAD` around it, to the next finer one with `pad` around it.

    Binomial filter (1, 4, 6, 4, 1) / 16 between zeros along both axes, some rows at a time.
    """
    first = _PAD - pad // 2  # coarse pixel at the first fine one; pads are even
    height, width = fine.shape[1:]
    for source, target in zip(coarse, fine, strict=True):
        for start in range(0, height, 2 * _BAND):
            rows = target[start : start + 2 * _BAND]
            top = first + start // 2 - 1
            band = _refine_rows(source[top : top + _BAND + 2].T, first, width).T
            rows += _refine_rows(band, 1, len(rows))


def _refine_rows(coarse: Image, first: int, count: int) -> Image:
    """Fine rows (count, w), the first of which lies on the coarse row `first`."""
    even, odd = (count + 1) // 2, count // 2
    columns = coarse.strides[0] < coarse.strides[1]  # a transposed band stays one
    fine = np.empty((count, coarse.shape[1]), np.float32, order="F" if columns else "C")
    sides = coarse[first - 1 : first - 1 + even] + coarse[first + 1 : first + 1 + even]
    sides *= np.float32(1 / 16)
    sides += np.float32(6 / 16) * coarse[first : first + even]
    fine[::2] = sides
    between = coarse[first : first + odd] + coarse[first + 1 : first + 1 + odd]
    between *= np.float32(1 / 4)
    fine[1::2] = between
    return fine


class _Profiles(Protocol):
    """Weights along one axis, (N, 2 radius + 1), around the pixel of each place."""

    truncate: float

    def __call__(self, place: Floats64, sigma: Floats64, radius: int) -> Image: ...


class _Exact:
    """Gaussians integrated over each pixel."""

    truncate = TRUNCATE

    def __call__(self, place: Floats64, sigma: Floats64, radius: int) -> Image:
        edges = np.floor(place)[:, None] + np.arange(-radius, radius + 2)
        weight: Floats64 = np.diff(ndtr((edges - place[:, None]) / sigma[:, None]), axis=1)
        weight /= weight.sum(axis=1, keepdims=True)
        return weight.astype(np.float32)


class _Stamps:
    """The same from tables over widths and places within a pixel; widths are of `_in_steps`."""

    truncate = STAMP_TRUNCATE

    def __init__(self) -> None:
        self._tables: dict[int, tuple[int, Image]] = {}

    def __call__(self, place: Floats64, sigma: Floats64, radius: int) -> Image:
        if radius not in self._tables:
            self._tables[radius] = self._table(radius)
        first, table = self._tables[radius]
        entry = np.rint(np.log(sigma) / STEP).astype(np.intp)
        entry -= first
        entry *= OFFSETS
        entry += ((place - np.floor(place)) * OFFSETS).astype(np.intp)
        return table.take(entry, axis=0)

    def _table(self, radius: int) -> tuple[int, Image]:
        """First step of widths, and profiles of all that have this radius, place by place."""
        last = math.ceil(math.log(radius / self.truncate) / STEP) + 1
        steps = np.arange(math.floor(math.log(1e-3) / STEP), last)
        steps = steps[_radius(np.exp(STEP * steps), self.truncate) == radius]
        offset = np.tile((np.arange(OFFSETS) + 0.5) / OFFSETS, len(steps))
        return int(steps[0]), _Exact()(offset, np.repeat(np.exp(STEP * steps), OFFSETS), radius)


def _in_steps(sigma: Floats64) -> Floats64:
    """Widths rounded to steps of the tables; what is a point stays one."""
    rounded: Floats64 = np.exp(STEP * np.rint(np.log(np.maximum(sigma, 2e-3)) / STEP))
    return rounded


def _spread(grid: Image, cloud: Cloud, profiles: _Profiles) -> None:
    """Add the kernels of a cloud to a grid (C, h, w)."""
    flats = grid.reshape(len(grid), -1)
    height, width = grid.shape[1:]
    for rows, radius_v, radius_u in _alike(cloud, profiles.truncate):
        some = cloud[rows]
        weight_v = profiles(some.v, some.sigma_v, radius_v)
        weight_u = profiles(some.u, some.sigma_u, radius_u)
        index_v, weight_v = _inside(some.v, weight_v, radius_v, height)
        index_u, weight_u = _inside(some.u, weight_u, radius_u, width)
        index_v *= width
        index = (index_v[:, :, None] + index_u[:, None, :]).reshape(-1)
        if some.weights is None:
            weight = weight_v[:, :, None] * weight_u[:, None, :]
            np.add.at(flats[0], index, weight.reshape(-1))
            continue
        for flat, factor in zip(flats, some.weights, strict=True):
            weight = (weight_v * factor[:, None])[:, :, None] * weight_u[:, None, :]
            np.add.at(flat, index, weight.reshape(-1))


def _alike(cloud: Cloud, truncate: float) -> Iterator[tuple[Indices, int, int]]:
    """Batches of rows with the same radii of their kernels."""
    radii = [_radius(sigma, truncate) for sigma in (cloud.sigma_v, cloud.sigma_u)]
    key = radii[0] * 2**31 + radii[1]
    for one in np.unique(key):
        rows = np.flatnonzero(key == one)
        radius_v, radius_u = int(one >> 31), int(one & (2**31 - 1))
        batch = max(1, _BATCH // ((2 * radius_v + 1) * (2 * radius_u + 1)))
        for start in range(0, len(rows), batch):
            yield rows[start : start + batch], radius_v, radius_u


def _radius(sigma: Floats64, truncate: float) -> NDArray[np.int64]:
    """Pixels a kernel reaches to either side; large ones in steps, so that there are few groups."""
    radius = np.ceil(truncate * sigma)
    wide = radius > 8
    radius[wide] = np.ceil(2 ** (np.ceil(4 * np.log2(radius[wide])) / 4))
    return np.maximum(radius, 1).astype(np.int64)


def _inside(
    place: Floats64, weight: Image, radius: int, size: int
) -> tuple[Indices, NDArray[np.float32]]:
    """Index (N, K) of each weight; what lies outside goes to pixel 0 with weight 0."""
    index = np.floor(place).astype(np.intp)[:, None] + np.arange(-radius, radius + 1)
    if len(index) and (index[:, 0].min() < 0 or index[:, -1].max() >= size):
        outside = (index < 0) | (index >= size)
        index[outside] = 0
        weight[outside] = 0.0
    return index, weight
