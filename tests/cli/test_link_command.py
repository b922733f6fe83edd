import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from napari_dilatedloc.cli.link import register
from napari_dilatedloc.config import save_yaml
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.io.tables import read_table, write_table
from napari_dilatedloc.table import Localizations, TableInfo

app = typer.Typer()
register(app)


@pytest.fixture
def files(tmp_path):
    """Three molecules, on for 3, 2 and 1 frames; the second is dark for two frames between."""
    table = Localizations.from_columns(
        frame=[0, 1, 2, 0, 3, 7],
        x=[10.0, 10.02, 9.98, 30.0, 30.01, 50.0],
        y=[10.0, 10.0, 10.0, 30.0, 30.0, 50.0],
        photons=[100, 200, 300, 400, 500, 600],
        sigma_x=[0.05] * 6,
        sigma_y=[0.05] * 6,
    )
    write_table(tmp_path / "in.h5", table, TableInfo(100.0, (64, 64), 10))
    return tmp_path


def call(files, *options):
    args = [str(files / "in.h5"), "--out", str(files / "out.h5"), *map(str, options)]
    return CliRunner().invoke(app, args)


@pytest.mark.parametrize(("dark", "photons"), [(1, [400, 500, 600, 600]), (2, [600, 600, 900])])
def test_blinks_become_rows(files, dark, photons):
    result = call(files, "--dark-frames", dark, "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert (said["before"], said["after"]) == (6, len(photons))
    assert said["settings"]["dark_frames"] == dark
    merged, _ = read_table(files / "out.h5")
    assert sorted(merged.photons) == photons
    assert merged.sigma_x.min() == pytest.approx(0.05 / np.sqrt(3))


def test_link_settings_of_a_file(files):
    save_yaml(LinkingConfig(distance_nm=0.5, dark_frames=2), files / "link.yaml", stated_only=True)
    result = call(files, "--config", files / "link.yaml")
    assert "6 localizations linked to 6" in result.stderr
    result = call(files, "--config", files / "link.yaml", "--distance-nm", 50)
    assert "6 localizations linked to 3 (2.00 frames each)" in result.stderr


def test_a_wrong_distance_writes_nothing(files):
    result = call(files, "--distance-nm", -3)
    assert isinstance(result.exception, ValueError)
    assert "distance_nm" in str(result.exception)
    assert not (files / "out.h5").exists()
