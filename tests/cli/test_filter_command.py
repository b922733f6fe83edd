import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from napari_dilatedloc.cli.filter import register
from napari_dilatedloc.config import save_yaml
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.io.tables import read_table, write_table
from napari_dilatedloc.table import Localizations, TableInfo

app = typer.Typer()
register(app)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 400
    return Localizations.from_columns(
        frame=np.sort(rng.integers(0, 50, n)),
        x=rng.uniform(0, 63, n),
        y=rng.uniform(0, 63, n),
        z_nm=rng.uniform(-300, 300, n),
        photons=rng.exponential(800, n),
        bg=rng.uniform(5, 9, n),
        sigma_x=rng.uniform(0.05, 0.3, n),
        sigma_y=rng.uniform(0.05, 0.3, n),
    )


@pytest.fixture
def call(tmp_path, table):
    write_table(tmp_path / "in.h5", table, TableInfo(100.0, (64, 64), 50))

    def run(*options):
        args = [str(tmp_path / "in.h5"), "--out", str(tmp_path / "out.h5"), *map(str, options)]
        return CliRunner().invoke(app, args)

    return run


def test_an_expression(call, tmp_path, table):
    result = call("--where", "photons>500 & sigma_x_nm<20", "--json")
    assert result.exit_code == 0
    expected = (table.photons > 500) & (table.sigma_x * 100 < 20)
    kept, info = read_table(tmp_path / "out.h5")
    np.testing.assert_array_equal(kept.photons, table.photons[expected])
    said = json.loads(result.stdout)
    assert (said["before"], said["after"]) == (400, expected.sum())
    assert said["settings"] == {"where": "photons>500 & sigma_x_nm<20"}
    assert info.pixel_size_nm == 100.0


def test_a_file_of_settings_and_options_over_it(call, tmp_path, table):
    config = FilterConfig(where="photons>100", ranges={"z_nm": (-100, None), "bg": (6, 8)})
    save_yaml(config, tmp_path / "filter.yaml", stated_only=True)
    options = ("--range", "bg=:7", "--edge-px", 3, "--where", "photons > 200")
    result = call("--config", tmp_path / "filter.yaml", *options)
    assert result.exit_code == 0
    expected = (table.photons > 200) & (table.z_nm >= -100) & (table.bg <= 7)
    for axis in (table.y, table.x):
        expected &= (axis >= 2.5) & (axis <= 60.5)
    assert f"{expected.sum()} of 400 localizations kept" in result.stderr.replace("\n", " ")
    np.testing.assert_array_equal(read_table(tmp_path / "out.h5")[0].x, table.x[expected])


def test_neighbours_and_duplicates(call, tmp_path, table):
    result = call("--min-neighbours", 2, "--radius-nm", 400, "--duplicates-nm", 300, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["settings"] == {
        "duplicates_nm": 300.0,
        "min_neighbours": 2,
        "radius_nm": 400.0,
    }
    assert 0 < len(read_table(tmp_path / "out.h5")[0]) < 400


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "nothing to filter by; give --where"),
        (("--where", "photons >"), "cannot read the expression"),
        (("--where", "phot > 3"), "no column 'phot'; there are photons"),
        (("--range", "photons>3"), "--range must be COLUMN=LOW:HIGH"),
        (("--range", "photons=3:a"), "--range must be COLUMN=LOW:HIGH"),
        (("--range", "photons=5:3"), "range of photons must run upwards"),
        (("--min-neighbours", 3), "min_neighbours and radius_nm go together"),
    ],
)
def test_a_wrong_filter_writes_nothing(call, tmp_path, options, sentence):
    result = call(*options)
    assert isinstance(result.exception, ValueError)
    assert sentence in str(result.exception)
    assert not (tmp_path / "out.h5").exists()
