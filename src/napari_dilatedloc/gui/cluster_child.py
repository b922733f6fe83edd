"""What the process of a clustering runs; no Qt and no napari in here.

HDBSCAN of scikit-learn keeps Python's lock from its first row to its last, minutes at 1e5 rows, and
DBSCAN for half a second at 3e5; neither can be told to stop, and both may need more memory than
there is. In a thread of napari all of that would be napari's.
"""

from __future__ import annotations

import pickle
import sys
import traceback
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.analysis.clusters import Cluster, cluster
from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.table import Localizations, TableInfo

COMMAND = "from napari_dilatedloc.gui.cluster_child import main; main()"
"""What the process runs; not ``-m``, whose classes would be those of `__main__`."""


@dataclass(frozen=True, eq=False)
class ClusterOrder:
    """What to look at: (N,) float32 in px and nm, with the camera pixel in nm."""

    y: NDArray[np.float32]
    x: NDArray[np.float32]
    z_nm: NDArray[np.float32]
    pixel_size_nm: float
    config: ClusterConfig


@dataclass(frozen=True, eq=False)
class ClusterAnswer:
    """What came out.

    Attributes
    ----------
    labels : ndarray of int32 (N,)
        Cluster of each row, -1 for none.
    clusters : list of Cluster
        By number.
    trouble : str
        Why there is nothing, one sentence; empty if there is.
    trace : str
        Where that was raised, unless the sentence says all.
    """

    labels: NDArray[np.int32]
    clusters: list[Cluster]
    trouble: str = ""
    trace: str = ""


def answer(order: ClusterOrder) -> ClusterAnswer:
    """Cluster, or say why not."""
    nothing = np.zeros(0, np.int32)
    table = Localizations.from_columns(
        frame=np.zeros(len(order.x), np.int32), x=order.x, y=order.y, z_nm=order.z_nm
    )
    try:
        found, _, clusters = cluster(table, TableInfo(order.pixel_size_nm), order.config)
    except ValueError as error:
        return ClusterAnswer(nothing, [], str(error))
    except MemoryError:
        return ClusterAnswer(nothing, [], out_of_memory())
    except Exception as error:  # the process has nobody else to tell
        said = f"{type(error).__name__}: {error}"
        return ClusterAnswer(nothing, [], said, traceback.format_exc())
    return ClusterAnswer(np.asarray(found.extra["cluster"], np.int32), clusters)


def out_of_memory() -> str:
    """What to do about it."""
    return (
        "the neighbours of all localizations need more memory than there is; choose a smaller "
        "radius, or filter first"
    )


def main() -> None:
    """Read an order, write an answer; a pickle, but only between two of our own processes."""
    order: ClusterOrder = pickle.load(sys.stdin.buffer)
    out = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints is no answer
    pickle.dump(answer(order), out, protocol=pickle.HIGHEST_PROTOCOL)
    out.flush()
