"""Bead images as a function of aberrations, blur and places, and their fit by scoring.

Each slice has its own brightness and background; they enter linearly and are solved for along the
way (variable projection), so bleaching and flicker do not turn into aberrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from napari_dilatedloc.psf.optics import Optics

PER_BEAD = 5  # z, y, x, drift of y and x
SCALE_NM = 100.0
"""Aberrations and heights are counted in this, so that all parameters are of order one."""


@dataclass(frozen=True)
class BeadData:
    """Slices of several beads in one row.

    Attributes
    ----------
    images : Tensor (K, R, R)
        ADU or photons, any background.
    z_nm : Tensor (K,)
        Nominal z of the emitter, nm.
    bead : Tensor (K,) int64
        Which bead a slice shows.
    noise_floor : Tensor (K,)
        Variance of a pixel without light, divided by the gain.
    """

    images: Tensor
    z_nm: Tensor
    bead: Tensor
    noise_floor: Tensor

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return int(self.bead.max()) + 1

    def every(self, step: int) -> BeadData:
        """Part of the slices."""
        return self.pick(torch.arange(0, len(self.images), step))

    def pick(self, rows: Tensor) -> BeadData:
        """Some of the slices."""
        return BeadData(self.images[rows], self.z_nm[rows], self.bead[rows], self.noise_floor[rows])


@dataclass(frozen=True)
class Parameters:
    """What is fitted.

    Attributes
    ----------
    zernike : Tensor (M,)
        Coefficients in units of `SCALE_NM`.
    blur : Tensor (2,)
        Gaussian blur along y and x, px.
    places : Tensor (beads, 5)
        z offset (units of `SCALE_NM`), y and x (px), drift of y and x over the whole range (px).
    z_scale : Tensor ()
        True z step over the nominal one.
    """

    zernike: Tensor
    blur: Tensor
    places: Tensor
    z_scale: Tensor

    def flat(self) -> Tensor:
        """All in one vector; `z_scale` is the last."""
        return torch.cat([self.zernike, self.blur, self.places.flatten(), self.z_scale[None]])

    def like(self, flat: Tensor) -> Parameters:
        """Back from one vector."""
        m, n = len(self.zernike), self.places.numel()
        return Parameters(
            flat[:m], flat[m : m + 2], flat[m + 2 : m + 2 + n].view(-1, PER_BEAD), flat[-1]
        )

    def replace(self, **changes: Tensor) -> Parameters:
        """Copy with some exchanged."""
        return replace(self, **changes)


def unit_images(optics: Optics, parameters: Parameters, data: BeadData) -> Tensor:
    """Unit-photon images (K, R, R) of every slice."""
    blur = (parameters.blur[0], parameters.blur[1])
    return optics.rois(*_positions(parameters, data), SCALE_NM * parameters.zernike, blur)


def _positions(parameters: Parameters, data: BeadData) -> tuple[Tensor, Tensor, Tensor]:
    """Z (nm), y and x (px) of the bead in every slice."""
    own = parameters.places[data.bead]
    along = _along(data)
    z_nm = data.z_nm * parameters.z_scale + SCALE_NM * own[:, 0]
    return z_nm, own[:, 1] + along * own[:, 3], own[:, 2] + along * own[:, 4]


def _along(data: BeadData) -> Tensor:
    """Place of every slice in the range of z, -0.5 ... 0.5."""
    low, high = data.z_nm.min(), data.z_nm.max()
    return (data.z_nm - (low + high) / 2) / (high - low).clamp_min(1e-9)


def images_and_slopes(
    optics: Optics, parameters: Parameters, data: BeadData
) -> tuple[Tensor, Tensor]:
    """Unit images (K, R, R) and their derivatives (P, K, R, R) in `Parameters.flat`."""
    positions, zernike = _positions(parameters, data), SCALE_NM * parameters.zernike
    blur = (parameters.blur[0], parameters.blur[1])
    unit, phase = optics.rois_and_slopes(*positions, zernike, blur)
    phase = phase.transpose(0, 1)  # (M + 3, K, R, R)
    dz, dy, dx = phase[-3:]
    step = 0.01  # px; the blur's derivatives by a difference, which costs one image each
    blurred = [
        (optics.rois(*positions, zernike, wider) - unit) / step
        for wider in ((blur[0] + step, blur[1]), (blur[0], blur[1] + step))
    ]
    along = _along(data)[:, None, None]
    by_place = torch.stack([SCALE_NM * dz, dy, dx, along * dy, along * dx])
    own = torch.nn.functional.one_hot(data.bead, len(parameters.places)).to(unit.dtype)
    places = own.T[:, None, :, None, None] * by_place  # (beads, 5, K, R, R)
    scale = (data.z_nm[:, None, None] * dz)[None]
    parts = (SCALE_NM * phase[:-3], torch.stack(blurred), places.flatten(0, 1), scale)
    return unit, torch.cat(parts)


@dataclass(frozen=True)
class Linear:
    """Brightness and background of each slice, and the weights they were fitted with.

    Attributes
    ----------
    amplitude, bg : Tensor (K,)
        ``image = amplitude * unit image + bg``.
    weights : Tensor (K, R, R)
        Inverse variance of each pixel up to one common factor.
    model : Tensor (K, R, R)
        The fitted images.
    """

    amplitude: Tensor
    bg: Tensor
    weights: Tensor
    model: Tensor


def solve_linear(unit: Tensor, data: BeadData, rounds: int = 2) -> Linear:
    """Brightness and background of each slice by reweighted least squares."""
    weights = torch.ones_like(unit)
    for _ in range(rounds + 1):
        total = weights.sum(dim=(1, 2))
        mean_u = (weights * unit).sum(dim=(1, 2)) / total
        mean_d = (weights * data.images).sum(dim=(1, 2)) / total
        centred = unit - mean_u[:, None, None]
        power = (weights * centred**2).sum(dim=(1, 2)).clamp_min(1e-30)
        amplitude = (weights * centred * data.images).sum(dim=(1, 2)) / power
        amplitude = amplitude.clamp_min(1e-9)
        bg = mean_d - amplitude * mean_u
        signal = amplitude[:, None, None] * unit
        used = weights
        weights = 1 / (signal + data.noise_floor[:, None, None])
    return Linear(amplitude, bg, used, signal + bg[:, None, None])


def deviance(unit: Tensor, data: BeadData) -> Tensor:
    """Weighted sum of squares over pixels, the quantity to make small."""
    linear = solve_linear(unit, data)
    return (linear.weights * (data.images - linear.model) ** 2).sum()


@dataclass(frozen=True)
class Fitted:
    """Where scoring stands.

    Attributes
    ----------
    parameters : Parameters
        The best so far.
    covariance : Tensor (P, P)
        Of the free parameters at the last step, the dispersion of the residual included.
    deviance : float
        Weighted sum of squares.
    linear : Linear
        Brightness and background of the slices.
    """

    parameters: Parameters
    covariance: Tensor
    deviance: float
    linear: Linear


def score(
    optics: Optics, start: Parameters, data: BeadData, free: Tensor, steps: int = 12
) -> Iterator[Fitted]:
    """Fisher scoring with damping (Levenberg-Marquardt), one result a step.

    For Poisson noise this is maximum likelihood; the dispersion scales the covariance, so that a
    gain that is not known and a model that is not perfect are both in the uncertainty.

    Parameters
    ----------
    optics : Optics
        Its modes are those of the parameters.
    start : Parameters
        First guess.
    data : BeadData
        What was seen.
    free : Tensor of bool (P,)
        Which entries of `Parameters.flat` are fitted.
    steps : int
        Most steps; it ends earlier when nothing is gained any more.
    """
    flat, columns = start.flat(), torch.nonzero(free).flatten()
    damping = 1e-3

    def reaches(values: Tensor) -> float:
        return float(deviance(unit_images(optics, start.like(values), data), data))

    best = reaches(flat)
    for _ in range(steps):
        normal, gradient, linear = _normal_equations(optics, start.like(flat), data, columns)
        for _ in range(6):
            step = torch.linalg.solve(normal + damping * torch.diag(normal.diag()), gradient)
            tried = flat.clone()
            tried[columns] += step.to(flat.dtype)
            reached = reaches(tried)
            if reached < best:
                break
            damping *= 8
        gained = (best - reached) / best
        if gained > 0:
            flat, best, damping = tried, reached, max(damping / 6, 1e-7)
        freedom = max(data.images.numel() - len(columns) - 2 * len(data.images), 1)
        covariance = torch.linalg.pinv(normal) * (best / freedom)
        yield Fitted(start.like(flat), covariance, best, linear)
        if gained < 1e-4:
            return


def _normal_equations(
    optics: Optics, parameters: Parameters, data: BeadData, columns: Tensor
) -> tuple[Tensor, Tensor, Linear]:
    """Information matrix, gradient and linear part; brightness and background projected out."""
    unit, slopes = images_and_slopes(optics, parameters, data)
    linear = solve_linear(unit, data)
    root = linear.weights.sqrt()
    residual = (root * (data.images - linear.model)).flatten(1).double()  # (K, R^2)
    base = torch.stack([root * unit, root], dim=1).flatten(2).double()  # (K, 2, R^2)
    inverse = torch.linalg.pinv(base @ base.transpose(1, 2))
    factor = root * linear.amplitude[:, None, None]
    rows = []
    for slope in slopes[columns]:
        row = (factor * slope).flatten(1).double()
        shares = inverse @ (base @ row[..., None])  # (K, 2, 1)
        rows.append((row - (shares * base).sum(dim=1)).flatten())
    jacobian = torch.stack(rows)
    return jacobian @ jacobian.T, jacobian @ residual.flatten(), linear
