"""Where phase retrieval begins: pupils of all families that engineered PSFs come from.

A single start ends in a false minimum for most pupils other than weak astigmatism. All starts get a
few cheap steps on a coarse model and the better half goes on, until one is left.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from napari_dilatedloc.psf.zernike import MODES_21, Mode, disc

SLICES = 13
COARSE_PUPIL = 40
ROUNDS = ((6, 0.4), (10, 0.34), (20, 0.5), (40, 0.0))
"""(L-BFGS steps, share of the starts that goes on), round after round."""


@dataclass(frozen=True)
class Start:
    """A first guess.

    Attributes
    ----------
    parameters : Parameters
        Coefficients of all modes, and places.
    vortex : int
        Turns of phase around the pupil; 0 for all but vortex PSFs.
    deviance : float
        Weighted sum of squares on the coarse model.
    """

    parameters: Parameters
    vortex: int
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


def best_starts(
    config: VectorialPSFConfig,
    data: BeadData,
    place: Tensor,
    z_offsets_nm: tuple[float, ...],
    count: int = 1,
) -> list[Start]:
    """Run the rounds on a part of the slices of the first bead; the best, best first.

    `place` is where that bead is in its ROI, (y, x) px from the centre pixel.
    """
    coarse = config.replace(n_pupil=min(config.n_pupil, COARSE_PUPIL))
    only = data.pick(torch.nonzero(data.bead == 0).flatten())
    part = only.pick(torch.linspace(0, len(only.images) - 1, SLICES).round().long().unique())
    optics = {
        turns: build_optics(coarse, MODES_21, vortex_pupil(coarse.n_pupil, turns), scan="stage").to(
            "cpu", torch.float32
        )
        for turns in (0, 1, -1)
    }
    starts = []
    for sizes, turns in guesses(MODES_21):
        zernike = torch.tensor([sizes.get(mode, 0.0) / SCALE_NM for mode in MODES_21])
        for offset in z_offsets_nm:
            places = torch.zeros(1, PER_BEAD)
            places[0, 0] = offset / SCALE_NM
            places[0, 1:3] = place
            first = Parameters(zernike, torch.tensor([0.7, 0.7]), places, torch.tensor(1.0))
            starts.append(Start(first, turns))
    for steps, share in ROUNDS:
        starts = sorted(
            (_improve(optics[start.vortex], start, part, steps) for start in starts),
            key=lambda start: start.deviance,
        )
        if share:
            starts = starts[: max(count + 1, round(share * len(starts)))]
    return starts[:count]


def _improve(optics: Optics, start: Start, data: BeadData, steps: int) -> Start:
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
        solver.zero_grad()
        value = loss()
        value.backward()
        return value

    solver.step(closure)
    with torch.no_grad():
        reached = float(loss())
        found = start.parameters.like(torch.cat([free.detach(), flat[-1:]]))
    return Start(found, start.vortex, reached if reached == reached else float("inf"))
