"""The job behind "Find clusters": a process of its own, followed from a thread."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui.hue_layer import pixels_of
from napari_dilatedloc.gui.live import Kept
from napari_dilatedloc.gui.open_job import parts_of
from napari_dilatedloc.gui.store import LocalizationStore
from napari_dilatedloc.table import Localizations

if TYPE_CHECKING:
    from napari_dilatedloc.analysis.clusters import Cluster
    from napari_dilatedloc.gui.cluster_child import ClusterAnswer

TAIL = 2000
"""Characters kept of what a process that died had written."""

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, eq=False)
class Clustered:
    """Clusters of what a result kept.

    Attributes
    ----------
    clusters : list of Cluster
        By number, from 0.
    kept : Kept
        The rows with their column ``cluster``, as they are written.
    picture : ndarray of int32 (H m, W m)
        In each pixel of the image that holds one: number + 1 of the cluster that most of its
        localizations are in; 0 for none.
    filter : FilterConfig
        What the result was filtered by.
    config : ClusterConfig
        How they were found.
    """

    clusters: list[Cluster]
    kept: Kept
    picture: NDArray[np.int32]
    filter: FilterConfig
    config: ClusterConfig

    @property
    def said(self) -> str:
        """One line: how many, and how much lies in none."""
        total = len(self.kept.store)
        inside = sum(found.count for found in self.clusters)
        outside = 100 * (total - inside) / max(total, 1)
        if not self.clusters:
            return f"No clusters in {total:,} localizations."
        number = f"{len(self.clusters):,} cluster{'s' if len(self.clusters) > 1 else ''}"
        return f"{number}, {outside:.0f} % of {total:,} localizations in none"


def cluster_job(
    kept: Kept,
    wanted: FilterConfig,
    config: ClusterConfig,
    shape: tuple[int, int],
    magnification: int,
    stop: Event,
) -> Iterator[Clustered]:
    """Find the clusters of what was kept of a result; meant for a worker thread.

    Parameters
    ----------
    kept : Kept
        What is looked at.
    wanted : FilterConfig
        What it was kept by.
    config : ClusterConfig
        How.
    shape, magnification
        (rows, columns) of the super-resolution image, and its pixels along a camera pixel.
    stop : threading.Event
        Ends the process at once.

    Raises
    ------
    ValueError
        If it cannot be done, in one sentence.
    ChildProcessError
        If the process died.
    """
    table, info = kept.store.table(), kept.info
    found = _asked(table, info.pixel_size_nm, config, stop)
    if found is None or stop.is_set():
        return
    labelled = table.replace(extra={**table.extra, "cluster": found.labels})
    store = LocalizationStore()
    for part in parts_of(labelled, stop):
        store.append(int(part.frame[0]), part)
    picture = cluster_picture(table, found.labels, shape, magnification)
    if not stop.is_set():
        done = Kept(store, info.after("cluster", config.settings(), len(table)))
        yield Clustered(found.clusters, done, picture, wanted, config)


def cluster_picture(
    table: Localizations, labels: NDArray[np.int32], shape: tuple[int, int], magnification: int
) -> NDArray[np.int32]:
    """For each pixel: 1 + the cluster that most of its localizations are in; 0 for none."""
    picture = np.zeros(shape, np.int32)
    rows = np.flatnonzero(labels >= 0)
    places = pixels_of(table[rows], shape, magnification)
    rows, places = rows[places >= 0], places[places >= 0]
    many = np.int64(labels.max(initial=0)) + 1
    pairs, count = np.unique(places * many + labels[rows], return_counts=True)
    order = np.argsort(count, kind="stable")  # of several values for a pixel the last one stays
    picture.reshape(-1)[pairs[order] // many] = (pairs[order] % many + 1).astype(np.int32)
    return picture


def save_job(clusters: list[Cluster], path: Path, _stop: Event) -> Iterator[str]:
    """Write the table of clusters; yields one sentence."""
    from napari_dilatedloc.analysis.clusters import write_clusters

    write_clusters(path, clusters)
    yield f"Wrote {len(clusters):,} clusters to {path}."


def _asked(
    table: Localizations, pixel_size_nm: float, config: ClusterConfig, stop: Event
) -> ClusterAnswer | None:
    """Ask a process of its own; None if it was stopped."""
    from napari_dilatedloc.gui.cluster_child import COMMAND, ClusterOrder

    order = ClusterOrder(table.y, table.x, table.z_nm, pixel_size_nm, config)
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", COMMAND],  # -P: not what lies in the current folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        with process, _killed_when(stop, process):
            found = _answer_of(process, order)
        if stop.is_set():
            return None
        if found is None:
            raise _death(process.returncode, complaints)
    if found.trouble:
        raise _error_of(found)
    return found


def _answer_of(process: Process, order: object) -> ClusterAnswer | None:
    """Answer of a process; None if it died."""
    if process.stdin is None or process.stdout is None:
        return None
    with suppress(BrokenPipeError):  # it died; what is told below says more
        pickle.dump(order, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        process.stdin.close()
    try:
        found: ClusterAnswer = pickle.load(process.stdout)
    except (EOFError, pickle.UnpicklingError):
        return None
    return found


@contextmanager
def _killed_when(stop: Event, process: Process) -> Iterator[None]:
    """End the process when `stop` is set: it keeps nothing that could be lost."""
    over = False

    def wait() -> None:
        stop.wait()
        if not over:
            process.kill()

    waiting = Thread(target=wait, name="dilatedloc-clusters", daemon=True)
    waiting.start()
    try:
        yield
    except BaseException:
        process.kill()  # nobody will read its answer
        raise
    finally:
        asked = stop.is_set()
        over = True
        stop.set()  # ends the thread that waits for it
        waiting.join()
        if not asked:
            stop.clear()


def _error_of(found: ClusterAnswer) -> Exception:
    if not found.trace:
        return ValueError(found.trouble)
    error = RuntimeError(found.trouble)
    error.add_note(f"In the process of the clustering:\n{found.trace}")
    return error


def _death(code: int, complaints: IO[bytes]) -> ChildProcessError:
    from napari_dilatedloc.gui.cluster_child import out_of_memory

    error = ChildProcessError(
        f"the clustering ended unexpectedly (code {code}); perhaps {out_of_memory()}"
    )
    complaints.seek(0)
    said = complaints.read().decode(errors="replace").strip()
    error.add_note(f"It wrote:\n{said[-TAIL:] or 'nothing'}")
    return error
