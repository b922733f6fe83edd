"""Localizations against a truth, as in the 2016 SMLM Challenge (Sage et al., Nat. Methods 2019).

In each frame localizations and emitters are paired one to one, never further apart than 250 nm
laterally and 500 nm axially; as many pairs as possible, and among those the least sum of lateral
distances. Paired ones are true positives, the rest are false positives and false negatives.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from napari_dilatedloc.table import Emitters, Localizations

LATERAL_WEIGHT, AXIAL_WEIGHT = 1.0, 0.5  # percent per nm of RMSE, Sage et al. 2019

Indices = NDArray[np.intp]
Floats64 = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """How well localizations agree with the truth; what has no value (0 / 0) is NaN.

    Attributes
    ----------
    true_positives, false_positives, false_negatives : int
        Pairs, localizations without emitter, emitters without localization.
    jaccard, precision, recall : float
        TP / (TP + FP + FN), TP / (TP + FP), TP / (TP + FN); 0-1.
    rmse_lateral_nm : float
        2-D: sqrt(sum(dx^2 + dy^2) / TP), nm; the Challenge's convention.
    rmse_lateral_axis_nm : float
        The same per axis: / sqrt(2).
    rmse_axial_nm : float
        sqrt(sum(dz^2) / TP), nm; NaN for 2-D tables.
    efficiency_lateral, efficiency_axial, efficiency_3d : float
        100 - sqrt((100 - 100 Jaccard)^2 + (a RMSE)^2), a = 1 / nm laterally and 0.5 / nm axially,
        and their mean; 100 is perfect.
    shift_nm : tuple of float
        Median (z, y, x) difference that was taken off the localizations, nm; 0 if not asked for.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    jaccard: float
    precision: float
    recall: float
    rmse_lateral_nm: float
    rmse_lateral_axis_nm: float
    rmse_axial_nm: float
    efficiency_lateral: float
    efficiency_axial: float
    efficiency_3d: float
    shift_nm: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN, which JSON lacks, becomes None."""
        values = dataclasses.asdict(self)
        values["shift_nm"] = list(self.shift_nm)
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in values.items()
        }


def evaluate(
    localizations: Localizations,
    truth: Emitters,
    pixel_size_nm: float,
    *,
    lateral_nm: float = 250.0,
    axial_nm: float = 500.0,
    min_photons: float = 0.0,
    field_px: tuple[int, int] | None = None,
    border_nm: float = 0.0,
    remove_shift: bool = False,
) -> Evaluation:
    """Compare localizations with the truth.

    Parameters
    ----------
    localizations, truth : Localizations, Emitters
        In pixels of one and the same movie; rows in any order.
    pixel_size_nm : float
        Camera pixel, nm.
    lateral_nm, axial_nm : float
        Largest distance of a pair, nm. Where a z is NaN the axial one is not asked for.
    min_photons : float
        Dimmer emitters, and localizations paired with them, count neither for nor against.
    field_px : (int, int), optional
        Height and width of the frames; needed for a border.
    border_nm : float
        Emitters this near to the border of the frames, localizations paired with them and unpaired
        ones as near count neither for nor against. The Challenge left out 450 nm.
    remove_shift : bool
        Take the median difference off the localizations, then pair once more. For truths whose
        z-dependent wobble or origin differs from the calibration's.

    Raises
    ------
    ValueError
        If there is a border but no size of the frames, or nothing lies within the border.

    Examples
    --------
    >>> from napari_dilatedloc.table import Emitters, Localizations
    >>> at = {"frame": [0, 0, 1], "x": [5.0, 20.0, 9.0], "y": [5.0, 5.0, 8.0]}
    >>> truth = Emitters(**at, z_nm=[0, 100, 200], photons=[1000, 1000, 1000], id=[0, 1, 2])
    >>> found = Localizations.from_columns(
    ...     frame=[0, 0, 1], x=[5.3, 20.3, 30.0], y=[5.0, 5.0, 8.0], z_nm=[0, 100, 200]
    ... )
    >>> result = evaluate(found, truth, pixel_size_nm=100.0)
    >>> result.jaccard, round(result.rmse_lateral_nm, 1)  # TP 2, FP 1, FN 1; 0.3 px off
    (0.5, 30.0)
    """
    found_zyx, truth_zyx = _zyx_nm(localizations, pixel_size_nm), _zyx_nm(truth, pixel_size_nm)
    frames = (localizations.frame, truth.frame)
    gates = (lateral_nm, axial_nm)
    inner_found, inner_truth = (
        _inside(table, pixel_size_nm, field_px, border_nm) for table in (localizations, truth)
    )
    counting = ~(truth.photons < min_photons) & inner_truth  # unknown photons (NaN) are bright
    shift = np.zeros(3)
    i, j = _pair(found_zyx, truth_zyx, frames, gates)
    if remove_shift and counting[j].any():
        kept = counting[j]
        shift = _median_difference(found_zyx[i[kept]] - truth_zyx[j[kept]])
        found_zyx = found_zyx - shift
        i, j = _pair(found_zyx, truth_zyx, frames, gates)
    kept = counting[j]
    unpaired = inner_found.copy()
    unpaired[i] = False
    error = found_zyx[i[kept]] - truth_zyx[j[kept]]
    return _score(
        error,
        false_positives=int(unpaired.sum()),
        false_negatives=int(counting.sum()) - len(error),
        shift=shift,
    )


def match(
    localizations: Localizations,
    truth: Emitters,
    pixel_size_nm: float,
    *,
    lateral_nm: float = 250.0,
    axial_nm: float = 500.0,
) -> tuple[Indices, Indices]:
    """Pair localizations with emitters.

    Returns
    -------
    localization_rows, emitter_rows : int arrays
        Row numbers of each pair.
    """
    return _pair(
        _zyx_nm(localizations, pixel_size_nm),
        _zyx_nm(truth, pixel_size_nm),
        (localizations.frame, truth.frame),
        (lateral_nm, axial_nm),
    )


def _zyx_nm(table: Localizations | Emitters, pixel_size_nm: float) -> Floats64:
    """Positions in nm, (N, 3), z, y, x."""
    columns = (table.z_nm, table.y * np.float64(pixel_size_nm), table.x * np.float64(pixel_size_nm))
    return np.stack([column.astype(np.float64) for column in columns], axis=1)


def _inside(
    table: Localizations | Emitters,
    pixel_size_nm: float,
    field_px: tuple[int, int] | None,
    border_nm: float,
) -> NDArray[np.bool_]:
    """Which rows lie further than that from the border of the frames, (N,)."""
    if border_nm <= 0:
        return np.ones(len(table), dtype=bool)
    if field_px is None:
        raise ValueError("a border to leave out needs the frames' size; give height and width, px")
    border = border_nm / pixel_size_nm
    if min(field_px) <= 2 * border:
        height, width = field_px
        raise ValueError(
            f"a border of {border_nm:g} nm leaves nothing of frames of {height} x {width} px of "
            f"{pixel_size_nm:g} nm; give a narrower border, or the frames' true size"
        )
    inside = np.ones(len(table), dtype=bool)
    for at, length in zip((table.y, table.x), field_px, strict=True):
        # whole numbers are centres of pixels
        inside &= (at + 0.5 >= border) & (length - 0.5 - at >= border)
    return inside


def _pair(
    found: Floats64,
    truth: Floats64,
    frames: tuple[NDArray[np.int32], NDArray[np.int32]],
    gates: tuple[float, float],
) -> tuple[Indices, Indices]:
    """Rows of `found` and `truth` (each (N, 3), nm) that belong together."""
    i, j, distance = _candidates(found, truth, frames, gates)
    alone = (np.bincount(i, minlength=len(found))[i] == 1) & (
        np.bincount(j, minlength=len(truth))[j] == 1
    )
    crowd = ~alone
    chosen = _assign(i[crowd], j[crowd], distance[crowd], gates[0])
    return np.r_[i[alone], i[crowd][chosen]], np.r_[j[alone], j[crowd][chosen]]


def _candidates(
    found: Floats64,
    truth: Floats64,
    frames: tuple[NDArray[np.int32], NDArray[np.int32]],
    gates: tuple[float, float],
) -> tuple[Indices, Indices, Floats64]:
    """All pairs of one frame inside both gates, with their lateral distance in nm."""
    rows, trees = [], []
    for table, frame in zip((found, truth), frames, strict=True):
        usable = np.flatnonzero(np.isfinite(table[:, 1:]).all(axis=1))
        # frames lie so far apart on a third axis that one search serves all of them
        # (from 1: with denormal numbers flushed, as in training, the tree hangs on equal zeros)
        far = 4.0 * gates[0] * (frame[usable].astype(np.float64) + 1.0)
        rows.append(usable)
        trees.append(KDTree(np.c_[far, table[usable, 1:]]))
    if not len(rows[0]) or not len(rows[1]):
        none = np.zeros(0, dtype=np.intp)
        return none, none, np.zeros(0)
    pairs: Any = trees[0].sparse_distance_matrix(trees[1], gates[0], output_type="ndarray")
    i, j = rows[0][pairs["i"]], rows[1][pairs["j"]]
    beyond = np.abs(found[i, 0] - truth[j, 0]) > gates[1]  # False where z is NaN
    return i[~beyond], j[~beyond], pairs["v"][~beyond]


def _assign(i: Indices, j: Indices, distance: Floats64, gate: float) -> Indices:
    """Choose among candidate pairs: most pairs first, then the least sum of distances."""
    if not len(i):
        return np.zeros(0, dtype=np.intp)
    found, i = np.unique(i, return_inverse=True)
    truth, j = np.unique(j, return_inverse=True)
    size = len(found) + len(truth)
    graph = coo_array((np.ones(len(i)), (i, j + len(found))), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label[i], kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[i][order])) + 1)
    chosen = []
    for group in groups:
        rows, row = np.unique(i[group], return_inverse=True)
        columns, column = np.unique(j[group], return_inverse=True)
        # one forbidden pair costs more than all allowed ones together
        forbidden = (gate + 1.0) * (min(len(rows), len(columns)) + 1)
        cost = np.full((len(rows), len(columns)), forbidden)
        edge = np.full(cost.shape, -1, dtype=np.intp)
        cost[row, column] = distance[group]
        edge[row, column] = group
        picked = edge[linear_sum_assignment(cost)]
        chosen.append(picked[picked >= 0])
    return np.concatenate(chosen)


def _median_difference(error: Floats64) -> Floats64:
    """Median of each column over its finite values; 0 where there is none."""
    known = (column[np.isfinite(column)] for column in error.T)
    return np.array([np.median(column) if len(column) else 0.0 for column in known])


def _score(
    error: Floats64, *, false_positives: int, false_negatives: int, shift: Floats64
) -> Evaluation:
    """Metrics from the (z, y, x) errors of the pairs, nm."""
    n = len(error)
    jaccard = _ratio(n, n + false_positives + false_negatives)
    dz = error[:, 0][np.isfinite(error[:, 0])]
    lateral = float(np.sqrt(_ratio(float((error[:, 1:] ** 2).sum()), n)))
    axial = float(np.sqrt(_ratio(float((dz**2).sum()), len(dz))))
    efficiencies = [
        float(100 - np.hypot(100 - 100 * jaccard, weight * rmse))
        for weight, rmse in ((LATERAL_WEIGHT, lateral), (AXIAL_WEIGHT, axial))
    ]
    z, y, x = (float(value) for value in shift)
    return Evaluation(
        true_positives=n,
        false_positives=false_positives,
        false_negatives=false_negatives,
        jaccard=jaccard,
        precision=_ratio(n, n + false_positives),
        recall=_ratio(n, n + false_negatives),
        rmse_lateral_nm=lateral,
        rmse_lateral_axis_nm=lateral / float(np.sqrt(2)),
        rmse_axial_nm=axial,
        efficiency_lateral=efficiencies[0],
        efficiency_axial=efficiencies[1],
        efficiency_3d=sum(efficiencies) / 2,
        shift_nm=(z, y, x),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
