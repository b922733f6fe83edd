import threading
import time

import dask.array as da
import numpy as np
import pytest
import tifffile
import torch

from napari_dilatedloc.inference import pieces, reader
from napari_dilatedloc.inference.reader import ReadRequest, read_blocks
from napari_dilatedloc.io import frames
from napari_dilatedloc.io.frames import FrameStack
from napari_dilatedloc.io.movie import MovieError, open_movie

CPU = torch.device("cpu")


def blocks_of(movie, frames, block_frames=4, reach=1, box=None, buffers=2, stop=None):
    box = box or (0, 0, *movie.shape[1:])
    request = ReadRequest(frames, box, reach, block_frames, buffers)
    return read_blocks(movie, request, CPU, stop or threading.Event())


class Watched:
    """An array that remembers how far it was read."""

    def __init__(self, data):
        self.data = data
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim
        self.read = []

    def __len__(self):
        return len(self.data)

    def __getitem__(self, key):
        self.read.append((key[0].start, key[0].stop))
        return self.data[key]


@pytest.fixture
def counting():
    """Movie whose pixels hold their frame's number, (23, 5, 6) uint16."""
    return np.broadcast_to(np.arange(23, dtype=np.uint16)[:, None, None], (23, 5, 6)).copy()


@pytest.mark.parametrize("block_frames", [1, 2, 4, 7, 23, 64])
@pytest.mark.parametrize("chunks", [None, 1, 5, 23])
@pytest.mark.parametrize("reach", [0, 1, 2])
@pytest.mark.parametrize("frames", [(0, 23), (5, 11), (22, 23)])
def test_blocks_carry_true_neighbours(counting, block_frames, chunks, reach, frames):
    movie = counting if chunks is None else da.from_array(counting, chunks=(chunks, 5, 6))
    seen = []
    for block in blocks_of(movie, frames, block_frames, reach):
        first, last = frames[0] + block.start, frames[0] + block.stop
        expected = np.clip(np.arange(first - reach, last + reach), 0, 22)
        got = block.frames[: last - first + 2 * reach]
        np.testing.assert_array_equal(got[:, 0, 0], expected)
        np.testing.assert_array_equal(got[:, -1, -1], expected)
        seen += range(first, last)
    assert seen == list(range(*frames))


def test_only_the_box_is_read():
    movie = np.arange(3 * 10 * 12, dtype=np.int32).reshape(3, 10, 12)
    (block,) = blocks_of(movie, (0, 3), reach=0, box=(2, 3, 7, 11))
    np.testing.assert_array_equal(block.frames[:3], movie[:, 2:7, 3:11])
    assert block.frames.dtype == torch.float32


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">u2", ">i2", "u4", "f4", ">f8", "f2", "?"])
def test_any_type_of_counts(dtype):
    movie = (np.arange(2 * 3 * 4).reshape(2, 3, 4) % 2 * 100).astype(dtype)
    (block,) = blocks_of(movie, (0, 2), reach=0)
    np.testing.assert_array_equal(block.frames[:2].float(), movie.astype("f4"))


def test_chunks_are_read_once(counting):
    calls = []

    def load(block, block_info=None):
        calls.append(block_info[None]["chunk-location"][0])
        return block

    movie = da.from_array(counting, chunks=(5, 5, 6)).map_blocks(load, dtype="u2", meta=counting)
    calls.clear()
    for _ in blocks_of(movie, (0, 23), block_frames=3):
        pass
    assert sorted(calls) == [0, 1, 2, 3, 4]


def test_large_chunks_are_cut(counting, monkeypatch):
    monkeypatch.setattr(reader, "LARGEST_READ", 3 * 5 * 6 * 2)
    cuts = list(reader._cuts(da.from_array(counting, chunks=-1), 1, 12, 64))
    assert cuts == [(1, 4), (4, 7), (7, 10), (10, 12)]


def test_ring_is_bounded(counting, monkeypatch):
    made = []

    def counted(*args):
        made.append(1)
        return torch.empty(args[0], dtype=args[1])

    monkeypatch.setattr(reader, "host_buffer", counted)
    movie = Watched(counting)
    blocks = blocks_of(movie, (0, 23), block_frames=2, buffers=3)
    next(blocks)
    time.sleep(0.2)  # ample for a reader that does not stop by itself
    # Three blocks of 2 frames and one neighbour at most, rounded up to reads of 2.
    assert movie.read[-1][1] <= 8
    assert sum(1 for _ in blocks) == 11
    assert len(made) == 3


def test_a_block_stays_as_it_is_until_the_next_is_asked_for(counting):
    for block in blocks_of(counting, (0, 23), block_frames=1, reach=0, buffers=2):
        time.sleep(0.002)
        assert (block.frames[0] == block.start).all()


def test_close_ends_a_reader_that_waits_for_a_buffer(counting):
    before = set(threading.enumerate())
    blocks = blocks_of(counting, (0, 23), block_frames=1)
    next(blocks)
    assert set(threading.enumerate()) > before
    blocks.close()
    assert not set(threading.enumerate()) - before


def test_dask_leaves_no_threads(counting):
    before = set(threading.enumerate())
    for _ in blocks_of(da.from_array(counting, chunks=(4, 5, 6)), (0, 23)):
        pass
    assert not set(threading.enumerate()) - before


def test_stop_ends_a_reader_between_two_reads(counting):
    stop = threading.Event()

    class Stopping(Watched):
        def __getitem__(self, key):
            stop.set()
            return super().__getitem__(key)

    movie = Stopping(counting)
    # The block needs three reads; the second does not come and nobody waits for it.
    assert list(blocks_of(movie, (0, 23), block_frames=4, stop=stop)) == []
    assert movie.read == [(0, 4)]


def test_an_error_while_reading_is_raised_here_with_its_cause(counting):
    class Broken(Watched):
        def __getitem__(self, key):
            if key[0].stop > 10:
                raise OSError("disk\n gone.")
            return super().__getitem__(key)

    before = set(threading.enumerate())
    blocks = blocks_of(Broken(counting), (0, 23), block_frames=4)
    assert next(blocks).stop == 4
    with pytest.raises(MovieError, match=r"frames 8 to 11 .* \(disk gone\); check") as caught:
        list(blocks)
    assert isinstance(caught.value.__cause__, OSError)
    assert "\n" not in str(caught.value)
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_frame_without_numbers_is_named(counting, value):
    movie = counting.astype("f4")
    movie[13, 2, 3] = value
    with pytest.raises(MovieError, match="frame 13 of the movie"):
        list(blocks_of(movie, (0, 23)))
    list(blocks_of(movie, (0, 23), box=(3, 0, 5, 6)))  # outside the region it does no harm


def test_number_beyond_float32_arrives_infinite_and_not_as_a_warning():
    movie = np.full((2, 3, 3), 1e300)
    (block,) = blocks_of(movie, (0, 2), reach=0)
    assert torch.isinf(block.frames[:2]).all()


@pytest.fixture
def files(tmp_path):
    """Movie of 23 frames 5 x 6 px as a plain TIFF, a coded one and a folder of frames."""
    movie = np.random.default_rng(0).integers(0, 60000, (23, 5, 6)).astype(np.uint16)
    movie[:, 0, 0] = np.arange(23)
    tifffile.imwrite(tmp_path / "plain.tif", movie, photometric="minisblack")
    tifffile.imwrite(tmp_path / "swapped.tif", movie, photometric="minisblack", byteorder=">")
    tifffile.imwrite(tmp_path / "coded.tif", movie, photometric="minisblack", compression="lzw")
    (tmp_path / "folder").mkdir()
    for number, frame in enumerate(movie):
        tifffile.imwrite(tmp_path / "folder" / f"{number}.tif", frame)
    return tmp_path, movie


@pytest.mark.parametrize("name", ["plain.tif", "swapped.tif", "coded.tif", "folder"])
@pytest.mark.parametrize("box", [None, (1, 2, 4, 6)])
@pytest.mark.parametrize("block_frames", [1, 4, 64])
@pytest.mark.parametrize("at_once", [1, 10])
def test_files_are_read_as_their_array_is(files, monkeypatch, name, box, block_frames, at_once):
    folder, movie = files
    monkeypatch.setattr(pieces, "SMALLEST_SHARE", 3 * 5 * 6 * 2)  # shared among threads
    monkeypatch.setattr(reader, "COPIED_AT_ONCE", at_once * 5 * 6 * 2)  # several blocks, or one
    opened = open_movie(folder / name).data
    assert isinstance(reader.frames_behind(opened), FrameStack)
    y0, x0, y1, x1 = box or (0, 0, 5, 6)
    for block in blocks_of(opened, (2, 23), block_frames, reach=1, box=box):
        first, last = 2 + block.start, 2 + block.stop
        expected = movie[np.clip(np.arange(first - 1, last + 1), 0, 22), y0:y1, x0:x1]
        np.testing.assert_array_equal(block.frames[: last - first + 2], expected)
        assert block.seconds > 0


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<f4"])
def test_a_memory_map_is_read_as_a_file(tmp_path, dtype):
    movie = np.random.default_rng(0).integers(0, 60000, (23, 5, 6)).astype(dtype)
    (tmp_path / "movie.raw").write_bytes(bytes(7) + movie.tobytes())
    mapped = np.memmap(tmp_path / "movie.raw", dtype, "r", offset=7, shape=movie.shape)
    assert isinstance(reader.frames_behind(mapped), FrameStack)
    # parts of a map say nothing of where they begin
    for part in (mapped[3:], mapped[:, 1:], mapped[::2], mapped.transpose(0, 2, 1)):
        assert reader.frames_behind(part) is part
    changed = np.memmap(tmp_path / "movie.raw", dtype, "c", offset=7, shape=movie.shape)
    changed[4] += 1  # not in the file
    expected = movie.copy()
    expected[4] += 1
    for source, truth in ((mapped, movie), (mapped[3:], movie[3:]), (changed, expected)):
        (block,) = blocks_of(source, (0, len(truth)), 64, reach=0)
        np.testing.assert_array_equal(block.frames[: len(truth)].float(), truth.astype("f4"))


def test_an_array_that_was_worked_on_is_taken_as_it_is(files):
    folder, movie = files
    brighter = open_movie(folder / "plain.tif").data + np.uint16(1)
    assert reader.frames_behind(brighter) is brighter
    (block,) = blocks_of(brighter[3:9], (0, 6), 64, reach=0)
    np.testing.assert_array_equal(block.frames[:6], movie[3:9] + 1)


@pytest.mark.parametrize("end", ["whole", "early"])
def test_a_file_is_opened_once_a_run_and_closed(files, monkeypatch, end):
    folder, _ = files
    opened, closed = [], []
    real_open, real_close = frames._open, frames.os.close

    def open_(path):
        opened.append(real_open(path))
        return opened[-1]

    def close(file):
        closed.append(file)
        real_close(file)

    movie = open_movie(folder / "plain.tif").data
    monkeypatch.setattr(frames, "_open", open_)
    monkeypatch.setattr(frames.os, "close", close)
    blocks = blocks_of(movie, (0, 23), 4, reach=1)
    next(blocks)
    if end == "early":
        blocks.close()
    else:
        list(blocks)
    assert len(opened) == 1
    assert closed.count(opened[0]) == 1


def test_the_file_read_last_stays_open(files):
    folder, _ = files
    kept = frames.KeptOpen()
    with kept(folder / "plain.tif") as first, kept(folder / "plain.tif") as again:
        assert first == again
    with kept(folder / "coded.tif"):
        assert kept._path == folder / "coded.tif"
    kept.close()
    kept.close()
    with pytest.raises(OSError, match="descriptor"):
        frames.os.fstat(first)


def test_a_file_that_ends_early_is_one_sentence(files):
    folder, _ = files
    opened = open_movie(folder / "plain.tif").data
    with (folder / "plain.tif").open("rb+") as file:
        file.truncate(600)
    with pytest.raises(MovieError, match=r"plain\.tif ends inside frames"):
        list(blocks_of(opened, (0, 23)))


def test_a_float_file_with_nan_names_the_frame(tmp_path):
    movie = np.zeros((9, 5, 6), np.float32)
    movie[7, 2, 2] = np.nan
    tifffile.imwrite(tmp_path / "movie.tif", movie, photometric="minisblack")
    with pytest.raises(MovieError, match="frame 7 of the movie"):
        list(blocks_of(open_movie(tmp_path / "movie.tif").data, (0, 9), 64))


def test_dask_works_on_several_chunks_at_once(counting, monkeypatch):
    monkeypatch.setattr(reader, "THREADS", 2)
    together = threading.Barrier(2, timeout=20)

    def load(block, block_info=None):
        if block_info and block_info[None]["chunk-location"][0] in (0, 1):
            together.wait()  # breaks if one is waited for before the other begins
        return block

    source = da.from_array(counting, chunks=(8, 5, 6))
    movie = source.map_blocks(load, dtype="u2", meta=np.empty((0, 0, 0), "u2"))
    assert sum(1 for _ in blocks_of(movie, (0, 23), 4)) == 6


def test_large_chunks_are_read_one_by_one(counting, monkeypatch):
    monkeypatch.setattr(reader, "THREADS", 4)
    monkeypatch.setattr(reader, "AHEAD_BYTES", 8 * 5 * 6 * 2)
    at_work, most = [], []

    def load(block):
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.pop()
        return block

    source = da.from_array(counting, chunks=(8, 5, 6))
    movie = source.map_blocks(load, dtype="u2", meta=np.empty((0, 0, 0), "u2"))
    list(blocks_of(movie, (0, 23), 4))
    assert max(most) <= 2  # the one that is poured out and the next
