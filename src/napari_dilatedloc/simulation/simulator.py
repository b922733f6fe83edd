"""Truth to camera frames: emitters, PSF, background, camera."""

from __future__ import annotations

import math
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
from napari_dilatedloc.simulation.distributions import uniform
from napari_dilatedloc.simulation.emitters import EmitterBatch, sample_emitters
from napari_dilatedloc.table import Emitters

CHUNK_FRAMES = 200  # frames rendered at a time by `simulate_movie`
CHUNK_ROIS = {"cpu": 256}  # spots drawn at a time, so that they stay in the processor's cache
MOST_ROIS = 4096  # where there is no such cache: bounds the memory


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
    origin : Tensor (B, 2), optional
        Where on the chip each movie's first pixel is (y, x, px); None where the chip is the same
        all over. ``camera.at(origin, (H, W))`` turns `adu` back into photons.
    """

    adu: Tensor
    emitters: EmitterBatch
    bg: Tensor
    origin: Tensor | None = None


def render_emitters(
    psf: PSF,
    emitters: EmitterBatch,
    movies: int,
    frames: int,
    size: tuple[int, int],
    origin: Tensor | None = None,
) -> Tensor:
    """Expected photons of emitters without background, (movies, frames, H, W).

    Each ROI is added to a canvas with a border, so that molecules outside the patch shine in; what
    lies too far out to reach it is left out. A molecule that shines in frame after frame is drawn
    once. `origin` (movies, 2) says where on the chip each movie's first pixel is (y, x, px), for a
    PSF that changes over the chip; without it the first pixel is the chip's.
    """
    height, width = size
    far = psf.config.roi_size // 2
    border = 2 * far
    row, col = torch.round(emitters.y), torch.round(emitters.x)
    seen = (row >= -far) & (row < height + far) & (col >= -far) & (col < width + far)
    emitters = emitters.select(seen)
    shape = (movies, frames, height + 2 * border, width + 2 * border)
    corner = emitters.movie * frames + emitters.frame
    for place, length in ((row, shape[2]), (col, shape[3])):
        corner = corner * length + place[seen].long() - far + border
    steps = torch.arange(2 * far + 1, device=corner.device)
    pixels = steps[:, None] * shape[3] + steps
    canvas = torch.zeros(math.prod(shape), device=corner.device, dtype=emitters.photons.dtype)
    for part, values in _spots(psf, emitters, origin):
        canvas.scatter_add_(0, (corner[part, None, None] + pixels).flatten(), values.flatten())
    return canvas.view(shape)[..., border : border + height, border : border + width]


def _spots(
    psf: PSF, emitters: EmitterBatch, origin: Tensor | None
) -> Iterator[tuple[slice, Tensor]]:
    """ROIs of all entries in photons, (n, R, R), some at a time; each place is drawn once."""
    first, run = _same_places(emitters)
    chunk = CHUNK_ROIS.get(first.device.type, MOST_ROIS)
    ends = [*first[chunk::chunk].tolist(), len(run)]
    start = 0
    for number, end in enumerate(ends if len(run) else []):
        places = emitters.select(first[number * chunk : (number + 1) * chunk])
        at = torch.stack([places.y, places.x], dim=1)
        centre = torch.round(at)
        offset = at - centre
        chip = centre if origin is None else centre + origin[places.movie]
        rois = psf.rois(places.z_nm, offset[:, 0], offset[:, 1], chip)
        part = slice(start, end)
        drawn = rois[run[part] - number * chunk]
        yield part, drawn * emitters.photons[part, None, None]
        start = end


def _same_places(emitters: EmitterBatch) -> tuple[Tensor, Tensor]:
    """First entry of each run of entries at one place, and the number of each entry's run."""
    movie, place = emitters.movie, torch.stack([emitters.z_nm, emitters.y, emitters.x], dim=1)
    new = torch.ones_like(movie, dtype=torch.bool)
    new[1:] = (movie[1:] != movie[:-1]) | (place[1:] != place[:-1]).any(1)
    return new.nonzero()[:, 0], new.long().cumsum(0) - 1


def heights(psf: PSF, config: SimulationConfig) -> Range:
    """Range of z that molecules are drawn from, nm: the stated one or all of the PSF's.

    Beyond its range a PSF shows the last image it knows, whatever z is.
    """
    low, high = psf.config.z_range_nm
    stated = config.z_range_nm
    if stated is None:
        return low, high
    rounding = 1e-3 * (high - low)
    if stated[0] < low - rounding or stated[1] > high + rounding:
        raise ValueError(
            f"z_range_nm of the simulation must lie within the PSF's, {low:g} to {high:g} nm, got "
            f"{stated[0]:g} to {stated[1]:g}; narrow it, or take a PSF that reaches further"
        )
    return stated


class Simulator:
    """Draws batches of movies; every call gives new ones.

    Parameters
    ----------
    psf : PSF
        Unit-photon spots; compiled if it is not fast already.
    camera : Camera
        Turns photons into counts; movies are made on its device.
    config : SimulationConfig
        Ranges to draw from.

    Attributes
    ----------
    z_range_nm : tuple of float
        Range molecules are drawn from, nm.

    Raises
    ------
    ValueError
        If molecules would lie where the PSF is not known.
    """

    def __init__(self, psf: PSF, camera: Camera, config: SimulationConfig) -> None:
        self.z_range_nm = heights(psf, config)
        self.psf = fast_psf(psf).to(camera.baseline.device)
        self.camera = camera
        self.config = config

    def draw(
        self, movies: int, frames: int, size: tuple[int, int], generator: torch.Generator
    ) -> SimulatedBatch:
        """Movies (movies, frames, *size) with their truth; the generator may be on the CPU."""
        generator = _generator_on(self.camera.baseline.device, generator)
        emitters = sample_emitters(
            self.config,
            movies=movies,
            frames=frames,
            size=size,
            margin=self.psf.config.roi_size // 2,
            z_range_nm=self.z_range_nm,
            pixel_size_nm=self.psf.config.pixel_size_nm,
            generator=generator,
        )
        bg = sample_background(self.config, movies, size, generator)
        origin = self._origin(movies, size, generator)
        camera = self.camera.at(origin, size)
        light = render_emitters(self.psf, emitters, movies, frames, size, origin)
        adu = camera.to_adu(light + bg[:, None], generator)
        return SimulatedBatch(adu, emitters, bg, origin)

    def _origin(
        self, movies: int, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor | None:
        """Where on the chip each movie is, (movies, 2) whole px; None if that changes nothing.

        Anywhere inside the camera's maps that the PSF's map reaches too.
        """
        grid, chip = self.psf.config, self.camera.shape
        if not isinstance(grid, FieldSplinePSFConfig):
            if chip is None:
                return None
            reach = [(0.0, float(length)) for length in chip]
        else:
            reach = [(nodes[0], nodes[-1]) for nodes in (grid.rows_px, grid.columns_px)]
        axes = zip(reach, size, chip or (None, None), strict=True)
        places = [
            uniform(movies, _room(ends, length, end), generator).round()
            for ends, length, end in axes
        ]
        return torch.stack(places, dim=1)


def _generator_on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """The generator, or one on the device that it seeds, so that its state says all there is."""
    if generator.device.type == device.type:
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator(device).manual_seed(int(seed))


def _room(reach: Range, length: int, chip: int | None) -> Range:
    """First pixels, as bounds, at which `length` px lie within `reach` and surely on the chip."""
    low, high = reach[0], max(reach[0], reach[1] - length)
    if chip is None:
        return low, high
    last = float(max(0, chip - length))
    return min(max(low, 0.0), last), min(max(high, 0.0), last)


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
        z_range_nm=heights(psf, config),
        pixel_size_nm=psf.config.pixel_size_nm,
        generator=generator,
    )
    bg = sample_background(config, 1, size, generator)
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
    """One movie (T, Y, X) of given emitters over a background (Y, X), some frames at a time.

    A camera with maps gives the top left part of them.
    """
    size = (bg.shape[0], bg.shape[1])
    camera = camera.at(None, size)
    movie = np.empty((frames, *size), dtype=np.uint16)
    for start, stop, part in _chunks(emitters, frames):
        expected = render_emitters(psf, part, 1, stop - start, size)[0] + bg
        adu = camera.to_adu(expected, generator).numpy()
        movie[start:stop] = adu.clip(max=np.iinfo(np.uint16).max)  # a file of 16 bits ends there
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
