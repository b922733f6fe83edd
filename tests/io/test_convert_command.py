"""``dilatedloc convert``: any table to any format, the recipe with it."""

import json

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from napari_dilatedloc.cli.tables import register
from napari_dilatedloc.io.tables import FORMATS, TableError, read_table, write_table
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(100.0, (32, 32), 9).after("filter", {"where": "photons > 5"}, 3)


@pytest.fixture
def source(tmp_path):
    table = Localizations.from_columns(
        frame=[0, 1, 8], x=[1, 2.5, 30], y=[3, 4, 5], photons=[10, 20, 30]
    ).replace(extra={"group": np.array([4, 5, 6])})
    return write_table(tmp_path / "locs.h5", table, INFO)[0]


def run(*arguments):
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(
        app, ["convert", *map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_to_any_format_and_back(source, tmp_path, kind):
    there, back = tmp_path / "there.dat", tmp_path / "back.h5"
    result = run(source, "--out", there, "--format", kind, "--json")
    said = json.loads(result.stdout)
    assert said["localizations"] == 3
    assert said["files"][0] == str(there)
    run(there, "--out", back, "--pixel-size-nm", 100)
    table, info = read_table(back)
    assert table.frame.tolist() == [0, 1, 8]
    np.testing.assert_allclose(table.x, [1, 2.5, 30], atol=1e-6)
    assert table.extra["group"].tolist() == [4, 5, 6]
    assert info.recipe == INFO.recipe


def test_the_suffix_decides_without_a_name(source, tmp_path):
    run(source, "--out", tmp_path / "a_sml.mat")
    with h5py.File(tmp_path / "a_sml.mat") as file:
        np.testing.assert_allclose(file["saveloc/loc/xnm"][0], [200, 350, 3100])


@pytest.mark.parametrize("wrong", [("--out", "a.txt"), ("--out", "a.csv", "--format", "xls")])
def test_an_unknown_format_is_one_sentence(source, tmp_path, wrong):
    with pytest.raises(TableError, match="cannot write a table as"):
        run(source, wrong[0], tmp_path / wrong[1], *wrong[2:])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["locs.h5"]
