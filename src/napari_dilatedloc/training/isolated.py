"""Accuracy on isolated molecules against the Cramer-Rao bound, height by height.

Every molecule shines in one frame alone, with dark neighbour frames and no neighbour within its
ROI, so that the bound of a single frame is what can be reached at best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_dilatedloc.camera import Camera
from napari_dilatedloc.config import CalibrationConfig, FieldSplinePSFConfig, ScalingConfig
from napari_dilatedloc.evaluation import match
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.compile import fast_psf
from napari_dilatedloc.psf.crlb import crlb
from napari_dilatedloc.simulation.distributions import uniform
from napari_dilatedloc.simulation.emitters import EmitterBatch
from napari_dilatedloc.simulation.simulator import render_emitters, to_table
from napari_dilatedloc.table import Emitters
from napari_dilatedloc.training.validation import evaluating, predict

Floats64 = NDArray[np.float64]

PHOTONS, BG = 5000.0, 50.0
GAP_PX = 8  # between ROIs
JITTER_PX = 2.0  # a molecule lies this far from the middle of its cell: all sub-pixel phases
CELLS = 4  # molecules along a side of a frame
MULTIPLE_PX = 16  # sides that any network takes
CENTRAL = 0.8  # share of the range of z that the mean ratios are over
QUARTERS = (-0.25, 0.25)  # offsets in a pixel that stand for all of them


@dataclass(frozen=True)
class IsolatedSet:
    """Movies of isolated molecules, their truth and their bounds.

    Attributes
    ----------
    adu : Tensor (B, T, H, W)
        Camera counts; T is the window, the molecules shine in the middle frame.
    truth : Emitters
        ``frame`` is the movie, one output image each.
    plane : ndarray (N,)
        Which z each emitter of the truth is at.
    z_nm : ndarray (P,)
        The planes, nm.
    crlb_x_nm, crlb_y_nm, crlb_z_nm : ndarray (P,)
        Smallest standard deviations, nm; variances averaged over places within a pixel.
    pixel_size_nm : float
        Camera pixel, nm.
    """

    adu: Tensor
    truth: Emitters
    plane: NDArray[np.intp]
    z_nm: Floats64
    crlb_x_nm: Floats64
    crlb_y_nm: Floats64
    crlb_z_nm: Floats64
    pixel_size_nm: float


@dataclass(frozen=True)
class IsolatedAccuracy:
    """Errors of isolated molecules, one entry per plane (P,), nm; NaN where none was found.

    Attributes
    ----------
    z_nm : ndarray
        The planes.
    detected : ndarray
        Share of the molecules that was found, 0-1.
    bias_x_nm, bias_y_nm, bias_z_nm : ndarray
        Mean errors.
    rmse_x_nm, rmse_y_nm, rmse_z_nm : ndarray
        Root mean square errors of those found (within 250 nm laterally, 500 nm axially).
    crlb_x_nm, crlb_y_nm, crlb_z_nm : ndarray
        Bounds on the standard deviation.
    """

    z_nm: Floats64
    detected: Floats64
    bias_x_nm: Floats64
    bias_y_nm: Floats64
    bias_z_nm: Floats64
    rmse_x_nm: Floats64
    rmse_y_nm: Floats64
    rmse_z_nm: Floats64
    crlb_x_nm: Floats64
    crlb_y_nm: Floats64
    crlb_z_nm: Floats64

    @property
    def central(self) -> NDArray[np.bool_]:
        """Planes in the central 80% of the range of z, (P,)."""
        low, high = self.z_nm.min(), self.z_nm.max()
        reach = CENTRAL * (high - low) / 2 + 1e-6 * (high - low)
        chosen: NDArray[np.bool_] = np.abs(self.z_nm - (low + high) / 2) <= reach
        return chosen

    @property
    def rmse_over_crlb_lateral(self) -> float:
        """Mean over the central planes of the 2-D error relative to its bound; 1 is perfect."""
        error = np.hypot(self.rmse_x_nm, self.rmse_y_nm)
        return float((error / np.hypot(self.crlb_x_nm, self.crlb_y_nm))[self.central].mean())

    @property
    def rmse_over_crlb_axial(self) -> float:
        """Mean over the central planes of the axial error relative to its bound; 1 is perfect."""
        return float((self.rmse_z_nm / self.crlb_z_nm)[self.central].mean())

    def to_dict(self) -> dict[str, list[float | None]]:
        """Plain lists for JSON; NaN, which JSON lacks, becomes None."""
        return {
            name: [float(v) if math.isfinite(v) else None for v in values]
            for name, values in vars(self).items()
        }


def make_isolated_set(
    psf: PSF,
    camera: Camera,
    *,
    window: int,
    photons: float = PHOTONS,
    bg: float = BG,
    planes: int = 15,
    per_plane: int = 100,
    seed: int = 1,
    z_range_nm: tuple[float, float] | None = None,
) -> IsolatedSet:
    """Molecules of the same brightness, each alone, at evenly spaced z.

    Parameters
    ----------
    psf : PSF
        Compiled if it is not fast already; one that changes over the chip is taken in the middle
        of its map.
    camera : Camera
        Its device is that of the result; of one with maps a typical pixel is taken.
    window : int
        Frames the network sees at once.
    photons, bg : float
        Photons of a molecule; flat background, photons per pixel.
    planes, per_plane : int
        Heights, and molecules at each.
    seed : int
        Same seed, same set.
    z_range_nm : tuple of float, optional
        Lowest and highest plane, nm; default: the PSF's.
    """
    if planes < 1 or per_plane < 1:
        raise ValueError(
            f"planes and per_plane must be at least 1, got {planes} and {per_plane}; raise them"
        )
    camera, device = camera.typical, camera.baseline.device
    psf = fast_psf(psf).to(device)
    low, high = z_range_nm or psf.config.z_range_nm
    z_nm = np.linspace(low, high, planes) if planes > 1 else np.array([(low + high) / 2])
    generator = torch.Generator(device).manual_seed(seed)
    emitters, plane, side = _place(z_nm, per_plane, photons, psf.config.roi_size, generator)
    movies = int(emitters.movie.max()) + 1
    origin = _middle(psf, movies, side, device)
    light = render_emitters(psf, emitters, movies, 1, (side, side), origin)
    expected = torch.full((movies, window, side, side), float(bg), device=device)
    expected[:, window // 2] += light[:, 0]
    # one output image a movie: rows stay in the order they were drawn in, which is by movie
    truth = to_table(EmitterBatch(**{**vars(emitters), "frame": emitters.movie}), (side, side))
    x_nm, y_nm, z_sigma_nm = _bounds(psf, camera, z_nm, photons, bg)
    return IsolatedSet(
        adu=camera.to_adu(expected, generator),
        truth=truth,
        plane=plane[truth.id],
        z_nm=z_nm,
        crlb_x_nm=x_nm,
        crlb_y_nm=y_nm,
        crlb_z_nm=z_sigma_nm,
        pixel_size_nm=psf.config.pixel_size_nm,
    )


def measure_isolated(
    network: nn.Module,
    data: IsolatedSet,
    *,
    camera: Camera,
    scaling: ScalingConfig,
    threshold: float,
    calibration: CalibrationConfig | None = None,
) -> IsolatedAccuracy:
    """Bias and RMSE of a network at every plane of the set, beside the bounds."""
    with evaluating(network):
        found = predict(network, data.adu, camera.typical, scaling, threshold, calibration)
    i, j = match(found, data.truth, data.pixel_size_nm)
    plane, count = data.plane[j], len(data.z_nm)
    paired = np.bincount(plane, minlength=count)
    columns = {"x": data.pixel_size_nm, "y": data.pixel_size_nm, "z": 1.0}
    figures: dict[str, Floats64] = {}
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nothing was found there
        for axis, unit_nm in columns.items():
            name = "z_nm" if axis == "z" else axis
            error = getattr(found, name)[i].astype(float) - getattr(data.truth, name)[j]
            total = np.bincount(plane, error * unit_nm, minlength=count)
            squares = np.bincount(plane, (error * unit_nm) ** 2, minlength=count)
            figures[f"bias_{axis}_nm"] = total / paired
            figures[f"rmse_{axis}_nm"] = np.sqrt(squares / paired)
            figures[f"crlb_{axis}_nm"] = getattr(data, f"crlb_{axis}_nm")
    return IsolatedAccuracy(
        z_nm=data.z_nm, detected=paired / np.bincount(data.plane, minlength=count), **figures
    )


def _place(
    z_nm: Floats64, per_plane: int, photons: float, roi_size: int, generator: torch.Generator
) -> tuple[EmitterBatch, NDArray[np.intp], int]:
    """Molecules on a grid of cells, their planes in the order of their ids, the frames' side."""
    device = generator.device
    cell = roi_size + GAP_PX
    side = math.ceil(CELLS * cell / MULTIPLE_PX) * MULTIPLE_PX
    n = len(z_nm) * per_plane
    order = torch.randperm(n, generator=generator, device=device)  # mixes planes in a frame
    plane = order // per_plane
    index = torch.arange(n, device=device)
    row, col = index // CELLS % CELLS, index % CELLS
    border = (side - CELLS * cell) / 2

    def within(cells: Tensor) -> Tensor:
        return border + (cells + 0.5) * cell + uniform(n, (-JITTER_PX, JITTER_PX), generator)

    emitters = EmitterBatch(
        movie=index // CELLS**2,
        frame=torch.zeros_like(index),
        id=index,
        y=within(row),
        x=within(col),
        z_nm=torch.as_tensor(z_nm, dtype=torch.float32, device=device)[plane],
        photons=torch.full((n,), float(photons), device=device),
    )
    return emitters, plane.cpu().numpy(), side


def _middle(psf: PSF, movies: int, side: int, device: torch.device) -> Tensor | None:
    """Chip place of the movies' first pixel that puts them in the middle of the PSF's map."""
    grid = psf.config
    if not isinstance(grid, FieldSplinePSFConfig):
        return None
    middle = [(nodes[0] + nodes[-1] - side) / 2 for nodes in (grid.rows_px, grid.columns_px)]
    return torch.tensor(middle, device=device).expand(movies, 2)


def _bounds(
    psf: PSF, camera: Camera, z_nm: Floats64, photons: float, bg: float
) -> tuple[Floats64, Floats64, Floats64]:
    """Square roots of the bounds of x, y, z, nm, averaged over places within a pixel."""
    places = [
        crlb(psf, z_nm, photons, bg, camera.noise, y=y, x=x) for y in QUARTERS for x in QUARTERS
    ]
    x, y, z = (
        np.sqrt(np.mean([getattr(bound, name) ** 2 for bound in places], axis=0))
        for name in ("x_nm", "y_nm", "z_sigma_nm")
    )
    return x, y, z
