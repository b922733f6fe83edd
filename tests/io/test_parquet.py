"""Our own Parquet: what pandas and pyarrow see of it, and what is wrong with a file."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from napari_dilatedloc.io import parquet
from napari_dilatedloc.io.tables import TableError, can_read, read_table, write_table
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(pixel_size_nm=110.0, shape=(32, 48), n_frames=20)


def table(n=50):
    rng = np.random.default_rng(0)
    columns = {name: rng.uniform(0.5, 30, n) for name in Localizations.column_names()}
    return Localizations(**{**columns, "frame": np.sort(rng.integers(0, 20, n))})


@pytest.fixture
def path(tmp_path):
    return write_table(tmp_path / "locs.parquet", table(), INFO)[0]


def test_every_bit_survives(path):
    read, info = read_table(path)
    for name in Localizations.column_names():
        np.testing.assert_array_equal(getattr(read, name), getattr(table(), name))
        assert getattr(read, name).flags.writeable  # torch warns of arrays that are not
    assert info == INFO
    assert read_table(path, pixel_size_nm=90.0)[1].pixel_size_nm == 90.0


def test_pandas_reads_it_without_us(path):
    read = pd.read_parquet(path)
    assert list(read.columns) == list(Localizations.column_names())
    assert read["frame"].dtype == np.int32
    assert (read.drop(columns="frame").dtypes == np.float32).all()
    np.testing.assert_array_equal(read["z_nm"], table().z_nm)


def test_schema_says_units_and_the_movie(path):
    schema = pq.read_schema(path)
    assert schema.field("x").metadata[b"unit"].startswith(b"px")
    assert schema.field("sigma_z_nm").metadata[b"unit"] == b"nm"
    assert all(b"unit" in field.metadata for field in schema)
    said = {name.decode(): json.loads(value) for name, value in schema.metadata.items()}
    assert said == {
        "format": "dilatedloc-localizations",
        "version": 1,
        "pixel_size_nm": 110.0,
        "shape": [32, 48],
        "n_frames": 20,
    }


def test_unknown_values_stay_unknown(tmp_path):
    one = Localizations.from_columns(frame=[3], x=[1.0], y=[2.0])
    path = write_table(tmp_path / "locs.parquet", one, TableInfo(100.0))[0]
    read, info = read_table(path)
    assert np.isnan(read.z_nm).all()
    assert read.prob.tolist() == [1.0]
    assert info == TableInfo(100.0)


def test_it_is_known_by_its_first_bytes_too(path):
    other = path.rename(path.with_name("locs.dat"))
    assert can_read(other)
    assert read_table(other)[1] == INFO


def test_other_peoples_parquet_is_left_to_them(tmp_path):
    path = tmp_path / "cells.parquet"
    pq.write_table(pa.table({"frame": [1], "x": [2.0], "y": [3.0]}), path)
    assert not can_read(path)
    with pytest.raises(TableError, match="no table of localizations"):
        read_table(path)
    (tmp_path / "text.parquet").write_text("frame,x,y\n")
    assert not can_read(tmp_path / "text.parquet")


def test_a_cut_file_is_called_damaged(path):
    assert parquet.rows_of(path) == 50
    path.write_bytes(path.read_bytes()[:-40])
    assert parquet.rows_of(path) is None
    assert not can_read(path)
    with pytest.raises(TableError, match="damaged"):
        read_table(path)


def test_a_later_version_is_refused(path):
    table_ = pq.read_table(path)
    metadata = {**table_.schema.metadata, b"version": b"2"}
    pq.write_table(table_.replace_schema_metadata(metadata), path)
    with pytest.raises(TableError, match="version 2, expected 1"):
        read_table(path)


def test_lost_columns_are_told(path):
    pq.write_table(pq.read_table(path).drop_columns(["x", "bg"]), path)
    with pytest.raises(TableError, match="lacks the columns x, bg"):
        read_table(path)
