"""Damaged files, and files that are no movie: one sentence each."""

import os

import numpy as np
import pytest
import tifffile

from napari_dilatedloc.io.movie import MovieError, check_movie, open_movie


def frames(n=12, height=20, width=30):
    return np.random.default_rng(0).integers(0, 250, (n, height, width)).astype(np.uint16)


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"imagej": True}, {"ome": True}, {"metadata": None}]
)
@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.9])
def test_truncated_file(tmp_path, options, keep):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames(40), photometric="minisblack", **options)
    os.truncate(path, int(keep * path.stat().st_size))
    with pytest.raises(MovieError, match="truncated") as caught:
        open_movie(path)
    assert "\n" not in str(caught.value)


def test_truncated_page_by_page(tmp_path):
    """Cut inside a frame that has its own header, as cameras write."""
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in frames(40):
            writer.write(frame, metadata=None, contiguous=False)
    for keep in (0.5, 0.52, 0.97):
        whole = path.read_bytes()
        cut = tmp_path / "cut.tif"
        cut.write_bytes(whole[: int(keep * len(whole))])
        with pytest.raises(MovieError, match="truncated"):
            open_movie(cut)


def test_damaged_inside(tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames(40), compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[7].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 50)
    movie = open_movie(path)
    movie.data[:7].compute()
    with pytest.raises(MovieError, match="frame 7"):
        movie.data.compute()


def test_file_that_shrinks_after_opening(tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames(40), photometric="minisblack")
    movie = open_movie(path)
    os.truncate(path, 5000)
    with pytest.raises(MovieError, match="shrunk"):
        movie.data.compute()


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((20, 30), {}, "single 2-D image"),
        ((20, 30, 3), {"photometric": "rgb"}, "RGB"),
        ((20, 30, 3), {}, "RGB"),
        ((5, 20, 30, 3), {"photometric": "rgb"}, "RGB"),
        ((5, 2, 20, 30), {"imagej": True, "metadata": {"axes": "TCYX"}}, "2 channels"),
        ((5, 2, 20, 30), {"imagej": True, "metadata": {"axes": "TZYX"}}, "axes TZYX"),
    ],
)
def test_what_is_no_movie(tmp_path, shape, options, message):
    path = tmp_path / "image.tif"
    dtype = np.uint8 if "photometric" in options else np.uint16
    tifffile.imwrite(path, np.ones(shape, dtype), **({"photometric": "minisblack"} | options))
    with pytest.raises(MovieError, match=message):
        open_movie(path)


def test_what_is_no_tiff(tmp_path):
    path = tmp_path / "movie.tif"
    with pytest.raises(MovieError, match="no such file"):
        open_movie(path)
    path.write_bytes(b"this is no TIFF at all")
    with pytest.raises(MovieError, match="cannot be read as TIFF"):
        open_movie(path)
    with pytest.raises(MovieError, match=r"expected a \.tif"):
        open_movie(tmp_path / "movie.nd2")


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((5, 6), "u2", "2-D"),
        ((9, 6, 3), "u1", "RGB"),
        ((2, 9, 6, 4), "u1", "RGB"),
        ((2, 2, 9, 6), "u2", "4 dimensions"),
        ((5,), "u2", "1 dimensions"),
        ((5, 9, 6), "c8", "complex"),
        ((5, 9, 6), "?", "bool"),
        ((0, 9, 6), "u2", "at least one"),
    ],
)
def test_check_movie(shape, dtype, message):
    with pytest.raises(MovieError, match=message):
        check_movie(np.zeros(shape, dtype))
    check_movie(np.zeros((5, 9, 6), "u2"))
