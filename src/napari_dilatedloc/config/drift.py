"""How drift is measured."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_dilatedloc.config.base import Config

DriftMethod = Literal["aim", "rcc", "fiducials", "comet"]


class DriftConfig(Config):
    """One drift correction; what a method does not need it leaves alone."""

    method: DriftMethod = Field("aim", description="aim is fast and needs no bright structure")
    segments: int | None = Field(
        None,
        ge=2,
        description="equal parts of the movie; default: as many as have enough localizations",
    )
    axial: bool = Field(True, description="z too, where the table has it")
    aim_distance_nm: float = Field(
        20.0, gt=0, description="aim: two positions closer than this are at one place"
    )
    aim_rounds: int = Field(
        1, ge=1, description="aim: rounds against the whole movie after the first through it"
    )
    rcc_bin_nm: float = Field(20.0, gt=0, description="rcc: pixel of the images, nm")
    rcc_max_shift_nm: float = Field(
        1000.0, gt=0, description="rcc: largest shift between any two segments"
    )
    comet_max_drift_nm: float = Field(300.0, gt=0, description="comet: largest drift")
    fiducials: tuple[tuple[float, float], ...] | None = Field(
        None, description="positions (y, x) of beads in px; default: found"
    )
    fiducial_radius_nm: float = Field(
        250.0, gt=0, description="fiducials: all of one bead lie within this of its mean"
    )
    fiducial_presence: float = Field(
        0.7, gt=0, le=1, description="fiducials: share of frames a bead must be found in"
    )
