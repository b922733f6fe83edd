"""A real cluster of two worker processes gives the table of one process, also if one is killed."""

import os
import pickle
import signal

import numpy as np
import pytest
import torch

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.cores import usable_cores
from napari_dilatedloc.inference import pipeline
from napari_dilatedloc.inference.engine import build_engine
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.inference.record import record_of
from napari_dilatedloc.inference.store import RunFolder
from napari_dilatedloc.io.movie import open_movie, write_movie
from napari_dilatedloc.io.tables import read_table
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.table import Localizations

pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
from napari_dilatedloc.inference import cluster as on_workers
from napari_dilatedloc.inference.cluster import (
    ClusterError,
    ClusterRun,
    connect,
    localize_on_cluster,
    sum_up,
)

FRAMES, TASK = 60, 6
CONFIG = LocalizeConfig(device="cpu", engine="exact", block_frames=TASK, batch_frames=TASK)


@pytest.fixture(scope="module")
def cluster():
    with connect(workers=2) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture
def run(tmp_path):
    """A run whose folder is empty, and its movie."""
    rng = np.random.default_rng(3)
    adu = rng.poisson(200.0, (FRAMES, 32, 32)).astype(np.uint16)
    for frame in adu:
        y, x = rng.integers(6, 26, 2)
        frame[y - 1 : y + 2, x - 1 : x + 2] += 900
    write_movie(tmp_path / "movie.tif", adu, 100.0)
    movie, model = open_movie(tmp_path / "movie.tif"), load_model("astigmatism")
    record = record_of(movie, model, CONFIG, 100.0, "locs.h5")
    folder = RunFolder.create(tmp_path / "locs.run", record)
    path = str(tmp_path / "movie.tif")
    return ClusterRun(path, "astigmatism", model.info.camera, CONFIG, folder)


def alone(run):
    """The same in this process, on as many threads as a worker has: sums depend on it."""
    movie, model = open_movie(run.movie), load_model(run.model)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, usable_cores() // 2))
    try:
        blocks = [block.localizations for block in localize(movie.data, model, CONFIG)]
    finally:
        torch.set_num_threads(threads)
    return Localizations.concatenate(blocks)


def exported(run, path):
    assert run.folder.missing() == []
    run.folder.export(path)
    return read_table(path)[0]


def same(a, b):
    assert len(a) > 20
    for name in a.column_names():
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_equals_one_process(cluster, run, tmp_path):
    spans = run.folder.missing(block=TASK)
    done = list(localize_on_cluster(cluster, run, spans))
    assert sorted((task.start, task.stop) for task in done) == spans
    assert len({task.worker for task in done}) == 2
    found = exported(run, tmp_path / "locs.h5")
    same(found, alone(run))
    report = sum_up([task.report for task in done], seconds=2.0)
    assert report.frames == FRAMES
    assert report.localizations == len(found)
    assert report.frames_per_second == FRAMES / 2
    assert (report.device, report.engine, report.precision) == ("cpu", "exact", "float32")
    networks = [task.report.stages["network"] for task in done]
    assert report.stages["network"] == pytest.approx(sum(networks))


def test_a_worker_keeps_its_engine_for_all_tasks(run, tmp_path, monkeypatch):
    movie, model = open_movie(run.movie).data, load_model(run.model)
    spans, made = run.folder.missing(block=TASK), []
    anew = [localize(movie, model, CONFIG.replace(frames=span)) for span in spans]
    expected = Localizations.concatenate([b.localizations for blocks in anew for b in blocks])

    def counting(network, device, config):
        made.append(config.tile_size)
        return build_engine(network, device, config)

    monkeypatch.setattr(on_workers, "build_engine", counting)
    monkeypatch.delattr(pipeline, "build_engine")
    for _ in range(2):  # another run, with perhaps another model, has a crew of its own
        made.clear()
        crew = pickle.loads(pickle.dumps(on_workers._Crew(run)))  # as dask sends it
        crew.setup(worker=None)
        reports = [crew.localize(span, "cpu") for span in spans]
        assert made == [on_workers.TILE_PX]
        assert {report.tile_size for report in reports} == {64}  # frames are smaller than tiles
        same(exported(run, tmp_path / "locs.h5"), expected)
        run.folder.create(run.folder.path, run.folder.record)


def test_tasks_at_a_time_have_engines_of_their_own(run, monkeypatch):
    crew = on_workers._Crew(run)
    crew.setup(worker=None)
    config = CONFIG.replace(device="cpu")
    with crew._engine(crew.model, config) as one, crew._engine(crew.model, config) as other:
        assert one is not other
    with crew._engine(crew.model, config) as again:
        assert again in (one, other)
    with pytest.raises(RuntimeError, match="broken"), crew._engine(crew.model, config):
        raise RuntimeError("broken")
    assert len(crew._spare) == 1  # an engine in whose hands something went wrong is not kept


def test_a_killed_worker_is_made_up_for(cluster, run, tmp_path):
    tasks = localize_on_cluster(cluster, run, run.folder.missing(block=TASK))
    first = next(tasks)
    pids = cluster.run(os.getpid)
    os.kill(pids[first.worker], signal.SIGKILL)
    rest = list(tasks)
    assert len(rest) >= FRAMES // TASK - 1  # what died with its worker was done again
    same(exported(run, tmp_path / "locs.h5"), alone(run))


def test_a_task_that_fails_says_why(cluster, run):
    missing = ClusterRun(run.movie + ".gone.tif", run.model, run.camera, run.config, run.folder)
    with pytest.raises(Exception, match=r"gone\.tif"):
        list(localize_on_cluster(cluster, missing, [(0, 6)]))


def test_no_scheduler_there():
    with (
        pytest.raises(ClusterError, match="no dask scheduler answers"),
        connect(scheduler="tcp://127.0.0.1:9"),
    ):
        pass
