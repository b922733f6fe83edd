"""Where phase retrieval begins: pupils of all families that engineered PSFs come from.

A single start ends in a false minimum for most pupils other than weak astigmatism. All starts get a
few cheap steps on a coarse model and the better ones go on, until one is left.

The aperture is looked for too: a bead in water, a stop or a mask's holder leave less of it than the
objective is engraved with, and a model with too much light at the rim fits no aberration right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite

import torch
from torch import Tensor

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.bead_model import (
    PER_BEAD,
    SCALE_NM,
    BeadData,
    Parameters,
    deviance,
    unit_images,
)
from napari_dilatedloc.psf.optics import Optics, build_optics
from napari_dilatedloc.psf.tick import Tick, go_on
from napari_dilatedloc.psf.zernike import MODES_21, Mode, disc

SLICES = 13
COARSE_PUPIL = 40
ROUNDS = ((6, 0.35), (10, 0.3), (40, 0.0))
"""(L-BFGS steps, share of the starts that goes on), round after round."""
APERTURES = (1.0, 0.87)
"""Shares of the stated NA to begin with; the better one is then tuned."""
WORTH = 0.05
"""How much better another aperture than the stated one must fit, relative to the deviance."""
MOST_MOVES = 5


@dataclass(frozen=True)
class Start:
    """A first guess.

    Attributes
    ----------
    parameters : Parameters
        Coefficients of all modes, and places.
    vortex : int
        Turns of phase around the pupil; 0 for all but vortex PSFs.
    aperture : float
        Share of the stated NA that is filled.
    deviance : float
        Weighted sum of squares on the coarse model.
    """

    parameters: Parameters
    vortex: int
    aperture: float = 1.0
    deviance: float = float("inf")


def guesses(modes: tuple[Mode, ...]) -> list[tuple[dict[Mode, float], int]]:
    """Coefficients (nm) to begin with, and turns of a vortex."""
    found: list[tuple[dict[Mode, float], int]] = [({}, 0)]
    for sign in (1, -1):
        for m in (2, -2):
            found.append(({(2, m): sign * 60.0}, 0))
            for first, second in ((60.0, -60.0), (107.0, -155.0), (55.0, -265.0), (80.0, -108.0)):
                found.append(({(2, m): sign * first, (4, m): sign * second}, 0))
        found.append(({(4, 0): sign * 80.0}, 0))
        found.append(({}, sign))
    known = set(modes)
    return [(sizes, turns) for sizes, turns in found if set(sizes) <= known]


def vortex_pupil(samples: int, turns: int) -> Tensor | None:
    """Mask (2, P, P) whose phase turns around the pupil; None for no turn."""
    if turns == 0:
        return None
    y, x, _ = disc(samples)
    return torch.stack([torch.ones_like(x), turns * torch.atan2(y, x)])


class _Coarse:
    """The cheap model for any vortex and aperture, on a part of one bead's slices."""

    def __init__(self, config: VectorialPSFConfig, data: BeadData, tick: Tick) -> None:
        self._tick = tick
        self._config = config.replace(n_pupil=min(config.n_pupil, COARSE_PUPIL))
        one = data.pick(torch.nonzero(data.bead == 0).flatten())
        rows = torch.linspace(0, len(one.images) - 1, SLICES).round().long().unique()
        self._data = one.pick(rows)
        self._optics: dict[tuple[int, float], Optics] = {}

    def improve(self, start: Start, steps: int) -> Start:
        """Some L-BFGS steps further."""
        key = (start.vortex, start.aperture)
        if key not in self._optics:
            config = self._config.replace(na=start.aperture * self._config.na)
            pupil = vortex_pupil(config.n_pupil, start.vortex)
            built = build_optics(config, MODES_21, pupil)
            self._optics[key] = built.to("cpu", torch.float32)
        return _improve(self._optics[key], start, self._data, steps, self._tick)


def best_start(
    config: VectorialPSFConfig,
    data: BeadData,
    place: Tensor,
    z_offsets_nm: tuple[float, ...],
    fit_aperture: bool = True,
    tick: Tick = go_on,
) -> Start:
    """Run the rounds and give the best start.

    `place` is where the first bead is in its ROI, (y, x) px from the centre pixel; the focus is
    looked for at each of `z_offsets_nm`. An aperture other than the stated one must fit better by
    `WORTH`.
    """
    coarse = _Coarse(config, data, tick)
    found = []
    for aperture in APERTURES if fit_aperture else (1.0,):
        starts = _all_starts(place, z_offsets_nm, aperture)
        for steps, share in ROUNDS:
            starts = sorted(
                (coarse.improve(start, steps) for start in starts), key=lambda one: one.deviance
            )
            starts = starts[: max(1, round(share * len(starts)))]
        found.append(starts[0])
    best = min(found, key=lambda one: one.deviance)
    if fit_aperture and best.deviance < (1 - WORTH) * found[0].deviance:
        return _tuned(coarse, best)
    return found[0]


def _all_starts(place: Tensor, z_offsets_nm: tuple[float, ...], aperture: float) -> list[Start]:
    starts = []
    for sizes, turns in guesses(MODES_21):
        zernike = torch.tensor([sizes.get(mode, 0.0) / SCALE_NM for mode in MODES_21])
        for offset in z_offsets_nm:
            places = torch.zeros(1, PER_BEAD)
            places[0, 0] = offset / SCALE_NM
            places[0, 1:3] = place
            first = Parameters(zernike, torch.tensor([0.7, 0.7]), places, torch.tensor(1.0))
            starts.append(Start(first, turns, aperture))
    return starts


def _tuned(coarse: _Coarse, start: Start) -> Start:
    """Move the aperture in small steps as long as that fits better."""
    for _ in range(MOST_MOVES):
        moved = [replace(start, aperture=start.aperture * (1 + move)) for move in (-0.03, 0.03)]
        tried = [coarse.improve(one, ROUNDS[-1][0] // 2) for one in moved if one.aperture <= 1]
        best = min(tried, key=lambda one: one.deviance)
        if best.deviance >= start.deviance * 0.998:
            break
        start = best
    return start


def _improve(optics: Optics, start: Start, data: BeadData, steps: int, tick: Tick) -> Start:
    """Some L-BFGS steps on everything but the z scale."""
    flat = start.parameters.flat()
    free = flat[:-1].clone().requires_grad_()
    scale = float((data.images - data.images.mean()).pow(2).sum() / data.images.abs().max())

    def loss() -> Tensor:
        whole = start.parameters.like(torch.cat([free, flat[-1:]]))
        unit = unit_images(optics, whole, data)
        return deviance(unit, data) / scale + 1e-3 * (whole.zernike**2).sum()

    solver = torch.optim.LBFGS(
        [free], lr=0.5, max_iter=steps, history_size=12, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        tick()
        solver.zero_grad()
        value = loss()
        value.backward()
        return value

    solver.step(closure)
    with torch.no_grad():
        reached = float(loss())
        found = start.parameters.like(torch.cat([free.detach(), flat[-1:]]))
    return replace(start, parameters=found, deviance=reached if isfinite(reached) else inf)
