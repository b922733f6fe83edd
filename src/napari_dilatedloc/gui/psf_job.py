"""What the PSF step asks of a worker: load, calibrate, look at, save.

torch is loaded in here only, inside the jobs, so that the dock opens without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.config import BeadSettings
from napari_dilatedloc.gui.localize_job import leave_a_core_to_the_viewer

if TYPE_CHECKING:
    from napari_dilatedloc.psf.base import PSF
    from napari_dilatedloc.psf.calibration import Calibration
    from napari_dilatedloc.psf.crlb import Crlb
    from napari_dilatedloc.psf.retrieval import Retrieval
    from napari_dilatedloc.psf.slopes import Slopes
    from napari_dilatedloc.psf.verdicts import Verdict

Direction = Literal["up", "down"]
Place = tuple[float, float]
PLANES = 41
"""Planes of the PSF layer and points of the curve."""
PLANES_AT_ONCE = 6
"""Between these a look can be stopped."""


@dataclass(frozen=True)
class ChosenPSF:
    """A PSF and where it is from.

    Attributes
    ----------
    psf : PSF
        On the CPU.
    name : str
        Short name, for layers and files.
    source : str
        Where it is from, in words.
    calibration, retrieval : optional
        What it was measured with, if it was.
    verdicts : tuple of Verdict
        What was found about the calibration, problems first.
    """

    psf: PSF
    name: str
    source: str
    calibration: Calibration | None = None
    retrieval: Retrieval | None = None
    verdicts: tuple[Verdict, ...] = ()

    def about(self) -> str:
        """Two short lines: where from, and what kind, size and range."""
        config = self.psf.config
        low, high = config.z_range_nm
        size = config.roi_size
        return (
            f"{self.source}\n{config.kind}, {size} × {size} px of {config.pixel_size_nm:.4g} nm, "
            f"z {low:.0f} to {high:.0f} nm"
        )


@dataclass(frozen=True)
class Look:
    """A PSF through focus.

    Attributes
    ----------
    chosen : ChosenPSF
        Which.
    z_nm : ndarray
        (Z,) nm, evenly spaced.
    slopes : Slopes
        Unit-photon ROIs and their slopes, each (Z, R, R), float64.
    """

    chosen: ChosenPSF
    z_nm: NDArray[np.float64]
    slopes: Slopes

    @property
    def z_step_nm(self) -> float:
        """Distance of planes, nm."""
        return float(self.z_nm[1] - self.z_nm[0])


class _Stopped(Exception):
    """Raised by a tick; never leaves this file."""


def _tick_of(stop: Event) -> Callable[[], None]:
    """Tick that ends the work once `stop` is set."""

    def tick() -> None:
        if stop.is_set():
            raise _Stopped

    return tick


def presets_job(stop: Event) -> Iterator[tuple[str, ...]]:
    """Names of the built-in PSFs."""
    from napari_dilatedloc.psf.build import available_psfs

    yield tuple(available_psfs())


def load_job(
    name_or_path: str, pixel_size_nm: float | None, z_direction: Direction, stop: Event
) -> Iterator[ChosenPSF]:
    """PSF by its built-in name, or from our or a foreign file."""
    from napari_dilatedloc.psf.build import available_psfs, load_psf

    psf = load_psf(name_or_path, pixel_size_nm=pixel_size_nm, z_direction=z_direction)
    if name_or_path in available_psfs():
        yield ChosenPSF(psf, name_or_path, f"Built-in PSF {name_or_path}")
    else:
        path = Path(name_or_path)
        yield ChosenPSF(psf, path.stem.removesuffix(".psf"), f"File {path.name}")


def calibrate_job(
    stack: Any, settings: BeadSettings, picks: Sequence[Place] | None, name: str, stop: Event
) -> Iterator[str | ChosenPSF]:
    """Measure the PSF on a stack (Z, Y, X); yields what it is at, then the PSF.

    `picks` are beads chosen by hand, (y, x) px; None searches for them.
    """
    from napari_dilatedloc.psf.beads import snapped
    from napari_dilatedloc.psf.calibrate import calibrate_beads
    from napari_dilatedloc.psf.verdicts import judge

    if settings.pixel_size_nm is None or settings.z_step_nm is None:
        raise ValueError("pixel size and z step of the beads are not known; state both")
    leave_a_core_to_the_viewer()
    yield "Finding and aligning the beads…"
    images, tick = np.asarray(stack), _tick_of(stop)
    retrieval: Retrieval | None = None
    try:
        calibration = calibrate_beads(
            images,
            pixel_size_nm=settings.pixel_size_nm,
            z_step_nm=settings.z_step_nm,
            roi_size=settings.roi_size,
            z_direction=settings.z_direction,
            positions=None if picks is None else snapped(images, picks, settings.roi_size),
            tick=tick,
        )
        if settings.optics is not None:
            from napari_dilatedloc.psf.retrieval import retrieve

            yield "Fitting the phase of the pupil; this takes a minute or two…"
            retrieval = retrieve(calibration, settings.optics, tick=tick)
    except _Stopped:
        return
    used, found = len(calibration.kept), len(calibration.beads)
    yield ChosenPSF(
        calibration.psf if retrieval is None else retrieval.psf,
        name,
        f"Calibrated from {used} of {found} beads of '{name}'",
        calibration,
        retrieval,
        judge(calibration, retrieval=retrieval),
    )


def look_job(chosen: ChosenPSF, stop: Event) -> Iterator[Look]:
    """Planes of a PSF through its range of z, with their slopes."""
    import matplotlib.figure  # noqa: F401  slow, and the curve will need it in the GUI thread
    import torch

    from napari_dilatedloc.psf.slopes import Slopes, rois_and_slopes

    leave_a_core_to_the_viewer()
    low, high = chosen.psf.config.z_range_nm
    z = torch.linspace(low, high if high > low else low + 1.0, PLANES, dtype=torch.float64)
    zeros = torch.zeros_like(z)
    parts = []
    for first in range(0, PLANES, PLANES_AT_ONCE):
        if stop.is_set():
            return
        part = slice(first, first + PLANES_AT_ONCE)
        with torch.no_grad():
            parts.append(rois_and_slopes(chosen.psf, z[part], zeros[part], zeros[part]))
    slopes = Slopes(*(torch.cat(one) for one in zip(*parts, strict=True)))
    yield Look(chosen, z.numpy(), slopes)


def bounds(look: Look, photons: float, bg: float) -> Crlb:
    """Bounds on the precision at each plane, as `psf.crlb.crlb` gives them, in milliseconds."""
    import torch

    from napari_dilatedloc.psf.crlb import Crlb, fisher_information, standard_deviations

    ones = torch.ones(len(look.z_nm), dtype=torch.float64)
    found = standard_deviations(fisher_information(look.slopes, photons * ones, bg * ones))
    z_sigma, y_px, x_px, of_photons, of_bg = found.numpy().T
    size = look.chosen.psf.config.pixel_size_nm
    return Crlb(look.z_nm, size * x_px, size * y_px, z_sigma, of_photons, of_bg)


def save_job(path: Path, chosen: ChosenPSF, stop: Event) -> Iterator[str]:
    """Write a PSF: ``.mat`` for SMAP, anything else as ours."""
    from napari_dilatedloc.psf.build import save_psf
    from napari_dilatedloc.psf.formats.smap import write_smap

    write = write_smap if path.suffix.lower() == ".mat" else save_psf
    yield f"Wrote {write(path, chosen.psf)}."


def report_job(
    path: Path, chosen: ChosenPSF, photons: float, bg: float, stop: Event
) -> Iterator[str]:
    """Write page, picture and numbers of a calibration."""
    from napari_dilatedloc.psf.report import write_report

    if chosen.calibration is None:
        raise ValueError("only a calibration has a report; calibrate from beads first")
    written = write_report(
        path, chosen.calibration, retrieval=chosen.retrieval, photons=photons, bg=bg
    )
    yield "Wrote " + ", ".join(file.name for file in written) + f" to {written[0].parent}."
