"""A frame without its molecules: what is left when the model's image is taken off."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from napari_dilatedloc.camera import Camera
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.simulation.emitters import EmitterBatch
from napari_dilatedloc.simulation.simulator import render_emitters
from napari_dilatedloc.table import Localizations

Image = NDArray[np.float32]

CELL_PX = 16
"""Side of the pieces of a frame that each have one level of background, px."""


def residual_image(frame: Any, found: Localizations, psf: PSF, camera: Camera) -> Image:
    """Frame minus model: what neither the localizations nor a smooth background explain.

    A molecule that was missed stays as a bright spot, one that is not there leaves a dark one, and
    a PSF that does not fit leaves rings of both. The background that is taken off is the median
    of what is left in cells of 16 x 16 px.

    Parameters
    ----------
    frame : array (Y, X)
        ADU.
    found : Localizations
        All localizations of this frame and of no other (the column `frame` is not looked at); with
        none the frame is shown without its background.
    psf : PSF
        That of the model: ``psf.build.build_psf(model.info.psf, model.psf_tensors)``. For many
        frames of a slow PSF give ``psf.compile.fast_psf`` of it.
    camera : Camera
        Of the whole frame, as from ``camera.build_camera``.

    Returns
    -------
    array (Y, X) float32
        Photons per pixel; noise around 0 where the model is right.

    Raises
    ------
    ValueError
        If the camera has maps of another size than the frame.
    """
    left = photons_of(frame, camera) - light_of(found, psf, np.shape(frame))
    return (left - torch.from_numpy(_smooth_background(left.numpy()))).numpy()


def photons_of(frame: Any, camera: Camera) -> Tensor:
    """Photons (Y, X) of a frame in ADU."""
    adu = torch.from_numpy(np.array(frame, dtype=np.float32))
    camera.check_shape(int(adu.shape[0]), int(adu.shape[1]))
    return camera.to_photons(adu)


def light_of(found: Localizations, psf: PSF, shape: tuple[int, ...]) -> Tensor:
    """Photons (Y, X) of the molecules of one frame."""
    n = len(found)
    batch = EmitterBatch(
        movie=torch.zeros(n, dtype=torch.long),
        frame=torch.zeros(n, dtype=torch.long),
        id=torch.arange(n),
        y=torch.from_numpy(found.y),
        x=torch.from_numpy(found.x),
        z_nm=torch.from_numpy(found.z_nm),
        photons=torch.from_numpy(found.photons),
    )
    return render_emitters(psf, batch, 1, 1, (int(shape[0]), int(shape[1])))[0, 0]


def _smooth_background(photons: Image) -> Image:
    """Medians of cells of 16 x 16 px and between their centres a straight line, (Y, X)."""
    parts = [np.array_split(np.arange(n), max(1, n // CELL_PX)) for n in photons.shape]
    cells = [
        [np.median(photons[np.ix_(rows, columns)]) for columns in parts[1]] for rows in parts[0]
    ]
    # where each pixel lies among the cells' centres; beyond the outermost their level holds
    at = [
        np.interp(np.arange(n), [float(p.mean()) for p in axis], np.arange(len(axis)))
        for n, axis in zip(photons.shape, parts, strict=True)
    ]
    grid = np.meshgrid(*at, indexing="ij")
    smooth = map_coordinates(np.asarray(cells, dtype=np.float32), grid, order=1, mode="nearest")
    return smooth.astype(np.float32)


def noise_ratio_in_frame(left: Tensor, light: Tensor, camera: Camera) -> float:
    """Variance between the molecules of one frame over the one the camera promises.

    From differences of neighbours, which a smooth background leaves alone, and their median, which
    a molecule that was missed does not change.

    Parameters
    ----------
    left, light : Tensor (Y, X)
        Photons of the frame less those of its molecules; photons of the molecules.
    camera : Camera
        Of the whole frame.

    Returns
    -------
    float
        1 where the camera's settings are right; NaN where no pixel is free of molecules.
    """
    background = torch.from_numpy(_smooth_background(left.numpy())).clamp_min(0)
    variance = pixel_variance(camera, background)
    dark = light < 0.1 * variance.sqrt()
    both = dark[:, 1:] & dark[:, :-1]
    if not both.any():
        return math.nan
    score = (left[:, 1:] - left[:, :-1]) / (variance[:, 1:] + variance[:, :-1]).sqrt()
    return (1.4826 * float(score[both].abs().median())) ** 2


def pixel_variance(camera: Camera, photons: Tensor) -> Tensor:
    """Variance of `camera.to_photons` where `photons` are expected, photons^2, pixel by pixel.

    The formula of `Camera.noise`, which gives a typical pixel.
    """
    read_e = camera.read_noise_e / camera.em_gain
    rounding_e2 = (camera.e_per_adu / camera.em_gain) ** 2 / 12
    electrons = photons * camera.qe + camera.config.spurious_e
    variance: Tensor = camera.excess_noise * electrons + read_e**2 + rounding_e2
    return variance / camera.qe**2
