"""A movie that is being written: whole frames only, never one missed, doubled or renumbered."""

import logging

import numpy as np
import pytest
import tifffile

from napari_dilatedloc.io.growing import GrowingMovie
from napari_dilatedloc.io.movie import MovieError, open_movie

SHAPE = (12, 10)


def frames(n, seed=0):
    return np.random.default_rng(seed).integers(0, 60000, (n, *SHAPE)).astype(np.uint16)


def page_by_page(path, movie, **options):
    with tifffile.TiffWriter(path) as file:
        for frame in movie:
            file.write(frame, photometric="minisblack", metadata=None, **options)
    return path.read_bytes()


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["plain", "zlib"])
def test_every_prefix_of_a_file_gives_its_whole_frames(tmp_path, options):
    movie = frames(5)
    whole = page_by_page(tmp_path / "whole.tif", movie, **options)
    path = tmp_path / "growing.tif"
    growing, counts = GrowingMovie(path), []
    assert growing.look() is None  # nobody has begun to write
    for end in [*range(0, len(whole), 37), len(whole)]:
        path.write_bytes(whole[:end])
        seen = growing.look()
        count = 0 if seen is None else seen.shape[0]
        counts.append(count)
        if seen is not None:
            np.testing.assert_array_equal(seen[:], movie[:count])
    assert counts == sorted(counts)
    assert set(counts) == set(range(6))


def test_single_frames_are_taken_when_they_are_whole(tmp_path):
    movie = frames(4)
    contents = []
    for frame in movie:
        tifffile.imwrite(tmp_path / "one.tiff", frame, photometric="minisblack")
        contents.append((tmp_path / "one.tiff").read_bytes())
    (tmp_path / "one.tiff").unlink()
    growing = GrowingMovie(tmp_path)
    for i, content in enumerate(contents):
        path = tmp_path / f"img_{i + 8}.tif"  # 8, 9, 10, 11: natural order
        path.write_bytes(content[: len(content) // 2])
        half = growing.look()
        assert (0 if half is None else half.shape[0]) == i
        path.write_bytes(content)
        np.testing.assert_array_equal(growing.look()[:], movie[: i + 1])


def test_waits_for_a_number_that_is_missing(tmp_path):
    movie = frames(4)
    for i in (0, 1, 3):
        tifffile.imwrite(tmp_path / f"img_{i}.tif", movie[i], photometric="minisblack")
    growing = GrowingMovie(tmp_path)
    assert growing.look().shape[0] == 2
    tifffile.imwrite(tmp_path / "img_2.tif", movie[2], photometric="minisblack")
    np.testing.assert_array_equal(growing.look()[:], movie)


def test_goes_over_a_gap_when_the_recording_is_over(tmp_path):
    movie = frames(4)
    for i in (0, 1, 3):
        tifffile.imwrite(tmp_path / f"img_{i}.tif", movie[i], photometric="minisblack")
    growing = GrowingMovie(tmp_path)
    np.testing.assert_array_equal(growing.look(over=True)[:], movie[[0, 1, 3]])


def test_files_of_many_frames_follow_one_another(tmp_path):
    movie = frames(9)
    first = page_by_page(tmp_path / "run_0.tif", movie[:5])
    second = page_by_page(tmp_path / "run_1.tif", movie[5:])
    (tmp_path / "run_0.tif").write_bytes(first[: len(first) - 30])  # its last frame is cut
    growing = GrowingMovie(tmp_path)
    assert growing.look().shape[0] == 4  # the second file has to wait for it
    (tmp_path / "run_0.tif").write_bytes(first)
    np.testing.assert_array_equal(growing.look()[:], movie)
    (tmp_path / "run_1.tif").write_bytes(second)
    np.testing.assert_array_equal(
        growing.look()[:], np.concatenate([movie[:5], open_movie(tmp_path / "run_1.tif").data])
    )


def test_a_cut_frame_is_left_out_at_the_end(tmp_path, caplog):
    movie = frames(3)
    whole = page_by_page(tmp_path / "run.tif", movie)
    (tmp_path / "run.tif").write_bytes(whole[:-20])
    with caplog.at_level(logging.WARNING):
        seen = GrowingMovie(tmp_path / "run.tif").look(over=True)
    np.testing.assert_array_equal(seen[:], movie[:2])
    assert "left out" in caplog.text


def test_a_file_before_those_taken_is_an_error(tmp_path):
    movie = frames(3)
    for i in (5, 6):
        tifffile.imwrite(tmp_path / f"img_{i}.tif", movie[0], photometric="minisblack")
    growing = GrowingMovie(tmp_path)
    assert growing.look().shape[0] == 2
    tifffile.imwrite(tmp_path / "img_4.tif", movie[2], photometric="minisblack")
    with pytest.raises(MovieError, match=r"img_4\.tif stands before"):
        growing.look()


def test_a_file_that_vanished_is_an_error(tmp_path):
    for i in range(2):
        tifffile.imwrite(tmp_path / f"img_{i}.tif", frames(1)[0], photometric="minisblack")
    growing = GrowingMovie(tmp_path)
    growing.look()
    (tmp_path / "img_0.tif").unlink()
    with pytest.raises(MovieError, match=r"img_0\.tif is gone"):
        growing.look()


def test_frames_of_another_shape_are_an_error(tmp_path):
    tifffile.imwrite(tmp_path / "img_0.tif", frames(1)[0], photometric="minisblack")
    growing = GrowingMovie(tmp_path)
    growing.look()
    tifffile.imwrite(tmp_path / "img_1.tif", frames(1)[0, :6], photometric="minisblack")
    with pytest.raises(MovieError, match="must be alike"):
        growing.look()


def test_colours_and_other_files_are_errors(tmp_path):
    rgb = np.zeros((*SHAPE, 3), np.uint8)
    tifffile.imwrite(tmp_path / "img_0.tif", rgb, photometric="rgb")
    with pytest.raises(MovieError, match="grey"):
        GrowingMovie(tmp_path).look()
    with pytest.raises(MovieError, match="folder"):
        GrowingMovie(tmp_path / "movie.czi").look()
