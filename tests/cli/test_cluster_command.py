import json

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from napari_dilatedloc.cli.cluster import register
from napari_dilatedloc.io.tables import read_table, write_table
from napari_dilatedloc.table import Localizations, TableInfo

app = typer.Typer()
register(app)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    spots = [rng.normal(centre, 0.3, (60, 2)) for centre in ((10, 10), (30, 40))]
    y, x = np.concatenate([*spots, [[55, 5], [5, 55]]]).T
    table = Localizations.from_columns(frame=np.arange(122), x=x, y=y)
    write_table(tmp_path / "in.h5", table, TableInfo(100.0, (64, 64), 200))
    return tmp_path


def call(files, *options):
    args = [str(files / "in.h5"), "--out", str(files / "out.h5"), *map(str, options)]
    return CliRunner().invoke(app, args)


def test_clusters_and_their_table(files):
    options = ("--radius-nm", 60, "--min-points", 5, "--clusters-out", files / "clusters.csv")
    result = call(files, "--method", "dbscan", *options, "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert (said["before"], said["after"], said["clusters"]) == (122, 122, 2)
    assert said["clustered"] + said["noise"] == 122
    assert said["noise"] >= 2
    clusters = pd.read_csv(files / "clusters.csv")
    assert clusters["x_nm"].tolist() == pytest.approx([1000, 4000], abs=30)
    assert clusters["count"].sum() == said["clustered"]
    assert len(read_table(files / "out.h5")[0]) == 122
    result = call(files, "--method", "hdbscan")
    assert "2 clusters with" in result.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "dbscan needs radius_nm"),
        (("--radius-nm", 50, "--z-weight", 1), "has no z, but z_weight is 1"),
        (("--radius-nm", 50, "--clusters-out", "clusters.txt"), "must end in .csv"),
    ],
)
def test_a_wrong_clustering_writes_nothing(files, options, sentence):
    result = call(files, *options)
    assert isinstance(result.exception, ValueError)
    assert sentence in str(result.exception)
    assert not (files / "out.h5").exists()
