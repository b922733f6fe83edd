"""Truth to camera frames: emitters, PSF, background, camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.camera import Camera, build_camera
from napari_dilatedloc.config import CameraConfig, FieldSplinePSFConfig, Range, SimulationConfig
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.compile import fast_psf
from napari_dilatedloc.simulation.background import sample_background
from napari_dilatedloc.simulation.emitters import EmitterBatch, sample_emitters, uniform
from napari_dilatedloc.table import Emitters

CHUNK_FRAMES = 200  # frames rendered at a time by `simulate_movie`


@dataclass(frozen=True)
class SimulatedBatch:
    """Movies with their truth.

    Attributes
    ----------
    adu : Tensor (B, T, H, W)
        Camera counts.
    emitters : EmitterBatch
        All that shines, including what lies outside the patch.
    bg : Tensor (B, H, W)
        Background, photons per pixel.
    """

    adu: Tensor
    emitters: EmitterBatch
    bg: Tensor


def render_emitters(
    psf: PSF,
    emitters: EmitterBatch,
    movies: int,
    frames: int,
    size: tuple[int, int],
    origin: Tensor | None = None,
) -> Tensor:
    """Expected photons of emitters without background, (movies, frames, H, W).

    Each ROI is added to a canvas with a border, so that molecules outside the patch shine in.
    `origin` (movies, 2) says where on the chip each movie's first pixel is (y, x, px), for a PSF
    that changes over the chip; without it the first pixel is the chip's.
    """
    height, width = size
    roi = psf.config.roi_size
    border = roi + roi // 2
    row, col = torch.round(emitters.y), torch.round(emitters.x)
    place = torch.stack([row, col], dim=1)
    if origin is not None:
        place = place + origin[emitters.movie]
    values = psf.rois(emitters.z_nm, emitters.y - row, emitters.x - col, place)
    values = values * emitters.photons[:, None, None]
    tall, wide = height + 2 * border, width + 2 * border
    image = emitters.movie * frames + emitters.frame
    top = (row.long() + border - roi // 2).clamp(0, tall - roi)
    left = (col.long() + border - roi // 2).clamp(0, wide - roi)
    first = (image * tall + top) * wide + left
    steps = torch.arange(roi, device=values.device)
    index = first[:, None, None] + steps[:, None] * wide + steps
    canvas = torch.zeros(movies * frames * tall * wide, device=values.device, dtype=values.dtype)
    canvas.index_add_(0, index.flatten(), values.flatten())
    canvas = canvas.view(movies, frames, tall, wide)
    return canvas[..., border : border + height, border : border + width]


class Simulator:
    """Draws batches of movies; every call gives new ones.

    Parameters
    ----------
    psf : PSF
        Unit-photon spots; compiled if it is not fast already.
    camera : Camera
        Turns photons into counts.
    config : SimulationConfig
        Ranges to draw from.
    """

    def __init__(self, psf: PSF, camera: Camera, config: SimulationConfig) -> None:
        self.psf = fast_psf(psf).to(camera.baseline.device)
        self.camera = camera
        self.config = config

    @property
    def z_range_nm(self) -> Range:
        """Range molecules are drawn from, nm."""
        return self.config.z_range_nm or self.psf.config.z_range_nm

    def draw(
        self, movies: int, frames: int, size: tuple[int, int], generator: torch.Generator
    ) -> SimulatedBatch:
        """Movies (movies, frames, *size) with their truth."""
        emitters = sample_emitters(
            self.config,
            movies=movies,
            frames=frames,
            size=size,
            margin=self.psf.config.roi_size // 3,
            z_range_nm=self.z_range_nm,
            pixel_size_nm=self.psf.config.pixel_size_nm,
            generator=generator,
        )
        bg = sample_background(self.config.bg, movies, size, generator)
        origin = self._origin(movies, size, generator)
        light = render_emitters(self.psf, emitters, movies, frames, size, origin)
        return SimulatedBatch(self.camera.to_adu(light + bg[:, None], generator), emitters, bg)

    def _origin(
        self, movies: int, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor | None:
        """Where on the chip each movie is, (movies, 2) px: anywhere the PSF's map reaches."""
        grid = self.psf.config
        if not isinstance(grid, FieldSplinePSFConfig):
            return None
        axes = zip((grid.rows_px, grid.columns_px), size, strict=True)
        places = [
            uniform(movies, (nodes[0], max(nodes[0], nodes[-1] - length)), generator)
            for nodes, length in axes
        ]
        return torch.stack(places, dim=1)


def simulate_movie(
    psf: PSF,
    camera: CameraConfig,
    config: SimulationConfig,
    *,
    frames: int,
    size: tuple[int, int],
    seed: int,
) -> tuple[NDArray[np.uint16], Emitters]:
    """One long movie and its truth.

    Molecules keep their place and id over all their frames; background and density are drawn
    once for the movie.

    Parameters
    ----------
    psf, camera, config
        What is simulated.
    frames : int
        Length of the movie.
    size : tuple of int
        (height, width), px.
    seed : int
        Same seed, same movie.

    Returns
    -------
    movie : array (T, Y, X) uint16
        Camera counts.
    truth : Emitters
        What shines inside the field, in frame order.
    """
    generator = torch.Generator().manual_seed(seed)
    emitters = sample_emitters(
        config,
        movies=1,
        frames=frames,
        size=size,
        margin=psf.config.roi_size // 2,
        z_range_nm=config.z_range_nm or psf.config.z_range_nm,
        pixel_size_nm=psf.config.pixel_size_nm,
        generator=generator,
    )
    bg = sample_background(config.bg, 1, size, generator)
    movie = film(fast_psf(psf), build_camera(camera), emitters, bg[0], frames, generator)
    return movie, to_table(emitters, size)


def film(
    psf: PSF,
    camera: Camera,
    emitters: EmitterBatch,
    bg: Tensor,
    frames: int,
    generator: torch.Generator,
) -> NDArray[np.uint16]:
    """One movie (T, Y, X) of given emitters over a background (Y, X), some frames at a time."""
    size = (bg.shape[0], bg.shape[1])
    movie = np.empty((frames, *size), dtype=np.uint16)
    for start, stop, part in _chunks(emitters, frames):
        expected = render_emitters(psf, part, 1, stop - start, size)[0] + bg
        movie[start:stop] = camera.to_adu(expected, generator).numpy().astype(np.uint16)
    return movie


def _chunks(emitters: EmitterBatch, frames: int) -> Iterator[tuple[int, int, EmitterBatch]]:
    for start in range(0, frames, CHUNK_FRAMES):
        stop = min(start + CHUNK_FRAMES, frames)
        part = emitters.select((emitters.frame >= start) & (emitters.frame < stop))
        yield start, stop, EmitterBatch(**{**vars(part), "frame": part.frame - start})


def inside(emitters: EmitterBatch, size: tuple[int, int]) -> Tensor:
    """Mask of emitters whose centre lies on a pixel of the patch."""
    row, col = torch.round(emitters.y), torch.round(emitters.x)
    return (row >= 0) & (row < size[0]) & (col >= 0) & (col < size[1])


def to_table(emitters: EmitterBatch, size: tuple[int, int]) -> Emitters:
    """Emitters inside the field of a single movie as a table, in frame order."""
    part = emitters.select(inside(emitters, size))
    return Emitters(
        frame=part.frame.cpu().numpy(),
        x=part.x.cpu().numpy(),
        y=part.y.cpu().numpy(),
        z_nm=part.z_nm.cpu().numpy(),
        photons=part.photons.cpu().numpy(),
        id=part.id.cpu().numpy(),
    ).sorted_by_frame()
