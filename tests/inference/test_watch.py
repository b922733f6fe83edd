"""A movie localized while it grows gives the table of the finished movie."""

import threading

import numpy as np
import pytest
import tifffile

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference import pipeline
from napari_dilatedloc.inference import watch as watching
from napari_dilatedloc.inference.footprint import bytes_per_pixel
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.inference.watch import Patience, watch
from napari_dilatedloc.io.growing import GrowingMovie
from napari_dilatedloc.table import Localizations

EAGER = Patience(look_s=0.01, idle_s=60.0)  # whoever writes says when it is over
CONFIG = LocalizeConfig(device="cpu", engine="exact", block_frames=4, batch_frames=3)


def table(blocks):
    return Localizations.concatenate([block.localizations for block in blocks])


@pytest.fixture
def movie(noise):
    return noise(23, 24, 24).clip(0, 60000).astype(np.uint16)


def write_one(folder, i, frame):
    tifffile.imwrite(folder / f"img_{i}.tif", frame, photometric="minisblack")


def test_equals_the_finished_movie(previous, movie, same, tmp_path):
    """Every frame comes while the ones before it are looked at or done."""
    over, done = threading.Event(), []
    write_one(tmp_path, 0, movie[0])
    write_one(tmp_path, 1, movie[1])
    written = 2
    for block in watch(GrowingMovie(tmp_path), previous, CONFIG, patience=EAGER, over=over):
        done.append(block)
        for _ in range(3):  # the next frames are written only after a result for the ones before
            if written < len(movie):
                write_one(tmp_path, written, movie[written])
                written += 1
        if written == len(movie):
            over.set()
    edges = [0, *(block.stop for block in done)]
    assert [block.start for block in done] == edges[:-1]
    assert edges[-1] == len(movie)
    assert len(done) > 5
    same(table(done), table(localize(movie, previous, CONFIG)))


def test_one_engine_does_all_pieces_and_changes_nothing(strided, movie, tmp_path, monkeypatch):
    over, made, done = threading.Event(), [], []
    build = watching.build_engine

    def counting(network, device, config):
        made.append(device.type)
        return build(network, device, config)

    monkeypatch.setattr(watching, "build_engine", counting)
    with monkeypatch.context() as patch:
        patch.delattr(pipeline, "build_engine")
        write_one(tmp_path, 0, movie[0])
        write_one(tmp_path, 1, movie[1])
        for block in watch(GrowingMovie(tmp_path), strided, CONFIG, patience=EAGER, over=over):
            done.append(block)
            for i in range(block.stop + 1, min(block.stop + 5, len(movie))):
                write_one(tmp_path, i, movie[i])
            if block.stop + 5 >= len(movie):
                over.set()
    assert made == ["cpu"]
    assert len(done) > 4
    for block in done:  # each piece by itself, with an engine of its own
        alone = table(localize(movie, strided, CONFIG.replace(frames=(block.start, block.stop))))
        for name in alone.column_names():
            np.testing.assert_array_equal(getattr(block.localizations, name), getattr(alone, name))


def test_all_pieces_are_cut_like_the_first(previous, noise, tmp_path, monkeypatch):
    movie = noise(12, 24, 200).clip(0, 60000).astype(np.uint16)
    over, needed = threading.Event(), bytes_per_pixel(previous.network)
    monkeypatch.setattr(pipeline, "HUNGRY", 2**40)  # look at the memory
    monkeypatch.setattr(pipeline, "free_memory", lambda device: 24 * 120 * needed)
    for i in range(6):
        write_one(tmp_path, i, movie[i])
    config = CONFIG.replace(batch_frames=1)
    blocks = watch(GrowingMovie(tmp_path), previous, config, patience=EAGER, over=over)
    sizes = [next(blocks).tile_size]
    monkeypatch.setattr(pipeline, "free_memory", lambda device: 2**40)
    for i in range(6, 12):
        write_one(tmp_path, i, movie[i])
    over.set()
    sizes += [block.tile_size for block in blocks]
    assert len(sizes) > 2
    assert set(sizes) == {104}


def test_a_thread_writes_one_file_page_by_page(previous, movie, same, tmp_path):
    over = threading.Event()

    def record():
        with tifffile.TiffWriter(tmp_path / "run.tif") as file:
            for frame in movie:
                file.write(frame, photometric="minisblack", metadata=None)
        over.set()

    thread = threading.Thread(target=record)
    thread.start()
    try:
        source = GrowingMovie(tmp_path / "run.tif")
        found = table(watch(source, previous, CONFIG, patience=EAGER, over=over))
    finally:
        thread.join()
    same(found, table(localize(movie, previous, CONFIG)))


def test_goes_on_after_an_earlier_run(previous, movie, same, tmp_path):
    for i, frame in enumerate(movie):
        write_one(tmp_path, i, frame)
    over = threading.Event()
    over.set()
    blocks = list(watch(GrowingMovie(tmp_path), previous, CONFIG, first=9, over=over))
    assert (blocks[0].start, blocks[-1].stop) == (9, 23)
    whole = table(localize(movie, previous, CONFIG))
    same(table(blocks), whole[whole.frame >= 9])


def test_ends_when_nothing_comes(previous, movie, tmp_path):
    for i in range(5):
        write_one(tmp_path, i, movie[i])
    patience = Patience(look_s=0.01, idle_s=0.05)
    blocks = list(watch(GrowingMovie(tmp_path), previous, CONFIG, patience=patience))
    assert blocks[-1].stop == 5
    empty = tmp_path / "empty"
    empty.mkdir()
    assert list(watch(GrowingMovie(empty), previous, CONFIG, patience=patience)) == []


def test_stop_ends_the_wait(previous, movie, tmp_path):
    for i in range(5):
        write_one(tmp_path, i, movie[i])
    stop = threading.Event()
    patience = Patience(look_s=3600.0, idle_s=3600.0)
    blocks = watch(GrowingMovie(tmp_path), previous, CONFIG, patience=patience, stop=stop)
    assert next(blocks).stop == 4  # the fifth waits for its neighbour
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    try:
        assert list(blocks) == []  # at once, not in an hour
    finally:
        timer.join()
