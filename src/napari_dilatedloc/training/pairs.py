"""Localizations of simulated movies beside their truth, some movies at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.config import CalibrationConfig
from napari_dilatedloc.evaluation import match
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.network.registry import as_network
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.table import Emitters, Localizations
from napari_dilatedloc.training.validation import evaluating, make_validation_set, predict

Floats64 = NDArray[np.float64]

FIELD_PX = 128
CHUNK_FRAMES = 100  # simulated at a time: bounds the memory


@dataclass(frozen=True)
class Localized:
    """Tables of `frames` simulated frames, numbered alike in both."""

    found: Localizations
    truth: Emitters
    frames: int


@dataclass(frozen=True)
class Pairs:
    """Bright emitters of a truth and what was found of each, one entry per emitter (N,).

    Everything that was found is NaN where nothing was.

    Attributes
    ----------
    id : ndarray of int
        The molecule; its entries in several frames have one number.
    x, y : ndarray
        True position, px.
    photons : ndarray
        True photons in the frame.
    error_x, error_y, error_z_nm, error_photons : ndarray
        Found minus true: px, px, nm, photons.
    sigma_x, sigma_y, sigma_z_nm, sigma_photons : ndarray
        Predicted standard deviations in the same units.
    """

    id: NDArray[np.int64]
    x: Floats64
    y: Floats64
    photons: Floats64
    error_x: Floats64
    error_y: Floats64
    error_z_nm: Floats64
    error_photons: Floats64
    sigma_x: Floats64
    sigma_y: Floats64
    sigma_z_nm: Floats64
    sigma_photons: Floats64

    def __len__(self) -> int:
        return len(self.x)

    @property
    def paired(self) -> NDArray[np.bool_]:
        """Which emitters were found, (N,)."""
        mask: NDArray[np.bool_] = np.isfinite(self.error_x)
        return mask

    def only_found(self) -> Pairs:
        """Entries of the emitters that were found."""
        return Pairs(**{f.name: getattr(self, f.name)[self.paired] for f in fields(self)})

    def z_scores(self, name: str) -> Floats64:
        """Errors of ``x``, ``y``, ``z_nm`` or ``photons`` in units of the predicted sigma."""
        scores: Floats64 = getattr(self, f"error_{name}") / getattr(self, f"sigma_{name}")
        return scores


def localize_simulated(
    model: Model,
    simulator: Simulator,
    *,
    frames: int,
    seed: int,
    calibration: CalibrationConfig | None = None,
    size: int = FIELD_PX,
) -> Iterator[Localized]:
    """Simulate about `frames` frames of size x size px and localize them, part by part.

    Parameters
    ----------
    model : Model
        Its scaling and threshold are used, its calibration only if it is given.
    simulator : Simulator
        Source of movies, with the camera that turns them back into photons.
    frames : int
        At least; a part has up to `CHUNK_FRAMES`.
    seed : int
        Same seed, same movies.
    calibration : CalibrationConfig, optional
        Factors on photons and error bars; none by default.

    Yields
    ------
    Localized
        Frames count on from part to part.
    """
    window = as_network(model.network).window
    done = part = 0
    while done < frames:
        length = min(CHUNK_FRAMES, max(10, frames - done))
        # a second number keeps the parts of one seed apart from those of the next
        part_seed = int(np.random.SeedSequence((seed, part)).generate_state(1)[0])
        data = make_validation_set(
            simulator, frames=length, size=size, window=window, seed=part_seed
        )
        with evaluating(model.network):
            found = predict(
                model.network,
                data.adu,
                simulator.camera,
                model.info.scaling,
                model.info.threshold,
                calibration,
                data.origin,
            )
        length = len(data.adu) * (data.adu.shape[1] - window + 1)
        yield Localized(
            found.replace(frame=found.frame + done),
            data.truth.replace(frame=data.truth.frame + done),
            length,
        )
        done, part = done + length, part + 1


def joined(parts: list[Localized]) -> Localized:
    """All parts as one; molecules of different parts get different ids."""
    truths, first = [], 0
    for part in parts:
        truths.append(part.truth.replace(id=part.truth.id + first))
        first += int(part.truth.id.max(initial=-1)) + 1
    return Localized(
        Localizations.concatenate([part.found for part in parts]),
        Emitters.concatenate(truths),
        sum(part.frames for part in parts),
    )


def pair_up(data: Localized, pixel_size_nm: float, min_photons: float) -> Pairs:
    """Emitters of at least `min_photons`, each with its localization (250 nm, 500 nm) if any."""
    i, j = match(data.found, data.truth, pixel_size_nm)
    found, truth = data.found, data.truth
    n = len(truth)
    columns: dict[str, Floats64] = {
        name: getattr(truth, name).astype(float) for name in ("x", "y", "photons")
    }
    for name in ("x", "y", "z_nm", "photons"):
        error, sigma = np.full(n, np.nan), np.full(n, np.nan)
        error[j] = getattr(found, name)[i].astype(float) - getattr(truth, name)[j]
        sigma[j] = getattr(found, f"sigma_{name}")[i]
        columns[f"error_{name}"], columns[f"sigma_{name}"] = error, sigma
    bright = columns["photons"] >= min_photons
    ids = truth.id[bright].astype(np.int64)
    return Pairs(id=ids, **{name: values[bright] for name, values in columns.items()})
