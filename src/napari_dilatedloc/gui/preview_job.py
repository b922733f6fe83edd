"""The job behind the preview: one frame through the network. torch is loaded in here only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.config import CameraConfig, LocalizeConfig
from napari_dilatedloc.table import Localizations

if TYPE_CHECKING:
    from napari_dilatedloc.network.checkpoint import Model
    from napari_dilatedloc.psf.base import PSF

FLOOR = 1e-3
"""Threshold of a preview: which localizations are above a higher one is a look at `prob`, since
neither their probability nor their place depends on it (`network.decode`)."""


class OpenModel:
    """The model of the last look, so that the next one need not load it. For one thread at a time.

    The PSF is left as it is: compiling it takes seconds, which a frame is not worth.
    """

    def __init__(self) -> None:
        self._key: tuple[str, int] | None = None
        self._model: Model | None = None
        self._psf: PSF | None = None

    def get(self, name: str, camera: CameraConfig | None) -> Model:
        """Model by name or path, for a camera; loaded again if its file has changed."""
        from napari_dilatedloc.network.checkpoint import load_model
        from napari_dilatedloc.network.shipped import find_model

        key = name, Path(find_model(name)).stat().st_mtime_ns
        if self._model is None or key != self._key:
            self._model, self._psf, self._key = load_model(name), None, key
        return self._model if camera is None else self._model.with_camera(camera)

    def psf(self, name: str) -> PSF:
        """PSF that a model was trained for."""
        from napari_dilatedloc.psf.build import build_psf

        model = self.get(name, None)
        if self._psf is None:
            self._psf = build_psf(model.info.psf, model.psf_tensors)
        return self._psf


@dataclass(frozen=True)
class FrameLook:
    """What the network finds in one frame.

    Attributes
    ----------
    frame : int
        Of the movie, from 0.
    found : Localizations
        Down to a probability of `FLOOR`.
    own_threshold : float
        The model's.
    z_range_nm : tuple of float
        That the model covers, nm.
    """

    frame: int
    found: Localizations
    own_threshold: float
    z_range_nm: tuple[float, float]

    def above(self, threshold: float | None) -> Localizations:
        """Localizations above a threshold; None: the model's."""
        least = self.own_threshold if threshold is None else threshold
        return self.found[self.found.prob > least]


@dataclass(frozen=True)
class FrameResidual:
    """A frame without its molecules.

    Attributes
    ----------
    frame : int
        Of the movie, from 0.
    photons : array (Y, X) float32
        Frame minus model, of the region that is localized.
    corner : tuple of int
        (y, x) of its first pixel, px.
    """

    frame: int
    photons: NDArray[np.float32]
    corner: tuple[int, int]


def preview_job(
    opened: OpenModel,
    movie: Any,
    frame: int,
    model: str,
    config: LocalizeConfig,
    camera: CameraConfig | None,
    residual: bool,
    known: FrameLook | None,
    stop: Event,
) -> Iterator[FrameLook | FrameResidual]:
    """Look at one frame; meant for a worker thread.

    Parameters
    ----------
    opened : OpenModel
        Keeps the model between looks.
    movie : array (T, Y, X)
        ADU.
    frame : int
        Which, from 0.
    model : str
        Shipped name or path.
    config : LocalizeConfig
        Region, device and threshold; its frames do not matter.
    camera : CameraConfig or None
        That recorded the movie; None: the model's.
    residual : bool
        Whether to give the frame minus its model too.
    known : FrameLook or None
        What was found in this frame before, if only the residual is wanted.
    stop : Event
        Ends the job between two steps.
    """
    from napari_dilatedloc.gui.localize_job import leave_a_core_to_the_viewer
    from napari_dilatedloc.inference.pipeline import localize

    leave_a_core_to_the_viewer()
    loaded = opened.get(model, camera)
    look = known
    if look is None:
        # layer by layer: preparing a faster engine takes longer than one frame
        once = config.replace(frames=(frame, frame + 1), threshold=FLOOR, engine="exact")
        blocks = [block.localizations for block in localize(movie, loaded, once, stop=stop)]
        if stop.is_set():
            return
        found = Localizations.concatenate(blocks)
        look = FrameLook(frame, found, loaded.info.threshold, loaded.info.z_range_nm)
        yield look
    if residual and not stop.is_set():
        yield _residual(loaded, opened.psf(model), movie, config, look)


def _residual(
    model: Model, psf: PSF, movie: Any, config: LocalizeConfig, look: FrameLook
) -> FrameResidual:
    from napari_dilatedloc.camera import build_camera
    from napari_dilatedloc.matching.residual import residual_image

    camera = build_camera(model.info.camera)
    frame = np.asarray(movie[look.frame])
    left = residual_image(frame, look.above(config.threshold), psf, camera)
    y0, x0, y1, x1 = config.roi or (0, 0, *frame.shape)
    return FrameResidual(look.frame, left[y0:y1, x0:x1], (y0, x0))
