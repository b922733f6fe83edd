"""Whether a fast engine finds what the exact one finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.config import ModelInfo
from napari_dilatedloc.evaluation import match
from napari_dilatedloc.network.decode import decode, decoded_table
from napari_dilatedloc.network.output import normalize
from napari_dilatedloc.table import Emitters, Localizations

MAX_RMS_NM = 1.0
"""Largest root mean square distance along an axis: a tenth of what good localizations err by."""
MAX_JACCARD_LOSS = 0.002
"""Largest share of localizations that only one of the two engines has."""


@dataclass(frozen=True)
class Agreement:
    """How far the localizations of two engines lie apart; without pairs, distances are NaN.

    Attributes
    ----------
    rms_x_nm, rms_y_nm, rms_z_nm : float
        Root mean square distances of pairs, nm.
    jaccard : float
        Pairs over localizations of either, 0-1; 1 where neither found any.
    pairs : int
        Localizations both have.
    """

    rms_x_nm: float
    rms_y_nm: float
    rms_z_nm: float
    jaccard: float
    pairs: int

    @property
    def holds(self) -> bool:
        """Whether the engines may stand for each other; a NaN distance says nothing against it."""
        distances = (self.rms_x_nm, self.rms_y_nm, self.rms_z_nm)
        near = not any(distance > MAX_RMS_NM for distance in distances)
        return near and self.jaccard >= 1 - MAX_JACCARD_LOSS


def agreement(
    engine: Callable[[Tensor], Tensor],
    exact: Callable[[Tensor], Tensor],
    photons: Tensor,
    info: ModelInfo,
    channels: tuple[str, ...],
) -> Agreement:
    """Compare what two engines find in the same frames.

    Parameters
    ----------
    engine, exact : Engine or callable
        (1, T, H, W) normalized photons to raw output (T - window + 1, C, H, W).
    photons : Tensor (T, H, W)
        A run of frames such as the model is used on, on the engines' device; sides are multiples
        of the network's. Noise alone would tell nothing.
    info : ModelInfo
        Scaling, calibration, threshold and pixel size of the model.
    channels : tuple of str
        Of the network's output.
    """
    found, expected = (
        read_out(run(normalize(photons, info.scaling)[None]), info, channels)
        for run in (engine, exact)
    )
    return compare(found, expected, info.pixel_size_nm)


@torch.no_grad()
def read_out(raw: Tensor, info: ModelInfo, channels: tuple[str, ...]) -> Localizations:
    """Localizations of raw output (N, C, H, W), frames from 0."""
    found = decode(
        raw,
        info.threshold,
        channels=channels,
        scaling=info.scaling,
        calibration=info.calibration,
    )
    return decoded_table(found)


def compare(found: Localizations, expected: Localizations, pixel_size_nm: float) -> Agreement:
    """Pair two tables of the same frames (nearest, within 250 nm and 500 nm in z)."""
    truth = Emitters(
        **{name: getattr(expected, name) for name in ("frame", "x", "y", "z_nm", "photons")},
        id=np.arange(len(expected), dtype=np.int32),
    )
    i, j = match(found, truth, pixel_size_nm)
    either = len(found) + len(expected) - len(i)

    def rms(name: str, unit_nm: float) -> float:
        apart: NDArray[np.float64] = (
            getattr(found, name)[i].astype(float) - getattr(expected, name)[j]
        )
        return unit_nm * float(np.sqrt(np.mean(apart**2))) if len(i) else float("nan")

    return Agreement(
        rms_x_nm=rms("x", pixel_size_nm),
        rms_y_nm=rms("y", pixel_size_nm),
        rms_z_nm=rms("z_nm", 1.0),
        jaccard=len(i) / either if either else 1.0,
        pairs=len(i),
    )
