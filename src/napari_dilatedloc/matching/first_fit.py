"""A quick first fit of spots that stand alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from napari_dilatedloc.config import PixelNoise
from napari_dilatedloc.matching.spots import Spots
from napari_dilatedloc.matching.templates import TemplateBank
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.fit import EmitterFit, fit_emitters

MOST_FITS = 250
MAX_STEPS = 25


@dataclass(frozen=True)
class FirstFit:
    """Fits of isolated spots.

    Attributes
    ----------
    rois : Tensor (N, S, S)
        Photons around each spot.
    place : Tensor (N, 2)
        Where on the chip their middle pixels are (y, x), px.
    fit : EmitterFit
        One fit each.
    """

    rois: Tensor
    place: Tensor
    fit: EmitterFit

    @property
    def chi2(self) -> NDArray[np.float64]:
        """Misfit per degree of freedom (N,); about 1 where PSF and camera are right."""
        return self.fit.log_likelihood_ratio / (self.rois[0].numel() - 5)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Mask of fits to rely on: converged, centred, not much worse than most."""
        fit = self.fit
        centred = (np.abs(fit.y) < 1.45) & (np.abs(fit.x) < 1.45)
        likely = self.chi2 <= 2 * np.median(self.chi2) if len(fit) else np.ones(0, dtype=bool)
        return fit.converged & centred & likely & (fit.photons > 2)


def fit_isolated(
    photons: Tensor,
    origin: Tensor,
    spots: Spots,
    psf: PSF,
    bank: TemplateBank,
    noise: PixelNoise,
) -> FirstFit | None:
    """Fit up to 250 spots with no other nearby, from several starts in z; None if there is none.

    Parameters
    ----------
    photons : Tensor (R, L, H, W)
        Frames.
    origin : Tensor (R, 2)
        First pixel of each window on the chip.
    spots : Spots
        Candidates.
    psf : PSF
        A fast one (`psf.compile.compile_psf`).
    bank : TemplateBank
        Gives the side of the ROI.
    noise : PixelNoise
        Of the camera.
    """
    chosen = spots.select(_alone(spots, bank.fit_side_px, (photons.shape[2], photons.shape[3])))
    if len(chosen) == 0:
        return None
    if len(chosen) > MOST_FITS:
        picked = np.random.default_rng(0).choice(len(chosen), MOST_FITS, replace=False)
        chosen = chosen.select(np.sort(picked))
    half = bank.fit_side_px // 2
    steps = torch.arange(-half, half + 1)
    run, frame, y, x = (torch.from_numpy(getattr(chosen, k)) for k in ("run", "frame", "y", "x"))
    rows, columns = y[:, None, None] + steps[:, None], x[:, None, None] + steps
    rois = photons[run[:, None, None], frame[:, None, None], rows, columns]
    place = (torch.stack([y, x], 1) + origin[run]).float()
    fit = fit_emitters(rois, psf, noise, place=place, max_steps=MAX_STEPS)
    return FirstFit(rois, place, fit)


def _alone(spots: Spots, side: int, size: tuple[int, int]) -> NDArray[np.int64]:
    """Indices of spots inside the frame whose ROI holds no other, if need be with less distance."""
    half = side // 2
    inside = (spots.y >= half) & (spots.y < size[0] - half)
    inside &= (spots.x >= half) & (spots.x < size[1] - half)
    if len(spots) == 0:
        return np.zeros(0, dtype=np.int64)
    image = spots.run * (int(spots.frame.max()) + 1) + spots.frame
    tree = cKDTree(np.column_stack([spots.y, spots.x, image * 10 * side]))
    if len(spots) == 1:
        return np.flatnonzero(inside)
    distance = np.asarray(tree.query(tree.data, k=2)[0])[:, 1]
    for least in (1.0 * side, 0.75 * side, 0.5 * side):
        found = np.flatnonzero(inside & (distance > least))
        if len(found) >= 100:
            break
    return found
