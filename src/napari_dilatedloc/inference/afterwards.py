"""Whether the table of a run shows a movie that the weights were not trained for.

Everything is taken block by block, so that a long run costs no memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.config import ModelInfo
from napari_dilatedloc.table import Localizations

RETRAIN = "match the training to this movie ('dilatedloc match', then 'dilatedloc train')"

ENOUGH = 100
"""Localizations below which shares of them are not judged."""
CELL_PX = 32
"""Side of the pieces of the field in which the density is counted, px."""
FEW_A_FRAME = 0.1
"""Localizations a frame below which something is likely to be wrong."""
END_OF_Z = 0.02
"""Part of the range of z that counts as its end; even z would put this share in it."""

# Shares of the localizations above which a sentence is said. A molecule that is on for part of a
# frame gives part of its photons: with 500 photons as the lowest trained, 12 to 50% of what was
# found of simulated molecules of 500 to 700 photons was below that, of 200 to 500 photons 57 to 81%
# (`astigmatism`, asked for 400 or 150 photons in a frame, on-times of 5 to 0.7 frames).
MOST_DIM, MOST_BRIGHT = 0.5, 0.1
MOST_FOREIGN_BG = 0.2
MOST_CROWDED = 0.35  # by chance a quarter where all is as dense as trained at most
MOST_AT_END_OF_Z = 0.05
MOST_UNSURE = 0.5

UNSURE_LATERAL_PX = 0.5
UNSURE_AXIAL = 0.08  # of the range of z; knowing nothing but the range is 0.29


class RunCheck:
    """Counts the localizations of a run that the weights were not trained for.

    Parameters
    ----------
    info : ModelInfo
        What the model was trained for.
    region : tuple of int
        Part of the frame that is localized (y0, x0, y1, x1), px, as `checks.check_run` gives it.
    """

    def __init__(self, info: ModelInfo, region: tuple[int, int, int, int]) -> None:
        self._info = info
        self._region = region
        self._frames = 0
        self._found = 0
        self._counts: dict[str, int] = {}

    def add(self, start: int, stop: int, found: Localizations) -> None:
        """Take what was found in frames start to stop, half-open."""
        self._frames += stop - start
        self._found += len(found)
        outside = {**_odd(found, self._info), "crowded": self._crowded(found)}
        for name, mask in outside.items():
            self._counts[name] = self._counts.get(name, 0) + int(np.count_nonzero(mask))

    def share(self, name: str) -> float:
        """Share of the localizations so far, 0-1, to which `name` applies.

        Names are dim, bright, bg_low, bg_high, crowded, z_low, z_high, unsure.
        """
        return self._counts.get(name, 0) / max(self._found, 1)

    @property
    def doubts(self) -> list[str]:
        """Reasons to doubt the result, and what to do, one sentence each."""
        if self._frames >= 10 and self._found < FEW_A_FRAME * self._frames:
            return [
                f"Only {self._found:,} molecules were found in {self._frames:,} frames: if you "
                "see more in the movie, check camera and pixel size, lower the threshold, or "
                f"{RETRAIN}."
            ]
        if self._found < ENOUGH:
            return []
        return [
            *self._photon_doubts(),
            *self._background_doubts(),
            *self._density_doubts(),
            *self._z_doubts(),
            *self._sigma_doubts(),
        ]

    def _crowded(self, found: Localizations) -> NDArray[Any]:
        """Mask of localizations in cells of their frame that hold more than was trained."""
        y0, x0, y1, x1 = self._region
        down, across = max(1, (y1 - y0) // CELL_PX), max(1, (x1 - x0) // CELL_PX)
        row = np.clip((found.y - y0 + 0.5) * down / (y1 - y0), 0, down - 1).astype(np.int64)
        column = np.clip((found.x - x0 + 0.5) * across / (x1 - x0), 0, across - 1).astype(np.int64)
        cells = (found.frame.astype(np.int64) * down + row) * across + column
        _, cell, counts = np.unique(cells, return_inverse=True, return_counts=True)
        pixel_um = self._info.pixel_size_nm / 1000
        expected = _densest(self._info) * (y1 - y0) * (x1 - x0) / (down * across) * pixel_um**2
        crowded: NDArray[Any] = counts[cell] > expected + np.sqrt(expected)
        return crowded

    def _photon_doubts(self) -> list[str]:
        low, high = self._info.simulation.photons
        trained = f"the weights were trained for molecules of {low:,.0f} to {high:,.0f}"
        doubts = []
        if self.share("dim") > MOST_DIM:
            doubts.append(
                f"{self.share('dim'):.0%} of the localizations have fewer than "
                f"{_dimmest(self._info):,.0f} photons, but {trained}: check the gain of the "
                f"camera, or {RETRAIN}."
            )
        if self.share("bright") > MOST_BRIGHT:
            doubts.append(
                f"{self.share('bright'):.0%} of the localizations have more than "
                f"{_brightest(self._info):,.0f} photons, but {trained}: check the gain of the "
                f"camera, or {RETRAIN}."
            )
        return doubts

    def _background_doubts(self) -> list[str]:
        low, high = self._info.simulation.bg
        trained = f"the weights were trained for {low:.3g} to {high:.3g} photons a pixel"
        ends = {"bg_low": ("less", _bg_limits(self._info)[0])}
        ends["bg_high"] = ("more", _bg_limits(self._info)[1])
        return [
            f"{self.share(name):.0%} of the localizations lie on a background of {than} than "
            f"{limit:.3g}, but {trained}: check baseline and gain of the camera, or {RETRAIN}."
            for name, (than, limit) in ends.items()
            if self.share(name) > MOST_FOREIGN_BG
        ]

    def _density_doubts(self) -> list[str]:
        if self.share("crowded") <= MOST_CROWDED:
            return []
        return [
            f"{self.share('crowded'):.0%} of the localizations lie where more than "
            f"{_densest(self._info):.3g} molecules per um2 are on, the most the weights were "
            "trained for, and many are missed or merged there: record with fewer molecules on, "
            f"leave out the first frames, or {RETRAIN}."
        ]

    def _z_doubts(self) -> list[str]:
        low, high = self._info.z_range_nm
        ends = {
            "z_low": f"the lower end ({low:,.0f} nm)",
            "z_high": f"the upper end ({high:,.0f} nm)",
        }
        return [
            f"{self.share(name):.0%} of the localizations pile up at the {end} of the range of z "
            "that the weights were trained for, where deeper molecules end up too: leave "
            "those out, move the focus, or train with a larger range of z."
            for name, end in ends.items()
            if self.share(name) > MOST_AT_END_OF_Z
        ]

    def _sigma_doubts(self) -> list[str]:
        if self.share("unsure") <= MOST_UNSURE:
            return []
        lateral_nm, axial_nm = _unsure_from(self._info)
        return [
            f"For {self.share('unsure'):.0%} of the localizations the network expects errors above "
            f"{lateral_nm:.0f} nm laterally or {axial_nm:.0f} nm in z: check that PSF and camera "
            f"are those of the model, raise the signal, or {RETRAIN}."
        ]


class TableSample:
    """Keeps the localizations of some frames of a run, for a look at them afterwards.

    Parameters
    ----------
    start, stop : int
        Frames of the run, half-open.
    frames : int
        How many of them are kept, spread evenly.
    """

    def __init__(self, start: int, stop: int, frames: int = 400) -> None:
        count = min(frames, stop - start)
        self._kept = np.linspace(start, stop - 1, count).round().astype(np.int64)
        self._parts: list[Localizations] = []

    def add(self, localizations: Localizations) -> None:
        """Take the next block of the table."""
        part = localizations[np.isin(localizations.frame, self._kept)]
        if len(part):
            self._parts.append(part)

    @property
    def table(self) -> Localizations:
        """All localizations of the frames kept, in order."""
        return Localizations.concatenate(self._parts)


def _odd(found: Localizations, info: ModelInfo) -> dict[str, NDArray[Any]]:
    """Masks of the rows that are not as trained; a missing value (NaN) is never odd."""
    z_low, z_high = info.z_range_nm
    end = END_OF_Z * (z_high - z_low)
    bg_low, bg_high = _bg_limits(info)
    lateral_nm, axial_nm = _unsure_from(info)
    lateral_px = lateral_nm / info.pixel_size_nm
    return {
        "dim": found.photons < _dimmest(info),
        "bright": found.photons > _brightest(info),
        "bg_low": found.bg < bg_low,
        "bg_high": found.bg > bg_high,
        "z_low": found.z_nm < z_low + end,
        "z_high": found.z_nm > z_high - end,
        "unsure": (np.maximum(found.sigma_x, found.sigma_y) > lateral_px)
        | (found.sigma_z_nm > axial_nm),
    }


def _dimmest(info: ModelInfo) -> float:
    return max(info.simulation.photons[0], info.simulation.min_photons)


def _brightest(info: ModelInfo) -> float:
    return 1.05 * info.simulation.photons[1]


def _bg_limits(info: ModelInfo) -> tuple[float, float]:
    """Background photons a pixel beyond which a localization counts as outside.

    Structure varies the background around the level drawn; a fifth more is the network's error.
    """
    config = info.simulation
    low = 0.8 * config.bg[0] * (1 - config.bg_structure)
    return low, 1.2 * config.bg[1] * (1 + config.bg_structure)


def _densest(info: ModelInfo) -> float:
    return info.simulation.density_per_um2[1] * (1 + info.simulation.density_contrast)


def _unsure_from(info: ModelInfo) -> tuple[float, float]:
    """Predicted errors, lateral and axial in nm, from which on a localization is a poor one.

    Half a pixel and a twelfth of the range, or, where the model's own test is known, five times
    the errors there if that is less. The test has bright molecules; dim ones may be as much worse.
    """
    low, high = info.z_range_nm
    limits = UNSURE_LATERAL_PX * info.pixel_size_nm, UNSURE_AXIAL * (high - low)
    names = ("rmse_lateral_nm", "rmse_axial_nm")
    tested = (5 * info.metrics.get(name, np.inf) for name in names)
    lateral, axial = (float(min(pair)) for pair in zip(limits, tested, strict=True))
    return lateral, axial
