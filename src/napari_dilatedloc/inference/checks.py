"""Cheap looks at a movie before a run: what is asked must exist, and the model should fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import ConfigError, LocalizeConfig, ModelInfo
from napari_dilatedloc.inference.tiles import Box
from napari_dilatedloc.io.movie import MovieError, check_movie

SMALLEST_FRAME_PX = 16
PIXEL_SIZE_TOLERANCE = 0.05


def check_run(movie: Any, config: LocalizeConfig) -> tuple[tuple[int, int], Box]:
    """Frames (start, stop) and region of a run, or one sentence on why it cannot be.

    Raises
    ------
    MovieError
        If the array is no movie, or its frames are smaller than 16 px.
    ConfigError
        If the frames or the region asked for are not in it.
    """
    check_movie(movie)
    count, height, width = (int(n) for n in movie.shape)
    if min(height, width) < SMALLEST_FRAME_PX:
        raise MovieError(
            f"frames must be at least {SMALLEST_FRAME_PX} x {SMALLEST_FRAME_PX} px to hold a "
            f"molecule's image, got {height} x {width}; use a larger part of the camera"
        )
    start, stop = config.frames or (0, count)
    if not 0 <= start < stop <= count:
        raise ConfigError(
            f"frames must be A:B with 0 <= A < B <= {count}, got {start}:{stop}; "
            "choose frames of this movie"
        )
    y0, x0, y1, x1 = config.roi or (0, 0, height, width)
    if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
        raise ConfigError(
            f"roi must be y0,x0,y1,x1 within 0,0,{height},{width}, got {y0},{x0},{y1},{x1}; "
            "choose a region inside the frame"
        )
    return (start, stop), (y0, x0, y1, x1)


def check_model_fits(movie: Any, pixel_size_nm: float | None, info: ModelInfo) -> list[str]:
    """Reasons to doubt that a model was trained for this movie, one sentence each.

    Parameters
    ----------
    movie : array (T, Y, X)
        ADU; only its first frame is read.
    pixel_size_nm : float or None
        Camera pixel of the movie, nm; None where unknown.
    info : ModelInfo
        What the model was trained for.
    """
    doubts = []
    if pixel_size_nm is not None:
        ratio = pixel_size_nm / info.pixel_size_nm
        if abs(ratio - 1) > PIXEL_SIZE_TOLERANCE:
            doubts.append(
                f"The movie's pixels are {pixel_size_nm:.4g} nm, but the model was trained for "
                f"{info.pixel_size_nm:.4g} nm: check the pixel size or train a model for it."
            )
    height, width = movie.shape[1:]
    if min(height, width) < info.psf.roi_size:
        doubts.append(
            f"The frames ({height} x {width} px) are smaller than the model's PSF "
            f"({info.psf.roi_size} px): molecules near the border will be lost."
        )
    return doubts + _camera_doubts(np.asarray(movie[0]), info)


def _camera_doubts(frame: NDArray[Any], info: ModelInfo) -> list[str]:
    camera = build_camera(info.camera)
    if camera.shape is not None and camera.shape != frame.shape:
        return []  # the run refuses it, with a sentence of its own
    adu = torch.from_numpy(frame.astype(np.float32))
    # The darkest hundredth and not the darkest pixel, which may be a dead one; below the baseline
    # by more than three read noises there is no light to explain it.
    baseline = float(camera.baseline.median())
    dark = baseline + float(np.percentile(adu - camera.baseline, 1))
    noise = float((camera.read_noise_e / camera.e_per_adu).median())
    doubts = []
    if dark < baseline - 3 * noise - 1:
        doubts.append(
            f"The movie's dark pixels ({dark:.4g} ADU) lie below the baseline the model was "
            f"trained with ({baseline:.4g} ADU): check the camera settings."
        )
    photons = float(np.percentile(camera.to_photons(adu), 1))
    brightest = info.simulation.bg[1]
    # Half of it is granted: the network has seen neighbours add to the background.
    if photons > 1.5 * brightest:
        doubts.append(
            f"Even the movie's dark pixels hold {photons:.0f} photons, but the model was trained "
            f"for at most {brightest:.0f} of background: check baseline and gain of the camera."
        )
    return doubts
