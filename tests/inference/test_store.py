"""A run on disk: parts, gaps, what makes two runs the same, and what an error leaves behind."""

import errno
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dilatedloc.config import LocalizeConfig, SCMOSConfig
from napari_dilatedloc.inference import store
from napari_dilatedloc.inference.record import (
    SAMPLE_BYTES,
    differences,
    how_of,
    identify,
    record_of,
)
from napari_dilatedloc.inference.report import LocalizedBlock
from napari_dilatedloc.inference.store import (
    Part,
    PartWriter,
    RunError,
    RunFolder,
    begin,
    cut,
    discard,
    folder_of,
    gaps,
    in_order,
    working,
)
from napari_dilatedloc.io.movie import open_movie, write_movie
from napari_dilatedloc.io.tables import read_table, write_table
from napari_dilatedloc.table import Localizations

FRAMES = 60


@pytest.fixture
def movie(tmp_path):
    path = tmp_path / "m.tif"
    write_movie(path, np.arange(FRAMES * 20 * 24, dtype=np.uint16).reshape(FRAMES, 20, 24), 100.0)
    return path


@pytest.fixture
def record(movie, strided):
    return record_of(open_movie(movie), strided, LocalizeConfig(), 100.0, "locs.csv")


@pytest.fixture
def folder(tmp_path, record):
    return RunFolder.create(tmp_path / "locs.run", record)


def table(start, stop, each=3):
    """Some localizations a frame, none of them like another."""
    frame = np.repeat(np.arange(start, stop), each)
    x = frame + np.tile(np.arange(each), stop - start) / 8
    return Localizations.from_columns(frame=frame, x=x % 24, y=x % 20, photons=100 + x)


# Frames that are done and frames that are not, against a set of numbers.

spans = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=6)


def numbers(found):
    return [frame for start, stop in found for frame in range(start, stop)]


@given(spans, st.integers(0, 40), st.integers(1, 30), st.integers(1, 12))
def test_gaps_are_the_frames_in_no_part(lengths, first, count, block):
    parts = in_order(Part(start, start + n, Path(f"{start}-{n}")) for start, n in lengths)
    done = [(part.start, part.stop) for part in parts]
    assert len(numbers(done)) == len(set(numbers(done)))
    frames = (first, first + count)
    left = gaps(done, frames)
    assert numbers(left) == sorted(set(range(*frames)) - set(numbers(done)))
    pieces = cut(left, block, first)
    assert numbers(pieces) == numbers(left)
    assert all(1 <= stop - start <= block for start, stop in pieces)
    grid = {first + i * block for i in range(count + 1)}
    ends = {stop for _, stop in left}
    assert all(stop in grid | ends for _, stop in pieces)


def test_missing_is_what_no_whole_part_holds(folder):
    assert folder.missing() == [(0, 60)]
    folder.write_part(8, 16, table(8, 16))
    folder.write_part(32, 40, Localizations.empty())  # nothing found is no gap
    torn = folder.write_part(16, 24, table(16, 24))
    torn.write_bytes(torn.read_bytes()[:-30])
    (torn.parent / ".0123456789ab.part.parquet").write_bytes(b"PAR1")
    (torn.parent / "notes.txt").write_text("mine")
    assert folder.missing() == [(0, 8), (16, 32), (40, 60)]
    assert folder.missing(block=24) == [(0, 8), (16, 24), (24, 32), (40, 48), (48, 60)]
    assert folder.missing((4, 20)) == [(4, 8), (16, 20)]
    assert [(part.start, part.stop) for part in folder.parts()] == [(8, 16), (32, 40)]


def test_of_parts_that_overlap_each_frame_counts_once(folder, tmp_path):
    """A worker that was thought lost comes back after its block was done again."""
    for start, stop in [(0, 20), (10, 20), (20, 60), (20, 40)]:
        folder.write_part(start, stop, table(start, stop))
    assert folder.missing() == []
    folder.export(tmp_path / "locs.h5")
    assert read_table(tmp_path / "locs.h5")[0].frame.tolist() == table(0, 60).frame.tolist()


def test_the_table_does_not_depend_on_the_parts_or_their_order(folder, tmp_path):
    for start, stop in [(30, 60), (0, 7), (7, 30)]:
        pickle.loads(pickle.dumps(folder)).write_part(start, stop, table(start, stop))
    whole = write_table(tmp_path / "whole.csv", table(0, 60), folder.record.info)[0]
    seen = []
    (written,) = folder.export(
        tmp_path / "locs.csv", lambda part, found: seen.append((part.start, part.stop, len(found)))
    )
    assert written.read_bytes() == whole.read_bytes()
    assert seen == [(0, 7, 21), (7, 30, 69), (30, 60, 90)]


def test_a_finished_run_keeps_its_record_and_no_parts(folder, tmp_path):
    folder.write_part(0, 60, table(0, 60))
    (folder.path / "parts" / ".0123456789ab.part.parquet").touch()  # of a killed process
    folder.finish(tables=["locs.csv"], report={"frames": 60}, warnings=["odd"])
    assert [path.name for path in folder.path.iterdir()] == ["run.json"]
    again = RunFolder.open(folder.path).record
    assert again.status == "finished"
    assert again == folder.record.replace(
        status="finished", tables=["locs.csv"], report={"frames": 60}, warnings=["odd"]
    )


def test_the_other_half_of_a_run_computes_in_the_same_way(folder):
    block = LocalizedBlock(
        *(0, 8, 60, table(0, 8), 1.0, 0.0, 1.0, "cpu"),
        **{"engine": "openvino", "precision": "float32", "batch_frames": 7, "tile_size": 640},
    )
    folder.note(how=how_of(block))
    folder.stop()  # says the one that does not know of the note
    settings = RunFolder.open(folder.path).record.settings_used
    used = settings.engine, settings.batch_frames, settings.tile_size, settings.device
    assert used == ("openvino", 7, 640, "cpu")
    assert folder.record.settings.engine == "auto"


def test_run_json_tells_what_was_done_and_on_which_versions(folder, movie):
    said = json.loads((folder.path / "run.json").read_text())
    assert said["status"] == "running"
    assert said["movie"]["shape"] == [60, 20, 24]
    assert said["movie"]["dtype"] == "uint16"
    assert said["movie"]["bytes"] == movie.stat().st_size
    assert said["settings"]["block_frames"] == LocalizeConfig().block_frames
    assert said["camera"]["kind"] == "scmos"
    assert {"napari-dilatedloc", "torch", "numpy", "python"} == set(said["versions"])
    assert os.uname().nodename not in set(said["versions"].values())


# What a part holds.


def test_parts_are_worth_a_file_and_follow_each_other(folder, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(store.time, "monotonic", lambda: now[0])
    writer = PartWriter(folder)
    for start in range(0, 48, 4):
        writer.add(start, start + 4, table(start, start + 4))
        now[0] += 4.0
    spans = [(part.start, part.stop) for part in folder.parts()]
    assert spans == [(0, 4), (4, 16), (16, 28), (28, 40)]  # the first at once, then every 12 s
    writer.flush()
    writer.flush()
    assert folder.missing() == [(48, 60)]


def test_many_localizations_and_a_jump_end_a_part(folder, monkeypatch):
    monkeypatch.setattr(store, "PART_ROWS", 30)
    writer = PartWriter(folder)
    for start in (0, 4, 8, 12, 40, 44):
        writer.add(start, start + 4, table(start, start + 4))
    writer.flush()
    spans = [(part.start, part.stop) for part in folder.parts()]
    assert spans == [(0, 4), (4, 16), (40, 48)]
    assert len(folder.parts()[1].read()) == 36


# Errors.


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_one_sentence_and_the_parts_stay(folder, tmp_path, monkeypatch):
    def run():
        with working(folder) as parts:
            parts.add(0, 8, table(0, 8))
            parts.add(8, 16, table(8, 16))
            monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
            monkeypatch.setattr(store, "PART_SECONDS", 0.0)
            parts.add(16, 24, table(16, 24))

    with pytest.raises(RunError, match=r"frames 8 to 23 .*No space left.*--resume"):
        run()
    assert RunFolder.open(folder.path).record.status == "stopped"
    assert folder.missing() == [(8, 60)]


def test_a_table_that_cannot_be_written_leaves_the_parts(folder, tmp_path, monkeypatch):
    folder.write_part(0, 60, table(0, 60))
    monkeypatch.setattr("napari_dilatedloc.io.csv_rows.text_of", full)
    with pytest.raises(RunError, match=r"locs.csv cannot be written \(No space left"):
        folder.export(tmp_path / "locs.csv")
    assert folder.missing() == []
    assert not (tmp_path / "locs.csv").exists()


def test_what_was_done_before_an_error_is_kept(folder):
    def run():
        with working(folder) as parts:
            parts.add(0, 8, table(0, 8))
            parts.add(8, 16, table(8, 16))
            raise ValueError("frame 16 is damaged")

    with pytest.raises(ValueError, match="damaged"):
        run()
    assert folder.missing() == [(16, 60)]
    assert RunFolder.open(folder.path).record.status == "stopped"


def test_an_error_before_the_first_part_leaves_nothing(folder):
    with pytest.raises(ValueError, match="no such device"), working(folder):
        raise ValueError("no such device")
    assert not folder.path.exists()


def test_a_place_where_no_folder_can_be(tmp_path, record):
    (tmp_path / "locs.run").write_text("a file of mine")
    with pytest.raises(RunError, match="cannot make the folder"):
        begin(tmp_path / "locs.run", record)
    assert (tmp_path / "locs.run").read_text() == "a file of mine"


def test_a_damaged_part_names_itself(folder):
    path = folder.write_part(0, 60, table(0, 60))
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)  # the footer is whole
    path.write_bytes(data)
    with pytest.raises(RunError, match=r"00000000-00000060.*delete it") as caught:
        folder.parts()[0].read()
    assert "\n" not in str(caught.value)


def test_only_what_is_ours_is_removed(folder):
    folder.write_part(0, 60, table(0, 60))
    (folder.path / "parts" / "mine.parquet").touch()
    discard(folder.path)
    left = [path.name for path in folder.path.rglob("*") if path.is_file()]
    assert left == ["mine.parquet"]


# The same run again.


def test_a_run_is_begun_resumed_or_begun_again(tmp_path, record):
    path = tmp_path / "locs.run"
    begin(path, record, resume=True).write_part(0, 20, table(0, 20))
    with pytest.raises(RunError, match=r"20 of 60 frames.*--resume.*--overwrite"):
        begin(path, record)
    assert begin(path, record, resume=True).missing() == [(20, 60)]
    assert begin(path, record, overwrite=True).missing() == [(0, 60)]


def test_a_stopped_run_of_other_settings_is_not_resumed(tmp_path, record):
    path = tmp_path / "locs.run"
    begin(path, record).write_part(0, 20, table(0, 20))
    other = record.replace(settings={"threshold": 0.8, "prefetch_blocks": 5})
    with pytest.raises(RunError, match=r"differs in threshold \(None, now 0\.8\); ") as caught:
        begin(path, other, resume=True)
    assert "prefetch" not in str(caught.value)
    assert begin(path, other, overwrite=True).record.settings.threshold == 0.8


def test_a_finished_run_is_left_alone_as_long_as_its_table_is_there(tmp_path, record):
    path = tmp_path / "locs.run"
    (tmp_path / "locs.csv").touch()
    begin(path, record).finish(tables=["locs.csv"])
    assert begin(path, record).record.status == "finished"
    assert begin(path, record, resume=True).record.status == "finished"
    other = record.replace(pixel_size_nm=90.0)
    assert begin(path, other).record.status == "running"
    begin(path, record, overwrite=True).finish(tables=["locs.csv"])
    (tmp_path / "locs.csv").unlink()
    assert begin(path, record).record.status == "running"


def test_another_version_goes_on_with_a_warning(tmp_path, record, caplog):
    path = tmp_path / "locs.run"
    begin(path, record.replace(versions={"torch": "1.0"})).write_part(0, 9, table(0, 9))
    assert begin(path, record, resume=True).record.versions == record.versions
    assert "torch 1.0" in caplog.text


@pytest.mark.parametrize("text", ["", "{}", '{"format": "else"}', "\xff"])
def test_a_run_json_that_is_none(tmp_path, record, text):
    path = tmp_path / "locs.run"
    path.mkdir()
    (path / "run.json").write_text(text, encoding="latin-1")
    with pytest.raises(RunError, match=r"locs\.run") as caught:
        begin(path, record, resume=True)
    assert "\n" not in str(caught.value)
    assert begin(path, record, overwrite=True).missing() == [(0, 60)]


def test_tables_of_one_name_have_folders_of_their_own(tmp_path, record):
    csv, hdf5 = tmp_path / "locs.csv", tmp_path / "locs.hdf5"
    assert folder_of(csv) == folder_of(hdf5) == tmp_path / "locs.run"
    RunFolder.create(folder_of(csv), record)
    assert folder_of(csv) == tmp_path / "locs.run"
    assert folder_of(hdf5) == tmp_path / "locs.hdf5.run"


# What makes a movie the same.


def test_a_movie_is_the_same_where_it_is_moved_and_another_when_it_is_changed(movie, tmp_path):
    before = identify(open_movie(movie))
    (tmp_path / "elsewhere").mkdir()
    moved = movie.rename(tmp_path / "elsewhere" / "m.tif")
    there = identify(open_movie(moved))
    assert there.path != before.path
    assert there == before.replace(path=there.path)
    data = bytearray(moved.read_bytes())
    data[5000] ^= 1
    moved.write_bytes(data)
    os.utime(moved, (before.modified, before.modified))
    changed = identify(open_movie(moved))
    assert changed.sha256 != before.sha256
    assert changed == there.replace(sha256=changed.sha256)
    os.utime(moved, (before.modified + 60, before.modified + 60))
    assert identify(open_movie(moved)).modified == before.modified + 60


def test_of_a_long_movie_three_pieces_are_read(tmp_path):
    path = tmp_path / "long.tif"
    write_movie(path, np.zeros((40, 400, 500), np.uint16), 100.0)
    movie, size = open_movie(path), path.stat().st_size
    assert size > 10 * SAMPLE_BYTES

    def changed(place):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\x01")
        return identify(movie).sha256

    hashes = [changed(place) for place in (10, size // 4, size // 2 + 10, 3 * size // 4, size - 10)]
    assert hashes[0] == hashes[1]  # not read, therefore cheap
    assert hashes[2] == hashes[3]
    assert len(set(hashes)) == 3


def test_all_files_of_a_folder_count(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(12):
        write_movie(folder / f"{i}.tif", np.full((1, 16, 16), i, np.uint16), 100.0)
    before = identify(open_movie(folder))
    assert before.shape == (12, 16, 16)
    assert before.bytes == sum(file.stat().st_size for file in folder.iterdir())
    (folder / "4.tif").rename(folder / "44.tif")  # neither first, middle nor last
    assert identify(open_movie(folder)).sha256 != before.sha256


def test_differences_name_what_differs_and_nothing_else(record):
    assert differences(record, record) == []
    moved = record.movie.replace(path="/elsewhere/m.tif")
    assert differences(record, record.replace(movie=moved)) == []
    other = record.replace(
        movie=record.movie.replace(sha256="0", bytes=7),
        model={"name": "mine", "sha256": "1"},
        camera=SCMOSConfig(baseline=50.0, e_per_adu=1, qe=1),
        settings=LocalizeConfig(roi=(0, 0, 9, 9)),
        pixel_size_nm=90.0,
    )
    found = differences(record, other)
    assert [sentence.split(" (")[0] for sentence in found] == [
        "model",
        "movie bytes",
        "movie contents",
        "roi",
        "camera baseline",
        "pixel size",
    ]
