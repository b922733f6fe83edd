import os
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from napari_dilatedloc.gui import kept_runs
from napari_dilatedloc.gui.kept_runs import About, KeptRuns, NotKept, keeping
from napari_dilatedloc.gui.localize_job import RunStarted
from napari_dilatedloc.gui.open_job import TableOpened, open_kept_job, open_table_job
from napari_dilatedloc.gui.watch_job import MovieGrew
from napari_dilatedloc.inference.report import LocalizedBlock
from napari_dilatedloc.io.tables import write_table
from napari_dilatedloc.table import Localizations, TableInfo

STARTED = RunStarted(
    model="tiny",
    sha256="0",
    network="dilatedloc",
    device="cpu",
    pixel_size_nm=100.0,
    z_range_nm=(-700.0, 700.0),
    threshold=0.4,
    first_frame=5,
    doubts=(),
)
SHAPE = (100, 20, 30)


def rows(start, stop):
    frame = np.repeat(np.arange(start, stop), 2)
    return Localizations.from_columns(frame=frame, x=frame % 30, y=frame % 20)


def block(start, stop, total=30):
    return LocalizedBlock(
        start=start,
        stop=stop,
        total=total,
        localizations=rows(5 + start, 5 + stop),
        seconds=1.0,
        waited_s=0.0,
        megabytes=1.0,
        device="cpu",
        stages={},
        engine="torch",
        precision="float32",
        batch_frames=8,
        tile_size=64,
    )


def job(items, stop):
    yield from items


def run_through(runs, items, take=99):
    source = keeping(partial(job, items), runs, "my movie", SHAPE, 100.0, threading.Event())
    seen = [item for item, _ in zip(source, range(take), strict=False)]
    source.close()
    return seen


@pytest.fixture
def runs(tmp_path):
    return KeptRuns(tmp_path / "runs")


def read(run):
    opened, *parts = open_kept_job(run, threading.Event())
    return opened, Localizations.concatenate(parts)


def test_a_run_is_on_disk_when_it_ends(runs):
    items = [STARTED, block(0, 10), block(10, 20), block(20, 30)]
    assert run_through(runs, items) == items
    (kept,) = runs.recent()
    assert kept.about.frames == (5, 35)
    assert kept.about.ended
    assert kept.about.localizations == 60
    opened, table = read(kept)
    assert opened == TableOpened(
        "my movie", TableInfo(100.0, (20, 30), 100), (20, 30), (-700.0, 700.0)
    )
    np.testing.assert_array_equal(table.frame, rows(5, 35).frame)


def test_what_is_not_flushed_when_the_process_dies_is_not_promised(runs):
    """A kill leaves the first part whole, and its record says no more than is there."""
    source = keeping(
        partial(job, [STARTED, block(0, 10), block(10, 20)]),
        runs,
        "movie",
        SHAPE,
        100.0,
        threading.Event(),
    )
    for _ in range(3):  # and then nobody asks any more
        next(source)
    (kept,) = runs.recent()
    assert kept.about.frames == (5, 15)
    assert not kept.about.ended
    assert "frames 5-14, cut short, 20 localizations" in kept.about.said
    assert len(read(kept)[1]) == kept.about.localizations
    source.close()  # the user closes napari: now the rest is there too
    (kept,) = runs.recent()
    assert kept.about.frames == (5, 25)
    assert len(read(kept)[1]) == 40


@pytest.mark.parametrize("how", ["ends", "crashes", "is cancelled"])
def test_a_recording_has_ended_only_where_its_job_says_so(runs, how):
    """With every frame there is done, it may still not be over."""
    stop = threading.Event()

    def watched(_stop):
        for first in (0, 10):
            yield MovieGrew(np.zeros((first + 10, 20, 30), np.uint16), 100.0)
            yield STARTED
            yield block(first, first + 10, total=first + 10)
        if how == "crashes":
            raise OSError("the disk is gone")
        if how == "is cancelled":
            stop.set()

    source = keeping(watched, runs, "recording", (0, 0, 0), 0.0, stop)
    if how == "crashes":
        with pytest.raises(OSError, match="gone"):
            list(source)
    else:
        list(source)
    (kept,) = runs.recent()
    assert kept.about.localizations == 40
    assert kept.about.ended == (how == "ends")
    assert ("cut short" in kept.about.said) == (how != "ends")


def test_a_run_without_blocks_leaves_nothing(runs):
    run_through(runs, [STARTED])
    assert runs.recent() == []


def test_the_oldest_run_gives_way(runs):
    about = run_about().replace(ended=True)
    for day in range(7):
        runs.create(about.replace(begun=about.begun + timedelta(days=day)))
    kept = runs.recent()
    assert [run.about.begun.day for run in kept] == [7, 6, 5, 4, 3]


def test_a_run_goes_on_where_it_cannot_be_kept(runs):
    runs.folder.parent.mkdir(exist_ok=True)
    runs.folder.write_text("a file where the folder should be")
    items = [STARTED, block(0, 10), block(10, 30)]
    seen = run_through(runs, items)
    (said,) = [item for item in seen if isinstance(item, NotKept)]
    assert said.sentence.startswith("The run goes on but is not kept on disk")
    assert [item for item in seen if not isinstance(item, NotKept)] == items


def test_a_damaged_record_is_passed_over(runs):
    run = runs.create(run_about())
    (run.path / "about.json").write_text("{")
    assert runs.recent() == []


def run_about():
    return About(
        movie="m",
        begun=datetime(2026, 1, 1, tzinfo=UTC),
        pixel_size_nm=100.0,
        shape=(20, 30),
        n_frames=100,
        model="tiny",
        threshold=0.4,
        z_range_nm=(-700, 700),
        frames=(0, 10),
        localizations=3,
        ended=False,
    )


def test_a_table_is_opened_in_parts_that_never_cut_a_frame(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_dilatedloc.gui.open_job.PART_ROWS", 5)
    table = rows(0, 12)[::-1]
    write_table(tmp_path / "locs.csv", table, TableInfo(100.0))
    opened, *parts = open_table_job(tmp_path / "locs.csv", 100.0, threading.Event())
    assert opened.name == "locs"
    assert opened.shape == (12, 12)
    assert len(parts) > 2
    for before, after in pairwise(parts):
        assert before.frame[-1] < after.frame[0]
    assert sum(len(part) for part in parts) == 24


def test_a_table_without_rows_is_refused(tmp_path):
    write_table(tmp_path / "locs.h5", Localizations.empty(), TableInfo(100.0))
    with pytest.raises(ValueError, match="holds no localizations"):
        list(open_table_job(tmp_path / "locs.h5", None, threading.Event()))


def test_room_is_made_by_size_too(runs, monkeypatch):
    monkeypatch.setattr(kept_runs, "MOST_BYTES", 1000)
    about = run_about().replace(ended=True)
    first = runs.create(about)
    (first.path / "parts").mkdir()
    (first.path / "parts" / "x").write_bytes(bytes(2000))
    runs.create(about.replace(begun=about.begun + timedelta(days=1)))
    assert [run.about.begun.day for run in runs.recent()] == [2]
    assert not first.path.exists()


def test_a_run_at_work_elsewhere_does_not_give_way(runs):
    """Two napari run: a long one, and one that is used for many short ones."""
    about = run_about()
    long = runs.create(about)
    for day in range(1, 8):
        runs.create(about.replace(begun=about.begun + timedelta(days=day), ended=True))
    assert runs.recent()[-1].path == long.path
    long.write_part(5, 15, rows(5, 15))
    hours_ago = long.path.joinpath("about.json").stat().st_mtime - 2 * kept_runs.AT_WORK_S
    os.utime(long.path / "about.json", (hours_ago, hours_ago))  # it died
    runs.create(about.replace(begun=about.begun + timedelta(days=9)))
    assert not long.path.exists()
    with pytest.raises(FileNotFoundError):  # nor is it begun anew without its first parts
        long.write_part(15, 25, rows(15, 25))


def test_what_is_not_ours_stays(runs, monkeypatch):
    monkeypatch.setattr(kept_runs, "MOST_BYTES", 0)
    other = runs.folder / "measurements"
    other.mkdir(parents=True)
    (other / "about.json").write_text(run_about().model_dump_json())
    runs.create(run_about())
    assert (other / "about.json").exists()
    assert len(runs.recent()) == 1


def test_the_field_of_a_table_with_wild_positions(tmp_path):
    table = Localizations.from_columns(
        frame=[0, 0, 1, 1, 2], x=[3.0, 40.6, np.nan, 1.0, 2.0], y=[-7.0, 2.5, 1.0, 1e9, np.inf]
    )
    write_table(tmp_path / "wild.h5", table, TableInfo(100.0))
    opened, *parts = open_table_job(tmp_path / "wild.h5", None, threading.Event())
    assert opened.shape == (8192, 42)
    assert sum(len(part) for part in parts) == 5
