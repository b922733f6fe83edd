"""Uncompressed frames lie where they lie in a file; few system calls bring many."""

import os

import numpy as np
import pytest
import tifffile

from napari_dilatedloc.io import frames as frames_module
from napari_dilatedloc.io.frames import MovieError, RawFrames
from napari_dilatedloc.io.layout import open_file


def noise(n, height=20, width=30):
    return np.random.default_rng(0).integers(0, 250, (n, height, width)).astype(np.uint16)


@pytest.mark.parametrize("system", ["posix", "without preadv"])
def test_frames_anywhere_in_a_file(tmp_path, monkeypatch, system):
    """Neighbours, gaps, an order of its own: any window of frames, also in pieces of 100 bytes."""
    if system == "without preadv":
        monkeypatch.delattr(os, "preadv", raising=False)
    monkeypatch.setattr(frames_module, "LARGEST_READ", 100)
    expected = noise(7, 5, 9)
    groups = ([0, 1], [4, 5, 6], [2], [3])
    content, offsets = b"", []
    for group in groups:
        offsets += [len(content) + k * expected[0].nbytes for k in range(len(group))]
        content += expected[group].tobytes() + b"gap"
    content, order = content[:-3], [i for group in groups for i in group]
    (tmp_path / "raw").write_bytes(content)
    run = RawFrames(tmp_path / "raw", (5, 9), expected.dtype, np.array(offsets))
    for start in range(7):
        for stop in range(start + 1, 8):
            out = np.zeros((stop - start, 5, 9), np.uint16)
            run.fill(start, out)
            np.testing.assert_array_equal(out, expected[order[start:stop]])
    (tmp_path / "raw").write_bytes(content[:-1])
    with pytest.raises(MovieError, match=r"raw ends inside frames 6-6; the file has shrunk"):
        run.fill(4, np.zeros((3, 5, 9), np.uint16))


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="counts the calls of this system")
def test_neighbours_on_disk_come_in_one_call(tmp_path, monkeypatch):
    path = tmp_path / "movie.tif"
    expected = noise(64)
    tifffile.imwrite(path, expected, photometric="minisblack")
    (run,) = open_file(path)[0]
    calls, read = [], os.preadv
    monkeypatch.setattr(os, "preadv", lambda *args: calls.append(args) or read(*args))
    out = np.zeros((40, 20, 30), np.uint16)
    run.fill(13, out)
    np.testing.assert_array_equal(out, expected[13:53])
    assert len(calls) == 1
