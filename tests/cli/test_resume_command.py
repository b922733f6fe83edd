"""``dilatedloc localize`` that was killed, stopped, done already or ran out of room."""

import json
import shutil
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest

from napari_dilatedloc.config import LocalizeConfig, SimulationConfig, save_yaml
from napari_dilatedloc.inference import engine, pipeline, store
from napari_dilatedloc.io.movie import open_movie, write_movie
from napari_dilatedloc.io.tables import read_table
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.psf.build import build_psf
from napari_dilatedloc.simulation.simulator import simulate_movie

MODEL = "astigmatism"
FRAMES, BLOCK = 48, 8

# The real command in a process of its own, which keeps every block and dies after the third.
DYING = """
import os, signal
from napari_dilatedloc.cli import main
from napari_dilatedloc.inference import store

write = store.RunFolder.write_part

def dying(self, start, stop, localizations):
    write(self, start, stop, localizations)
    if len(self.parts()) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

store.PART_SECONDS = 0.0
store.RunFolder.write_part = dying
main()
"""

# The same in a process that may not write files beyond a size, as on a full disk.
CRAMPED = """
import resource, signal
from napari_dilatedloc.cli import main
from napari_dilatedloc.inference import store

write = store.RunFolder.write_part

def cramped(self, start, stop, localizations):
    if len(self.parts()) == 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    return write(self, start, stop, localizations)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store.PART_SECONDS = 0.0
store.RunFolder.write_part = cramped
main()
"""


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "m.tif"
    info = load_model(MODEL).info
    settings = SimulationConfig(photons=(4000, 8000), bg=(40, 40), density_per_um2=(0.3, 0.3))
    psf = build_psf(info.psf)
    frames, _ = simulate_movie(psf, info.camera, settings, frames=FRAMES, size=(48, 48), seed=5)
    write_movie(path, frames, info.pixel_size_nm)
    return path


def command(movie, folder, name, *options):
    """Arguments of a run that writes a table into the folder."""
    config = folder / "run.yaml"
    settings = LocalizeConfig(block_frames=BLOCK, batch_frames=4, engine="exact")
    save_yaml(settings, config, stated_only=True)
    words = ["localize", movie, "--model", MODEL, "--out", folder / name, "--config", config]
    return [*words, "--precision", "float32", "--json", *options]


@pytest.fixture
def args(movie, tmp_path):
    def make(name="locs.csv", *options):
        return command(movie, tmp_path, name, *options)

    return make


def child(code, args):
    words = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def left_behind(movie, tmp_path_factory):
    """What a process that was killed in the middle leaves."""
    folder = tmp_path_factory.mktemp("killed")
    done = child(DYING, command(movie, folder, "locs.csv"))
    assert done.returncode == -9, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["locs.run", "run.yaml"]
    return folder / "locs.run"


@pytest.fixture
def killed(left_behind, tmp_path):
    folder = store.RunFolder.open(shutil.copytree(left_behind, tmp_path / "locs.run"))
    assert folder.record.status == "running"
    assert folder.missing() == [(3 * BLOCK, FRAMES)]
    return folder


def part(folder, block):
    return folder.path / "parts" / f"{block * BLOCK:08d}-{(block + 1) * BLOCK:08d}.parquet"


def refused(run, args):
    status, _, err = run(*args)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status == 2
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0]


def test_a_killed_run_that_goes_on_gives_the_same_table(run, args, killed, tmp_path):
    status, out, _ = run(*args("whole.csv"))
    assert status == 0
    whole = json.loads(out)
    part(killed, 0).unlink()  # a gap at the beginning
    torn = part(killed, 4)  # and one part that is not whole
    torn.write_bytes(part(killed, 1).read_bytes()[:-50])
    (torn.parent / ".0123456789ab.part.parquet").write_bytes(b"PAR1")

    status, out, err = run(*args("locs.csv", "--resume"))
    assert status == 0
    assert f"{2 * BLOCK} of {FRAMES} frames are there" in err
    assert (tmp_path / "locs.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    resumed = json.loads(out)
    assert resumed["tables"] == [str(tmp_path / "locs.csv")]
    for name in ("frames", "localizations", "warnings", "pixel_size_nm"):
        assert resumed[name] == whole[name]
    assert resumed["frames"] == FRAMES
    assert resumed["run"] == str(tmp_path / "locs.run" / "run.json")
    assert [path.name for path in killed.path.iterdir()] == ["run.json"]


def test_only_what_is_missing_is_localized(run, args, killed, monkeypatch):
    part(killed, 1).unlink()
    kept = {file.name: file.stat().st_mtime_ns for file in (killed.path / "parts").iterdir()}
    written = []
    write = store.RunFolder.write_part

    def noting(self, start, stop, localizations):
        written.append((start, stop))
        return write(self, start, stop, localizations)

    monkeypatch.setattr(store.RunFolder, "write_part", noting)
    monkeypatch.setattr(store.RunFolder, "finish", store.RunFolder.stop)
    assert run(*args("locs.csv", "--resume"))[0] == 0
    assert sorted(frame for span in written for frame in range(*span)) == [
        *range(BLOCK, 2 * BLOCK),
        *range(3 * BLOCK, FRAMES),
    ]
    for name, changed in kept.items():
        assert (killed.path / "parts" / name).stat().st_mtime_ns == changed


def test_an_unfinished_run_is_not_lost_by_mistake(run, args, killed):
    error = refused(run, args())
    assert f"{3 * BLOCK} of {FRAMES} frames" in error
    assert "--resume" in error
    assert "--overwrite" in error
    assert killed.missing() == [(3 * BLOCK, FRAMES)]
    error = refused(run, args("locs.csv", "--resume", "--threshold", 0.9))
    assert "threshold (None, now 0.9)" in error
    error = refused(run, args("locs.csv", "--resume", "--pixel-size-nm", 90))
    assert "pixel size (100 nm, now 90 nm)" in error
    refused(run, args("locs.csv", "--resume", "--overwrite"))
    status, out, _ = run(*args("locs.csv", "--overwrite", "--frames", "0:16"))
    assert status == 0
    assert json.loads(out)["frames"] == 16


def test_another_movie_of_that_name_is_noticed(run, movie, args, killed, tmp_path):
    other = tmp_path / "m.tif"
    frames = open_movie(movie).data.compute()
    frames[-1] += 1
    write_movie(other, frames, 100.0)
    words = args("locs.csv", "--resume")
    words[1] = other
    assert "movie contents" in refused(run, words)


def test_a_finished_run_says_so_and_does_nothing(run, args, tmp_path):
    assert run(*args())[0] == 0
    before = (tmp_path / "locs.csv").stat().st_mtime_ns
    first = json.loads((tmp_path / "locs.run" / "run.json").read_text())
    for options in ((), ("--resume",)):
        status, out, err = run(*args("locs.csv", *options))
        assert status == 0
        assert "is finished" in " ".join(err.split())
        assert "--overwrite" in err
        again = json.loads(out)
        assert again["frames"] == FRAMES
        assert again["localizations"] == first["report"]["localizations"]
    assert (tmp_path / "locs.csv").stat().st_mtime_ns == before
    assert run(*args("locs.csv", "--overwrite"))[0] == 0
    assert (tmp_path / "locs.csv").stat().st_mtime_ns > before
    status, out, err = run(*args("locs.csv", "--frames", "0:16"))  # something else: it is done
    assert status == 0
    assert json.loads(out)["frames"] == 16


def test_run_json_holds_what_the_run_was(run, args, movie, tmp_path):
    status, out, _ = run(*args("locs.csv", "--threshold", 0.6))
    assert status == 0
    said = json.loads((tmp_path / "locs.run" / "run.json").read_text())
    printed = json.loads(out)
    assert said["status"] == "finished"
    assert said["movie"]["path"] == str(movie)
    assert said["movie"]["shape"] == [FRAMES, 48, 48]
    assert said["model"] == {"name": MODEL, "sha256": load_model(MODEL).sha256}
    assert said["settings"]["threshold"] == 0.6  # the command line
    assert said["settings"]["block_frames"] == BLOCK  # the file
    assert said["tables"] == ["locs.csv"]
    assert said["report"] == {name: printed[name] for name in said["report"]}
    assert {"frames", "localizations", "seconds", "waited", "device"} <= set(said["report"])
    found = read_table(tmp_path / "locs.csv", pixel_size_nm=100.0)[0]
    assert said["report"]["localizations"] == len(found)
    assert found.prob.min() >= 0.6


def test_run_json_tells_how_frames_were_cut(run, args, tmp_path):
    for options, setting in (((), None), (("--tile-size", 72), 72)):
        status, out, _ = run(*args("locs.csv", *options))
        assert status == 0
        said = json.loads((tmp_path / "locs.run" / "run.json").read_text())
        assert said["settings"]["tile_size"] == setting
        assert said["how"]["tile_size"] == said["report"]["tile_size"] == 64  # one tile
        assert json.loads(out)["tile_size"] == 64
    assert "tile_size" in refused(run, args("locs.csv", "--overwrite", "--tile-size", 8))


def test_workers_cut_alike_and_so_does_who_goes_on(run, args, tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
    from napari_dilatedloc.inference import cluster

    def here(client, told, spans):
        """What a worker does, in this process; a real cluster has a test of its own."""
        assert told.config.tile_size == 1024
        crew = cluster._Crew(told)
        crew.setup(worker=None)
        for span in spans:
            yield cluster.TaskDone(*span, crew.localize(span, "cpu"), "here")

    monkeypatch.setattr(cluster, "connect", lambda workers, scheduler: nullcontext())
    monkeypatch.setattr(cluster, "localize_on_cluster", here)
    status, out, _ = run(*args("locs.csv", "--workers", 1, "--frames", "0:16"))
    assert status == 0
    assert json.loads(out)["frames"] == 16
    record = store.RunFolder.open(tmp_path / "locs.run").record
    assert record.settings.tile_size is None
    assert record.settings_used.tile_size == 1024  # on workers with much memory and with little


def test_gaps_are_filled_with_one_engine(run, args, killed, monkeypatch):
    part(killed, 1).unlink()
    made, build = [], engine.build_engine

    def counting(*given):
        made.append(given)
        return build(*given)

    monkeypatch.setattr(engine, "build_engine", counting)
    monkeypatch.delattr(pipeline, "build_engine")
    assert run(*args("locs.csv", "--resume"))[0] == 0
    assert len(made) == 1


def test_ctrl_c_keeps_what_was_done_and_the_run_goes_on(run, args, tmp_path, monkeypatch):
    add, calls = store.PartWriter.add, []

    def interrupted(self, start, stop, localizations):
        add(self, start, stop, localizations)
        calls.append(stop)
        if len(calls) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(store.PartWriter, "add", interrupted)
    status, out, err = run(*args())
    assert status == 0
    assert f"{4 * BLOCK} of {FRAMES} frames are kept" in err
    assert json.loads(out)["frames"] == 4 * BLOCK
    so_far = read_table(tmp_path / "locs.csv", pixel_size_nm=100.0)[0]
    assert set(so_far.frame) == set(range(4 * BLOCK))
    folder = store.RunFolder.open(tmp_path / "locs.run")
    assert folder.record.status == "stopped"
    assert folder.missing() == [(4 * BLOCK, FRAMES)]
    monkeypatch.setattr(store.PartWriter, "add", add)
    assert run(*args("locs.csv", "--resume"))[0] == 0
    assert run(*args("whole.csv"))[0] == 0
    assert (tmp_path / "locs.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_no_room_is_one_sentence_and_the_parts_stay(run, args, tmp_path):
    done = child(CRAMPED, args())
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    assert f"frames {2 * BLOCK} to {3 * BLOCK - 1}" in lines[0]
    assert "--resume" in lines[0]
    folder = store.RunFolder.open(tmp_path / "locs.run")
    assert folder.missing() == [(2 * BLOCK, FRAMES)]
    assert run(*args("locs.csv", "--resume"))[0] == 0
    assert len(np.unique(read_table(tmp_path / "locs.csv", pixel_size_nm=100)[0].frame)) > 40


def test_a_table_no_format_has_is_refused_before_the_work(run, args, tmp_path):
    assert ".parquet" in refused(run, args("locs.txt"))
    assert not (tmp_path / "locs.run").exists()
    assert "no such file" in refused(run, args("locs.csv", "--config", tmp_path / "no.yaml"))
