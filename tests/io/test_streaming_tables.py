"""Tables written part by part: the same file however they come, in constant memory, or none."""

import tracemalloc

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_dilatedloc.io import rows
from napari_dilatedloc.io.tables import (
    TableError,
    open_table,
    read_table,
    table_files,
    write_table,
)
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(pixel_size_nm=110.0, shape=(32, 48), n_frames=900)
SUFFIXES = (".csv", ".hdf5", ".h5", ".parquet", ".mat")
PIECE = 64


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(rows, "PIECE_ROWS", PIECE)
    monkeypatch.setattr(rows, "CHUNK_ROWS", 16)
    monkeypatch.setattr("napari_dilatedloc.io.picasso.PIECE_ROWS", PIECE)


def table(n, seed=0):
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(0.5, 30, n) for name in Localizations.column_names()}
    return Localizations(**{**columns, "frame": np.sort(rng.integers(0, 900, n))})


def write_parts(path, whole, cuts, info=INFO):
    with open_table(path, info) as writer:
        for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            writer.write(whole[start:stop])
    return writer.files


def contents(files):
    return [file.read_bytes() for file in files]


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(n=st.integers(0, 5 * PIECE), cuts=st.lists(st.integers(0, 5 * PIECE), max_size=6))
def test_bytes_do_not_depend_on_the_parts(tmp_path, suffix, n, cuts):
    whole = table(n)
    cuts = sorted(min(cut, n) for cut in cuts)
    path = tmp_path / f"locs{suffix}"  # one name for both, for SMAP's files hold theirs
    at_once = contents(write_table(path, whole, INFO))
    assert contents(write_parts(path, whole, cuts)) == at_once


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("n", [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5])
def test_every_row_survives_the_joints(tmp_path, suffix, n):
    path = tmp_path / f"locs{suffix}"
    files = write_parts(path, table(n), range(7, n, 7))
    assert files == table_files(path)
    read, info = read_table(path, pixel_size_nm=110.0)
    np.testing.assert_array_equal(read.frame, table(n).frame)
    for name in ("x", "y", "z_nm", "photons"):
        np.testing.assert_allclose(getattr(read, name), getattr(table(n), name), atol=2e-5)
    assert suffix == ".csv" or info == INFO


def test_rows_of_a_csv_are_numbered_through(tmp_path):
    path = write_parts(tmp_path / "locs.csv", table(200), [50])[0]
    assert pd.read_csv(path)["id"].tolist() == list(range(1, 201))


def unknown_until(n, first, **kind):
    """A table whose z is unknown in the first rows."""
    whole = table(n)
    return whole.replace(z_nm=np.where(np.arange(n) < first, np.nan, whole.z_nm))


def test_a_column_that_becomes_known_late_is_in_the_csv(tmp_path):
    whole = unknown_until(200, 150)
    path = write_parts(tmp_path / "locs.csv", whole, [])[0]
    read = pd.read_csv(path)
    assert list(read.columns[:5]) == ["id", "frame", "x [nm]", "y [nm]", "z [nm]"]
    np.testing.assert_allclose(read["z [nm]"], whole.z_nm, atol=1e-5)
    np.testing.assert_allclose(read["x [nm]"], (whole.x + 0.5) * 110, atol=1e-3)
    assert read["offset [photon]"].notna().all()


@pytest.mark.parametrize("first", [0, 200])
def test_a_column_that_is_never_known_is_not_in_the_csv(tmp_path, first):
    path = write_parts(tmp_path / "locs.csv", unknown_until(200, first), [3])[0]
    assert ("z [nm]" in pd.read_csv(path).columns) == (first == 0)


@pytest.mark.parametrize(("bad", "first_piece"), [(3, True), (150, False)])
def test_picasso_gets_no_column_with_a_nan_in_any_piece(tmp_path, bad, first_piece):
    whole = table(200)
    spoilt = whole.replace(z_nm=np.where(np.arange(200) == bad, np.nan, whole.z_nm))
    path = write_parts(tmp_path / "locs.hdf5", spoilt, [100])[0]
    with h5py.File(path) as file:
        locs = file["locs"][()]
    assert (bad < PIECE) == first_piece
    assert "z" not in locs.dtype.names
    assert all(np.isfinite(locs[name]).all() for name in locs.dtype.names)
    np.testing.assert_array_equal(locs["lpz"], whole.sigma_z_nm)
    np.testing.assert_array_equal(locs["frame"], whole.frame)
    assert read_table(path)[1] == INFO
    assert sorted(file.name for file in tmp_path.iterdir()) == ["locs.hdf5", "locs.yaml"]


def test_picasso_counts_what_has_no_precision_over_all_pieces(tmp_path, caplog):
    whole = table(200)
    blind = whole.replace(sigma_x=np.where(np.arange(200) % 2, np.nan, whole.sigma_x))
    write_parts(tmp_path / "locs.hdf5", blind, [100])
    assert "100 localizations without precision" in caplog.text


def test_picasso_takes_an_unknown_size_from_the_outermost_rows(tmp_path):
    whole = table(200)
    x = np.where(np.arange(200) == 70, 99.2, whole.x)
    info = TableInfo(pixel_size_nm=100.0)
    files = write_parts(tmp_path / "locs.hdf5", whole.replace(x=x), [5], info)
    document = yaml.safe_load(files[1].read_text())
    assert document["Width"] == 100
    assert document["Frames"] == whole.frame.max() + 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("n", [5, 200])
def test_an_error_on_the_way_leaves_what_was_there(tmp_path, suffix, n):
    path = tmp_path / f"locs{suffix}"
    before = {file: file.read_bytes() for file in write_table(path, table(9), INFO)}

    def broken():
        with open_table(path, INFO) as writer:
            writer.write(table(n))
            raise RuntimeError("the device is gone")

    with pytest.raises(RuntimeError, match="gone"):
        broken()
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    for file in before:
        file.unlink()
    with pytest.raises(RuntimeError, match="gone"):
        broken()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_does_not_grow_with_the_table(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(rows, "PIECE_ROWS", 1000)
    monkeypatch.setattr(rows, "CHUNK_ROWS", 500)

    def peak(parts):
        part = table(500)
        tracemalloc.start()
        with open_table(tmp_path / f"{parts}{suffix}", INFO) as writer:
            for _ in range(parts):
                writer.write(part)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(4)  # what is loaded at first use
    longer = 500 * 80 * 11 * 4  # what 80 further parts hold, bytes
    assert peak(84) - peak(4) < longer / 10


def test_a_name_that_no_format_has_is_refused_before_the_work(tmp_path):
    for refused in (lambda: table_files(tmp_path / "locs.txt"), lambda: broken_open(tmp_path)):
        with pytest.raises(TableError, match=r"cannot write a table as locs.txt.*\.parquet"):
            refused()
    assert list(tmp_path.iterdir()) == []


def broken_open(folder):
    with open_table(folder / "locs.txt", INFO):
        pytest.fail("nothing is opened")
