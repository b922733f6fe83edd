"""Clusters of localizations, by DBSCAN or HDBSCAN of scikit-learn, and a table of them.

The package is an extra: it is loaded when clusters are asked for, not before.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from napari_dilatedloc.analysis.parts import Placed
from napari_dilatedloc.analysis.quantities import positions_nm
from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.files import replacing
from napari_dilatedloc.table import Localizations, TableInfo

NOISE = -1
"""Number of rows in no cluster."""


@dataclass(frozen=True)
class Cluster:
    """One cluster.

    Attributes
    ----------
    cluster : int
        Its number, from 0.
    count : int
        Localizations.
    x_nm, y_nm, z_nm : float
        Centre (mean), nm; 0 at the centre of the first pixel. z is NaN for 2-D tables.
    radius_of_gyration_nm : float
        Root mean square distance from the centre, nm, in the dimensions that were clustered.
    area_um2 : float
        Area of the convex hull of y and x, um2; 0 for fewer than three places or all on a line.
    density_per_um2 : float
        Localizations per area, 1 / um2; NaN where that is 0.
    volume_um3 : float
        Volume of the convex hull, um3; NaN where z did not count.
    """

    cluster: int
    count: int
    x_nm: float
    y_nm: float
    z_nm: float
    radius_of_gyration_nm: float
    area_um2: float
    density_per_um2: float
    volume_um3: float


def cluster(
    table: Localizations, info: TableInfo, config: ClusterConfig
) -> tuple[Localizations, TableInfo, list[Cluster]]:
    """Number the clusters of a table.

    Returns
    -------
    table : Localizations
        The same rows with an extra int32 column `cluster`, -1 for noise.
    info : TableInfo
        The recipe has one more step, ``"cluster"``.
    clusters : list of Cluster
        By number.

    Raises
    ------
    ValueError
        If scikit-learn is not installed, or z is to count and the table has none.
    """
    labels, found = find_clusters(table, info.pixel_size_nm, config)
    (table,) = labelled([table], labels)
    return table, info.after("cluster", config.settings(), len(table)), found


def find_clusters(
    table: Placed, pixel_size_nm: float, config: ClusterConfig
) -> tuple[NDArray[np.int32], list[Cluster]]:
    """Number of the cluster of each row, (N,), and the clusters, as `cluster` does."""
    labels = cluster_labels(table, pixel_size_nm, config)
    return labels, measure_clusters(table, labels, pixel_size_nm, with_z=config.z_weight > 0)


def labelled(parts: Iterable[Localizations], labels: NDArray[np.int32]) -> Iterator[Localizations]:
    """The parts of a table with the numbers of all its rows (N,) as an extra column `cluster`."""
    start = 0
    for part in parts:
        own = labels[start : start + len(part)]
        yield part.replace(extra={**part.extra, "cluster": own})
        start += len(part)


def cluster_labels(table: Placed, pixel_size_nm: float, config: ClusterConfig) -> NDArray[np.int32]:
    """Number of the cluster of each row, (N,), -1 for noise and for rows without a place."""
    methods = _scikit_learn()
    places = positions_nm(table, pixel_size_nm, config.z_weight)
    labels = np.full(len(places), NOISE, dtype=np.int32)
    known = np.isfinite(places).all(axis=1)
    if known.sum() < config.min_points:
        return labels
    if config.method == "dbscan":
        method = methods.DBSCAN(eps=config.radius_nm, min_samples=config.min_points)
    else:
        # no cluster_selection_epsilon: with it scikit-learn 1.9.1 fails on NumPy 2.4
        method = methods.HDBSCAN(min_cluster_size=config.min_points, copy=True)
    labels[known] = method.fit(places[known]).labels_
    return labels


def _scikit_learn() -> Any:
    try:
        return importlib.import_module("sklearn.cluster")
    except ImportError as error:
        raise ValueError(
            "clustering needs scikit-learn, which is not installed; run "
            "pip install 'napari-dilatedloc[sklearn]'"
        ) from error


def measure_clusters(
    table: Placed, labels: NDArray[np.int32], pixel_size_nm: float, *, with_z: bool
) -> list[Cluster]:
    """Size, place and density of each cluster.

    Parameters
    ----------
    table, pixel_size_nm
        Rows; camera pixel, nm.
    labels : ndarray of int (N,)
        Number of the cluster of each row; negative ones are noise.
    with_z : bool
        Whether z belongs to the radius of gyration, and a volume is asked for.
    """
    rows = np.flatnonzero(labels >= 0)
    rows = rows[np.argsort(labels[rows], kind="stable")]
    inside = table[rows]
    z = inside.z_nm.astype(np.float64)
    places = np.concatenate([z[:, None], positions_nm(inside, pixel_size_nm)], axis=1)  # z, y, x
    numbers, starts = np.unique(labels[rows], return_index=True)
    groups = np.split(places, starts[1:]) if len(numbers) else []
    return [_measure(int(number), zyx, with_z) for number, zyx in zip(numbers, groups, strict=True)]


def _measure(number: int, zyx: NDArray[np.float64], with_z: bool) -> Cluster:
    """Figures of one cluster; `zyx` (n, 3) in nm."""
    centre = zyx.mean(axis=0)
    counted = slice(0 if with_z else 1, 3)
    squares = ((zyx - centre)[:, counted] ** 2).sum(axis=1)
    area = _hull(zyx[:, 1:]) / 1e6
    z, y, x = (float(value) for value in centre)
    return Cluster(
        cluster=number,
        count=len(zyx),
        x_nm=x,
        y_nm=y,
        z_nm=z,
        radius_of_gyration_nm=float(np.sqrt(squares.mean())),
        area_um2=area,
        density_per_um2=len(zyx) / area if area else float("nan"),
        volume_um3=_hull(zyx) / 1e9 if with_z else float("nan"),
    )


def _hull(places: NDArray[np.float64]) -> float:
    """Area or volume of the convex hull; 0 where the places span none."""
    if len(places) <= places.shape[1]:
        return 0.0
    try:
        return float(ConvexHull(places).volume)
    except QhullError:  # all on one line, or in one plane
        return 0.0


def write_clusters(path: str | Path, clusters: Sequence[Cluster]) -> None:
    """Write clusters as CSV, one a line; NaN is left empty."""
    names = [field.name for field in fields(Cluster)]
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([_text(value) for value in asdict(row).values()] for row in clusters)


def _text(value: float) -> str:
    return "" if value != value else f"{value:.7g}" if isinstance(value, float) else str(value)
