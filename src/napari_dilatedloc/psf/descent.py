"""L-BFGS down a figure of merit, one iteration at a time (`design` reports each)."""

from __future__ import annotations

from math import isfinite, log

import torch
from torch import Tensor

from napari_dilatedloc.psf.merit import Merit

Coefficients = tuple[float, ...]
"""One per mode, nm rms."""


class Descent:
    """Way down from one pupil.

    It moves in units of the wavelength, which keeps steps near one, and within +-1 wavelength of
    each mode: far beyond, the samples of the pupil could not follow the phase.

    Parameters
    ----------
    merit : Merit
        What becomes smaller.
    zernike_nm : tuple of float
        Where to start.
    wavelength_nm : float
        Unit and bound of the coefficients, nm.
    """

    def __init__(self, merit: Merit, zernike_nm: Coefficients, wavelength_nm: float) -> None:
        self._merit, self._wavelength_nm = merit, wavelength_nm
        sizes = torch.tensor(zernike_nm, dtype=torch.float64) / wavelength_nm
        self._point = torch.atanh(sizes.clamp(-0.99, 0.99)).requires_grad_()
        self._optimizer = torch.optim.LBFGS(
            [self._point], max_iter=1, max_eval=20, history_size=20, line_search_fn="strong_wolfe"
        )
        self._known: dict[Coefficients, tuple[float, Tensor]] = {}

    @property
    def zernike_nm(self) -> Coefficients:
        """Where it is."""
        sizes = self._wavelength_nm * torch.tanh(self._point.detach())
        return tuple(sizes.tolist())

    @property
    def merit_nm(self) -> float:
        """Figure of merit there, nm; infinite where the images do not tell all parameters."""
        return self._evaluate()[0]

    def step(self) -> None:
        """One iteration."""
        self._optimizer.step(self._closure)

    def _closure(self) -> float:
        value, self._point.grad = self._evaluate()
        # as a logarithm it slopes about the same for every range of z and brightness
        return log(value) if isfinite(value) else 1e3

    def _evaluate(self) -> tuple[float, Tensor]:
        """Figure of merit and slope of its logarithm; points already visited are remembered."""
        here = tuple(self._point.detach().tolist())
        if here not in self._known:
            shares = torch.tanh(self._point.detach())
            value, slope = self._merit.value_and_slope(self._wavelength_nm * shares)
            value = value if isfinite(value) else float("inf")
            slope = slope * self._wavelength_nm * (1 - shares**2) / value
            self._known[here] = (value, torch.nan_to_num(slope, posinf=0.0, neginf=0.0))
        value, slope = self._known[here]
        return value, slope.clone()
