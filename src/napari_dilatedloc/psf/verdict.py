"""One finding about a calibration, and what findings ask of a fitted model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.base import PSF

Array = NDArray[np.float64]

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Verdict:
    """One finding, in plain words.

    Attributes
    ----------
    level : {"ok", "warning", "problem"}
        "warning": usable, with the care the sentence names; "problem": record or calibrate again.
    topic : str
        What was looked at, e.g. ``"drift"``; unique among the verdicts of a calibration.
    sentence : str
        What was found and what to do.
    value : float, optional
        The number behind it, in the unit the sentence names.
    checked : bool
        Whether the data could tell; False only with level "ok".
    """

    level: Level
    topic: str
    sentence: str
    value: float | None = None
    checked: bool = True


class RetrievedPSF(PSF, Protocol):
    """A PSF with the settings of a vectorial model."""

    @property
    def config(self) -> VectorialPSFConfig:
        """Settings of the model."""
        ...


class Retrieval(Protocol):
    """What verdicts and reports ask of a fitted vectorial model."""

    @property
    def psf(self) -> RetrievedPSF:
        """The fitted model."""
        ...

    @property
    def zernike_sigma_nm(self) -> tuple[float, ...]:
        """Standard deviations of ``psf.config.zernike_nm``, in the same order."""
        ...

    @property
    def residual(self) -> float:
        """Root mean square of measurement minus model, relative to the peak."""
        ...

    @property
    def z_scale(self) -> float:
        """True over stated distance of slices."""
        ...

    @property
    def z_scale_sigma(self) -> float:
        """Its standard deviation."""
        ...

    @property
    def z_offset_nm(self) -> float:
        """Z of the model where the calibration has 0, nm."""
        ...

    @property
    def drift_nm(self) -> tuple[float, float]:
        """Lateral movement (y, x) over the whole stack, nm."""
        ...

    @property
    def z_nm(self) -> Array:
        """(Z,) z of the images, nm."""
        ...

    @property
    def measured(self) -> Array:
        """(Z, R, R) measured images."""
        ...

    @property
    def modelled(self) -> Array:
        """(Z, R, R) images of the model."""
        ...


def graded(value: float, warning: float, problem: float) -> Level:
    """Level of a number that should be small."""
    return "problem" if value > problem else "warning" if value > warning else "ok"
