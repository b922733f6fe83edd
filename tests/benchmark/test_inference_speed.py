"""The benchmarks of localization give all their rows; how fast this machine is, is not asked."""

import json
import time

import numpy as np
import pytest
import torch

from napari_dilatedloc.benchmark import decoding, network, pipeline, reading
from napari_dilatedloc.benchmark.memory import peak_megabytes
from napari_dilatedloc.benchmark.movies import write_movie
from napari_dilatedloc.io.movie import open_movie


def rows_of(module, run, sizes):
    rows = list(run(sizes))
    assert len(rows) == module.count_rows(sizes)
    assert all(row.value > 0 for row in rows)
    values = [row.to_dict() for row in rows]
    assert json.loads(json.dumps(values)) == values
    return values


def test_decode_finds_every_molecule_that_was_put_in():
    sizes = decoding.DecodeBenchmark(localizations=300, batches=((3, 64),), repeats=1)
    (row,) = rows_of(decoding, decoding.benchmark_decode, sizes)
    assert row["localizations"] == 300
    with pytest.raises(ValueError, match="no room"):
        decoding.raw_output(1, 16, 17)


def test_read_rows():
    sizes = reading.ReadBenchmark(movies=((16, 130),), repeats=1)
    (row,) = rows_of(reading, reading.benchmark_read, sizes)
    assert row["value"] == pytest.approx(row["mb_per_second"] / row["memmap_mb_per_second"])


def test_network_rows():
    sizes = network.NetworkBenchmark(("dilatedloc", "decode"), (32,), frames=2, repeats=1)
    rows = rows_of(network, network.benchmark_network, sizes)
    timed = [row for row in rows if "network" in row]
    modes = [(row["network"], row["mode"]) for row in timed]
    assert modes == [(name, mode) for name in sizes.networks for mode in ("published", "fast")]
    assert all(row["ms_per_frame"] == row["value"] and row["size"] == 32 for row in timed)
    assert all(row["precision"] == "float32" for row in timed)


def test_windows_are_those_of_neighbouring_frames():
    run = torch.arange(5.0)[None, :, None, None]
    assert network._windows(run, 3)[:, :, 0, 0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_pipeline_rows():
    sizes = pipeline.PipelineBenchmark(movies=((32, 40),), repeats=1)
    whole, slowed = rows_of(pipeline, pipeline.benchmark_pipeline, sizes)
    assert (whole["frames"], whole["size"]) == (40, 32)
    assert whole["efficiency"] == whole["value"]
    assert set(whole["stages"]) == {"read", "upload", "network", "decode", "collect"}
    assert slowed["value"] > 0.9  # a run cannot be faster than its reader


def test_a_slow_movie_takes_its_time_and_gives_the_frames(tmp_path):
    frames = np.arange(4 * 20 * 20, dtype=np.uint16).reshape(4, 20, 20)
    write_movie(tmp_path / "movie.tif", frames, 10)
    movie = open_movie(tmp_path / "movie.tif").data
    slow = pipeline.SlowMovie(movie, 0.01)
    start = time.perf_counter()
    got = slow[2:7]
    assert time.perf_counter() - start >= 0.05
    assert slow.seconds >= 0.05
    np.testing.assert_array_equal(got, frames[[2, 3, 0, 1, 2]])


def test_memory_says_why_a_run_failed(tmp_path):
    with pytest.raises(RuntimeError, match="no such file"):
        peak_megabytes(tmp_path / "gone.tif", "astigmatism", tmp_path / "locs.csv")
