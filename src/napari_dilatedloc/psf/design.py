"""Pupils made for a range of z: the aberrations with the smallest Cramer-Rao bound over it.

Shechtman et al., Phys. Rev. Lett. 113, 133902 (2014) posed the task and found the tetrapods; Fu et
al., Opt. Lett. 47, 3031 (2022) solved it for the vectorial PSF and 21 Zernike modes, which a
deformable mirror can show. They minimise a mean over z of the bounds of x, y and z, with photons
and background unknown too; here it is `crlb.mean_crlb_nm`, the mean of sqrt(var_x + var_y + var_z).

There are many local minima, and pupils turned or mirrored on the pixel grid are equally good. So
the search starts from many pupils on a coarse model (fewer pupil samples, planes of z and image
samples), gives up the worse half after each round, and polishes the best with the model as it will
be used. Each climbs down by L-BFGS.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt
from typing import Literal, TypeVar

import torch
from torch import Tensor

from napari_dilatedloc.config import PixelNoise, VectorialPSFConfig
from napari_dilatedloc.psf.descent import Coefficients, Descent
from napari_dilatedloc.psf.merit import Merit, build_merit
from napari_dilatedloc.psf.zernike import MODES_21, Mode, check_mode

PLANE_STEP_NM = 150.0
"""Largest distance of the z planes averaged over; the coarse model takes every other."""
COARSE_PUPIL = 40
ROUNDS = (8, 10, 12, 20)
"""Iterations of each round on the coarse model; after each the better half goes on."""
POLISHED = 2
"""Pupils that are polished."""
POLISH_ITERATIONS = 40
RANDOM_STARTS = 4
CONVERGED = 1e-5
"""A climb ends when two iterations lower the figure by less than this share."""
SHAKEN_NM = 1.0
ROUNDED_DIGITS = 2
"""Decimals of the coefficients of a result in nm."""

_T = TypeVar("_T")
_Work = Generator["DesignStep", None, _T]
Stage = Literal["start", "search", "polish", "done"]


@dataclass(frozen=True)
class DesignStep:
    """One iteration of a design.

    Attributes
    ----------
    iteration : int
        Iterations done, over all starts.
    progress : float
        Share of the work that is done, 0-1.
    stage : {"start", "search", "polish", "done"}
        The search is on the coarse model, the polish on the model as used.
    merit_nm : float
        Mean 3-D bound of `zernike_nm`, nm; in the search that of the coarse model.
    zernike_nm : tuple of float
        Where this iteration is, one coefficient per mode, nm rms.
    config : VectorialPSFConfig
        Best pupil so far; in the search that of the coarse model.
    """

    iteration: int
    progress: float
    stage: Stage
    merit_nm: float
    zernike_nm: Coefficients
    config: VectorialPSFConfig


def design_pupil(
    start: VectorialPSFConfig,
    modes: Sequence[Mode] = MODES_21,
    *,
    photons: float = 2000.0,
    bg: float = 20.0,
    noise: PixelNoise | None = None,
    z_planes: Sequence[float] | None = None,
    starts: Sequence[Coefficients] | None = None,
    seed: int = 0,
    max_iterations: int | None = None,
    minutes: float | None = None,
) -> Iterator[DesignStep]:
    """Minimise the mean 3-D bound over a range of z by the pupil's Zernike coefficients.

    Parameters
    ----------
    start : VectorialPSFConfig
        Optics, pixel, ROI and the range of z to design for. Light beside the ROI is lost, so the
        ROI bounds how far the spot may spread. Its aberrations of `modes` are one of the starts;
        those of other modes stay as they are (what a microscope cannot take away).
    modes : sequence of (n, m)
        Modes that may be used.
    photons, bg : float
        Photons of an emitter and background photons per pixel to design for, above 0.
    noise : PixelNoise, optional
        Noise of a pixel; default: pure shot noise.
    z_planes : sequence of float, optional
        z averaged over, nm; default: evenly over the range, at most 150 nm apart.
    starts : sequence of tuples, optional
        Pupils to start from, one coefficient per mode; default: `default_starts`.
    seed : int
        Of the random starts.
    max_iterations, minutes : optional
        End earlier; the best pupil so far is kept.

    Yields
    ------
    DesignStep
        The last one, "done", has the result in `config` and its figure of merit.
    """
    modes = tuple(modes)
    _check(modes, photons, bg)
    planes = _planes(start, z_planes)
    own = _of_modes(start, modes)
    pool = [own] if any(own) else []
    pool += list(starts) if starts is not None else default_starts(start, modes, seed)
    if not pool or any(len(one) != len(modes) for one in pool):
        raise ValueError(
            f"a design needs starts of {len(modes)} coefficients, one per mode, got lengths "
            f"{[len(one) for one in pool]}; correct them"
        )
    run = _Run(start, modes, len(pool), max_iterations, minutes)
    fine = build_merit(start, modes, planes, photons, bg, noise)
    figure = fine.value_nm(torch.tensor(own, dtype=torch.float64))
    yield run.step("start", figure, own, own)
    if len(pool) > POLISHED:
        coarse = build_merit(_coarse(start), modes, planes[::2], photons, bg, noise, coarse=True)
        pool = yield from _search(run, coarse, pool)
    result = yield from _polish(run, fine, pool, seed)
    if figure < result.merit_nm:
        result = Descent(fine, own, start.wavelength_nm)
    run.finished = True
    yield run.step("done", result.merit_nm, result.zernike_nm, result.zernike_nm)


def mean_bound_nm(
    config: VectorialPSFConfig,
    photons: float,
    bg: float,
    noise: PixelNoise | None = None,
    z_planes: Sequence[float] | None = None,
) -> float:
    """Figure of merit of a pupil: the mean 3-D bound over its range of z, nm.

    Same planes and formula as `design_pupil`, so that pupils can be compared with its result.
    """
    merit = build_merit(config, (), _planes(config, z_planes), photons, bg, noise)
    return merit.value_nm(torch.zeros(0, dtype=torch.float64))


def default_starts(
    config: VectorialPSFConfig, modes: Sequence[Mode] = MODES_21, seed: int = 0
) -> list[Coefficients]:
    """Pupils to start from: astigmatism of two orders and their mixtures, trefoil, and random ones.

    Parameters
    ----------
    config : VectorialPSFConfig
        Its range of z sets how strong they are.
    modes : sequence of (n, m)
        Mixtures with modes that are not among these are left out.
    seed : int
        Of the random pupils.
    """
    low, high = config.z_range_nm
    size = 60.0 * sqrt((high - low) / 2000.0)
    shares: list[dict[Mode, float]] = [
        {(2, 2): 1.0},
        {(2, 2): 0.7, (4, 2): -0.7},
        {(2, 2): 0.7, (4, 2): 0.7},
        {(4, 2): 1.0},
        {(2, -2): 0.7, (4, -2): -0.7},
        {(2, -2): 0.7, (4, -2): 0.7},
        {(2, 2): 0.7, (3, 3): 0.7},
        {(3, 3): 0.7, (4, 0): 0.7},
    ]
    starts = [
        tuple(size * mixture.get(mode, 0.0) for mode in modes)
        for mixture in shares
        if all(mode in modes for mode in mixture)
    ]
    generator = torch.Generator().manual_seed(seed)
    for _ in range(RANDOM_STARTS):
        direction = torch.randn(len(modes), generator=generator, dtype=torch.float64)
        starts.append(tuple((size * direction / direction.norm()).tolist()))
    return starts


class _Run:
    """What the whole work shares: how far it is and how long it may go on."""

    def __init__(
        self,
        start: VectorialPSFConfig,
        modes: tuple[Mode, ...],
        starts: int,
        max_iterations: int | None,
        minutes: float | None,
    ) -> None:
        self.start, self.modes = start, modes
        self.iteration, self.total = 0, _length(starts)
        self._max_iterations, self._minutes = max_iterations, minutes
        self._begin = time.monotonic()
        self.finished = False

    @property
    def progress(self) -> float:
        """Share of the work done: of all iterations, or of what is allowed if that ends first."""
        shares = [1.0 if self.finished else self.iteration / self.total]
        if self._max_iterations is not None:
            shares.append(self.iteration / max(1, self._max_iterations))
        if self._minutes is not None:
            shares.append((time.monotonic() - self._begin) / (60 * self._minutes))
        return min(1.0, max(shares))

    def step(
        self, stage: Stage, figure: float, here: Coefficients, best: Coefficients
    ) -> DesignStep:
        """Report of where the work is."""
        others = tuple(one for one in self.start.zernike_nm if one[:2] not in self.modes)
        pairs = zip(self.modes, best, strict=True)
        designed = tuple((n, m, round(size, ROUNDED_DIGITS)) for (n, m), size in pairs)
        config = self.start.replace(zernike_nm=(*designed, *others))
        return DesignStep(self.iteration, self.progress, stage, figure, here, config)


def _search(run: _Run, merit: Merit, pool: Sequence[Coefficients]) -> _Work[list[Coefficients]]:
    """Successive halving on the coarse model; gives the pupils to polish, best first."""
    ways = [Descent(merit, one, run.start.wavelength_nm) for one in pool]
    for iterations in ROUNDS:
        for way in ways:
            for _ in range(iterations):
                way.step()
                run.iteration += 1
                best = min(ways, key=_figure)
                yield run.step("search", way.merit_nm, way.zernike_nm, best.zernike_nm)
                if run.progress >= 1:
                    return [best.zernike_nm]
        ways = sorted(ways, key=_figure)[: _half(len(ways))]
    return [way.zernike_nm for way in ways[:POLISHED]]


def _polish(run: _Run, merit: Merit, pool: Sequence[Coefficients], seed: int) -> _Work[Descent]:
    """Way down the fine model from each of the pool; gives the best.

    Starts are shaken a little, as a symmetric pupil has no slope out of its symmetry.
    """
    generator = torch.Generator().manual_seed(seed)
    ways: list[Descent] = []
    for one in pool:
        shaken = torch.tensor(one) + SHAKEN_NM * torch.randn(len(one), generator=generator)
        way = Descent(merit, tuple(shaken.tolist()), run.start.wavelength_nm)
        ways.append(way)
        figures = [inf, inf, way.merit_nm]
        for _ in range(POLISH_ITERATIONS):
            if run.progress >= 1 or figures[-3] < figures[-1] * (1 + CONVERGED):
                break
            way.step()
            run.iteration += 1
            figures.append(way.merit_nm)
            best = min(ways, key=_figure)
            yield run.step("polish", way.merit_nm, way.zernike_nm, best.zernike_nm)
    return min(ways, key=_figure)


def _figure(way: Descent) -> float:
    return way.merit_nm


def _half(count: int) -> int:
    return max(POLISHED, ceil(count / 2))


def _length(starts: int) -> int:
    """Iterations from a number of starts, if none ends early."""
    total, count = min(starts, POLISHED) * POLISH_ITERATIONS, starts
    for iterations in ROUNDS if starts > POLISHED else ():
        total, count = total + count * iterations, _half(count)
    return total


def _check(modes: tuple[Mode, ...], photons: float, bg: float) -> None:
    for n, m in modes:
        check_mode(n, m)
    if len(set(modes)) < len(modes) or not modes:
        raise ValueError(f"modes must be given once each, got {modes}; correct the list")
    if photons <= 0 or bg <= 0:
        raise ValueError(
            f"photons and background must be above 0, got {photons} and {bg}; give what a typical "
            "image has"
        )


def _planes(config: VectorialPSFConfig, z_planes: Sequence[float] | None) -> Tensor:
    if z_planes is not None:
        return torch.tensor(z_planes, dtype=torch.float64)
    low, high = config.z_range_nm
    return torch.linspace(low, high, ceil((high - low) / PLANE_STEP_NM) + 1, dtype=torch.float64)


def _of_modes(config: VectorialPSFConfig, modes: tuple[Mode, ...]) -> Coefficients:
    """Sizes of the modes in a config, nm rms; one that is listed twice adds up, as in the PSF."""
    return tuple(
        float(sum(size for n, m, size in config.zernike_nm if (n, m) == mode)) for mode in modes
    )


def _coarse(config: VectorialPSFConfig) -> VectorialPSFConfig:
    return config.replace(n_pupil=min(config.n_pupil, COARSE_PUPIL))
