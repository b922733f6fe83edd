"""Micro-Manager's own files, built byte by byte: header with an index, then pages and pixels."""

import json
import os
import struct

import numpy as np
import pytest

from napari_dilatedloc.io.movie import MovieError, open_movie

SIDE = 16
OF_FRAME = b'{"Camera": "Ixon"}\0'  # metadata behind the pixels of each frame
IFD_BYTES = 162  # 13 tags, as Micro-Manager writes; tifffile relies on it


def write_stack(path, movie, first, announced, position=0, positions=1):
    """Frames first, first + 1, ... of a movie that announces so many in all its files."""
    summary = json.dumps(
        {
            "MicroManagerVersion": "2.0",
            "Frames": announced,
            "Slices": 1,
            "Channels": 1,
            "Positions": positions,
            "Prefix": "cell",
            "Width": SIDE,
            "Height": SIDE,
            "PixelSize_um": 0.16,
            "PixelType": "GRAY16",
            "AxisOrder": ["position", "time", "z", "channel"],
        }
    ).encode()
    start = 40 + len(summary)
    size = IFD_BYTES + SIDE * SIDE * 2 + len(OF_FRAME)
    body, index = b"", b""
    for i, frame in enumerate(movie):
        offset = start + i * size
        values = {
            256: SIDE,
            257: SIDE,
            258: 16,
            259: 1,
            262: 1,
            273: offset + IFD_BYTES,
            277: 1,
            278: SIDE,
            279: SIDE * SIDE * 2,
            284: 1,
            296: 1,
            339: 1,
        }
        tags = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in values.items())
        tags += struct.pack("<HHII", 51123, 2, len(OF_FRAME), offset + IFD_BYTES + SIDE * SIDE * 2)
        following = offset + size if i + 1 < len(movie) else 0
        body += struct.pack("<H", 13) + tags + struct.pack("<I", following)
        body += frame.astype("<u2").tobytes() + OF_FRAME
        index += struct.pack("<5I", 0, 0, first + i, position, offset)
    end = start + len(body)
    header = b"II" + struct.pack("<HI", 42, start)
    header += struct.pack("<8I", 54773648, end, 483765892, 0, 99384722, 0, 2355492, len(summary))
    index = struct.pack("<2I", 3453623, len(movie)) + index
    path.write_bytes(header + summary + body + index)


def frames(n):
    return np.random.default_rng(0).integers(0, 60000, (n, SIDE, SIDE)).astype(np.uint16)


@pytest.fixture
def series(tmp_path):
    """Three files of 8, 8 and 4 frames; (first file, movie)."""
    movie = frames(20)
    for i, (start, stop) in enumerate(((0, 8), (8, 16), (16, 20))):
        name = "cell_MMStack_Pos0" + (f"_{i}" if i else "") + ".ome.tif"
        write_stack(tmp_path / name, movie[start:stop], start, 20)
    return tmp_path / "cell_MMStack_Pos0.ome.tif", movie


def test_files_are_joined(series):
    path, movie = series
    opened = open_movie(path)
    np.testing.assert_array_equal(opened.data.compute(), movie)
    assert opened.pixel_size_nm == 160.0
    np.testing.assert_array_equal(open_movie(path.parent).data.compute(), movie)


def test_one_file(tmp_path):
    path = tmp_path / "cell_MMStack_Pos0.ome.tif"
    write_stack(path, frames(9), 0, 9)
    np.testing.assert_array_equal(open_movie(path).data.compute(), frames(9))


def test_acquisition_that_was_stopped(tmp_path):
    path = tmp_path / "cell_MMStack_Pos0.ome.tif"
    write_stack(path, frames(9), 0, 1000)
    np.testing.assert_array_equal(open_movie(path).data.compute(), frames(9))


def test_missing_file(series):
    path, _ = series
    path.with_name("cell_MMStack_Pos0_1.ome.tif").unlink()
    with pytest.raises(MovieError, match=r"frame 8 of 20 is missing"):
        open_movie(path)


def test_truncated(series):
    path, _ = series
    whole = path.stat().st_size
    os.truncate(path, whole // 2)
    with pytest.raises(MovieError, match=r"truncated|missing"):
        open_movie(path)


def test_truncated_later_file(series):
    path, _ = series
    later = path.with_name("cell_MMStack_Pos0_2.ome.tif")
    os.truncate(later, later.stat().st_size // 2)
    with pytest.raises(MovieError, match=r"truncated|missing"):
        open_movie(path)


def test_one_position_of_several(tmp_path):
    for position in range(2):
        path = tmp_path / f"cell_MMStack_Pos{position}.ome.tif"
        write_stack(path, frames(8) + position, 0, 8, position, 2)
    for position in range(2):
        opened = open_movie(tmp_path / f"cell_MMStack_Pos{position}.ome.tif")
        np.testing.assert_array_equal(opened.data.compute(), frames(8) + position)
        assert opened.pixel_size_nm == 160.0
