"""Recipes of tables: beside a CSV, in the metadata of Picasso, however long."""

import h5py
import numpy as np
import pytest

from napari_dilatedloc.io.tables import TableError, read_info, read_table, write_table
from napari_dilatedloc.table import Localizations, Step, TableInfo

INFO = TableInfo(100.0)
TABLE = Localizations.from_columns(
    frame=[0, 1], x=[1, 2], y=[1, 2], sigma_x=[0.1, 0.1], sigma_y=[0.1, 0.1]
)
DONE = INFO.after("drift", {"method": "aim", "limit": np.float32(0.5)}, 2)
STEPS = (Step("drift", {"method": "aim", "limit": 0.5}, 2),)


def recipe_of(path):
    return read_info(path, pixel_size_nm=100.0).recipe


def test_a_recipe_lies_beside_a_csv(tmp_path):
    path = tmp_path / "a.csv"
    files = write_table(path, TABLE, DONE)
    assert [file.name for file in files] == ["a.csv", "a.recipe.yaml"]
    assert recipe_of(path) == STEPS


def test_both_files_may_be_renamed_together(tmp_path):
    for file in write_table(tmp_path / "a.csv", TABLE, DONE):
        file.rename(tmp_path / file.name.replace("a.", "b."))
    assert recipe_of(tmp_path / "b.csv") == STEPS


def test_a_table_that_takes_the_name_of_another_does_not_take_its_recipe(tmp_path, caplog):
    """It has as many rows: nothing but drift was taken off."""
    raw, corrected = tmp_path / "raw.csv", tmp_path / "corrected.csv"
    write_table(raw, TABLE.replace(x=[3, 4]), INFO)
    write_table(corrected, TABLE, DONE)
    raw.replace(corrected)
    assert recipe_of(corrected) == ()
    assert "corrected.recipe.yaml tells of another table than corrected.csv" in caplog.text


def test_a_table_that_was_changed_loses_its_recipe(tmp_path, caplog):
    path = write_table(tmp_path / "a.csv", TABLE, DONE)[0]
    with path.open("a") as file:
        file.write("3,3,50,50,1\n")
    assert recipe_of(path) == ()
    assert "changed or renamed" in caplog.text


def test_a_new_table_without_recipe_removes_an_old_one(tmp_path):
    path = write_table(tmp_path / "a.csv", TABLE, DONE)[0]
    write_table(path, TABLE, INFO)
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_a_recipe_of_somebody_else_stays(tmp_path):
    path, other = tmp_path / "a.csv", tmp_path / "a.recipe.yaml"
    other.write_text("salt: 1\n")
    write_table(path, TABLE, INFO)
    assert recipe_of(path) == ()
    before = path.read_bytes()
    with pytest.raises(TableError, match=r"a\.recipe\.yaml is none of this program"):
        write_table(path, TABLE[:1], DONE)
    assert (other.read_text(), path.read_bytes()) == ("salt: 1\n", before)


def test_a_spoilt_recipe_does_not_keep_from_the_rows(tmp_path, caplog):
    path, note = write_table(tmp_path / "a.csv", TABLE, DONE)
    note.write_text(note.read_text().replace("settings:", "set:"))
    read, info = read_table(path, pixel_size_nm=100.0)
    assert (len(read), info.recipe) == (2, ())
    assert "recipe of a.csv cannot be read" in caplog.text


def test_a_picasso_yaml_of_another_table_is_told(tmp_path, caplog):
    """Its own recipe lies in the file; its YAML may have been changed by hand and holds."""
    raw, corrected = tmp_path / "raw.hdf5", tmp_path / "corrected.hdf5"
    write_table(raw, TABLE, INFO)
    write_table(corrected, TABLE, TableInfo(130.0, recipe=DONE.recipe))
    assert read_info(corrected).recipe == STEPS
    raw.replace(corrected)
    info = read_info(corrected)
    assert (info.pixel_size_nm, info.recipe) == (130.0, ())
    assert "corrected.yaml says Pixelsize 130.0 and corrected.hdf5 itself Pixelsize 100.0" in (
        caplog.text
    )


def test_picasso_recipes_are_in_the_yaml_where_the_file_has_none(tmp_path):
    """So old versions of Picasso leave it when they write our table again."""
    path = write_table(tmp_path / "a.hdf5", TABLE, DONE)[0]
    with h5py.File(path, "r+") as file:
        del file["metadata"]
    assert read_info(path).recipe == STEPS


def test_long_recipes_fit(tmp_path):
    """HDF5 takes attributes of 64 kB only; a drift of many segments is longer."""
    steps = (Step("drift", {"x_nm": list(range(20_000))}, 1),)
    for kind in ("native", "decode", "picasso", "smap", "parquet"):
        info = TableInfo(100.0, recipe=steps)
        path = write_table(tmp_path / kind, TABLE, info, kind=kind)[0]
        assert read_info(path).recipe == steps
