"""One run on many workers of dask.distributed: blocks of frames are the tasks.

Workers open movie and model by their paths, so these have to lie where all of them can read, and
the run's folder where all can write. Each task writes one part, whole or not at all; when a worker
is lost its tasks are done again elsewhere, and a part that was written twice is the same part.
This module needs the extra ``[cluster]``.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from distributed import Client, LocalCluster, WorkerPlugin, as_completed, get_worker
from distributed.scheduler import KilledWorker

from napari_dilatedloc.config import CameraConfig, LocalizeConfig
from napari_dilatedloc.cores import usable_cores
from napari_dilatedloc.inference.device import choose_device
from napari_dilatedloc.inference.engine import Engine, build_engine
from napari_dilatedloc.inference.pipeline import RunMeter, localize
from napari_dilatedloc.inference.report import LocalizeReport
from napari_dilatedloc.inference.store import RunFolder, Span
from napari_dilatedloc.io.movie import Movie, open_movie
from napari_dilatedloc.network.checkpoint import Model, load_model
from napari_dilatedloc.table import Localizations

TASK_FRAMES = 512
"""Frames of a task: seconds of work, so that handing out costs nothing beside it."""
TILE_PX = 1024
"""Tile size where the settings leave it open: workers differ in how much memory is free, and those
of one machine share it, but all have to cut alike."""
RETRIES = 2
"""Times a task is tried again when it fails, lost workers not counted."""


class ClusterError(RuntimeError):
    """A cluster that cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class ClusterRun:
    """What every worker needs to know; it is sent to them.

    Attributes
    ----------
    movie, model : str
        Path of the movie, name or path of the model, as the workers see them.
    camera : CameraConfig
        Of the movie.
    config : LocalizeConfig
        Settings; the frames of a task take the place of its frames, and no tile size means
        `TILE_PX`.
    folder : RunFolder
        Where parts go.
    """

    movie: str
    model: str
    camera: CameraConfig
    config: LocalizeConfig
    folder: RunFolder


@dataclass(frozen=True)
class TaskDone:
    """What comes back from a worker: no localizations, these are in the part."""

    start: int
    stop: int
    report: LocalizeReport
    worker: str


@contextmanager
def connect(
    workers: int | None = None, scheduler: str | None = None, *, threads: int | None = None
) -> Iterator[Client]:
    """Client of a running cluster, or of a local one that lives as long as the context.

    Parameters
    ----------
    workers : int, optional
        Processes of a local cluster. Graphics cards go to them in turn, the processor's cores
        are shared out.
    scheduler : str, optional
        Address such as ``tcp://10.0.0.1:8786`` of a running cluster, instead.
    threads : int, optional
        Threads the network of a local worker has; default: the cores shared out.

    Raises
    ------
    ClusterError
        If the address does not answer.
    """
    # dask tells of every connection; its warnings are enough
    logging.getLogger("distributed").setLevel(logging.WARNING)
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="10s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"no dask scheduler answers at {scheduler}; start one with 'dask scheduler' and "
                "'dask worker', or use --workers"
            ) from error
        with client:
            yield client
        return
    count = workers or 1
    threads = threads or max(1, usable_cores() // count)
    with (
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            env={"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def localize_on_cluster(
    client: Client, run: ClusterRun, spans: list[Span]
) -> Generator[TaskDone, None, None]:
    """Localize spans of frames on the workers; parts go into the run's folder.

    Parameters
    ----------
    client : distributed.Client
        As `connect` gives it.
    run : ClusterRun
        The run.
    spans : list of (int, int)
        Frames of each task, half-open; `store.RunFolder.missing` gives them.

    Yields
    ------
    TaskDone
        As tasks end, in any order. When the generator is closed, tasks that did not begin are
        given up.

    Raises
    ------
    ClusterError
        If a task fails on a worker, with the worker's reason.
    """
    if not client.scheduler_info()["workers"]:
        client.wait_for_workers(1, timeout=60)
    client.register_plugin(_Crew(run), name=_Crew.name)
    futures = client.map(_task, spans, retries=RETRIES, pure=False)
    try:
        for _, done in as_completed(futures, with_results=True, loop=client.loop):
            yield done
    except KilledWorker as error:
        raise ClusterError(
            "workers died again and again on the same frames, perhaps for want of memory; use "
            "fewer workers or a smaller tile size"
        ) from error
    finally:
        client.cancel(futures)


def sum_up(reports: list[LocalizeReport], seconds: float) -> LocalizeReport:
    """One report of tasks that ran side by side for so many seconds; stages are added up."""
    frames = sum(report.frames for report in reports)
    busy = sum(report.seconds for report in reports)
    megabytes = sum(report.mb_per_second * report.seconds for report in reports)
    waited = sum(report.waited * report.seconds for report in reports)
    return LocalizeReport(
        frames=frames,
        localizations=sum(report.localizations for report in reports),
        seconds=seconds,
        frames_per_second=frames / max(seconds, 1e-9),
        mb_per_second=megabytes / max(seconds, 1e-9),
        waited=waited / max(busy, 1e-9),
        device=_all(reports, "device"),
        engine=_all(reports, "engine"),
        precision=_all(reports, "precision"),
        batch_frames=max((report.batch_frames for report in reports), default=0),
        tile_size=max((report.tile_size for report in reports), default=0),
        stages={
            name: sum(report.stages.get(name, 0.0) for report in reports)
            for name in sorted({name for report in reports for name in report.stages})
        },
    )


def _all(reports: list[LocalizeReport], name: str) -> str:
    """What the workers say, each answer once."""
    return " + ".join(sorted({str(getattr(report, name)) for report in reports}))


class _Crew(WorkerPlugin):
    """Movie, model and engine of a run, made once on every worker; dask calls it a plugin."""

    name = "napari-dilatedloc"

    def __init__(self, run: ClusterRun) -> None:
        self.run = run
        self.movie: Movie | None = None
        self.model: Model | None = None
        self._spare: list[Engine] = []
        """Engines no task uses; a worker with several threads has several tasks at a time."""

    def setup(self, worker: Any) -> None:
        """Called by dask on each worker, also on one that joins later."""
        self.movie = open_movie(self.run.movie)
        self.model = load_model(self.run.model).with_camera(self.run.camera)

    def localize(self, span: Span, device: str) -> LocalizeReport | None:
        """Write the part of some frames; None if `setup` was not called."""
        if self.movie is None or self.model is None:
            return None
        config = self.run.config
        tile_size = config.tile_size or TILE_PX
        config = config.replace(frames=span, device=device, tile_size=tile_size)
        meter, tables = RunMeter(), []
        with self._engine(self.model, config) as engine:
            for block in localize(self.movie.data, self.model, config, engine=engine):
                meter.add(block)
                tables.append(block.localizations)
        self.run.folder.write_part(*span, Localizations.concatenate(tables))
        return meter.report

    @contextmanager
    def _engine(self, model: Model, config: LocalizeConfig) -> Iterator[Engine]:
        """An engine for one task; making one takes as long as some hundred frames."""
        try:
            engine = self._spare.pop()
        except IndexError:
            engine = build_engine(model.network, choose_device(config.device), config)
        yield engine
        self._spare.append(engine)  # after an error it is made anew


def _task(span: Span) -> TaskDone:
    """Localize a span on a worker."""
    worker = get_worker()
    crew = worker.plugins[_Crew.name]
    report = None
    if isinstance(crew, _Crew):
        report = crew.localize(span, _device(crew.run.config.device, worker))
    if report is None:
        raise ClusterError(f"worker {worker.address} was not set up; start the run again")
    return TaskDone(*span, report, str(worker.address))


def _device(name: str, worker: Any) -> str:
    """Graphics card of a worker: they are dealt out by the number in the worker's name."""
    cards = torch.cuda.device_count()
    if name not in ("auto", "cuda") or not cards:
        return name
    number = worker.name if isinstance(worker.name, int) else 0
    return f"cuda:{number % cards}"
