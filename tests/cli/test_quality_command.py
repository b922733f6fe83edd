"""``dilatedloc quality`` on a table in a file."""

import json
import sys

import numpy as np
import pytest
import typer

from napari_dilatedloc.cli import quality as command
from napari_dilatedloc.io.tables import write_table
from napari_dilatedloc.table import Localizations, TableInfo


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    place = np.repeat(rng.uniform(2, 28, (700, 2)), 3, axis=0)
    y, x = (place + rng.normal(0, 0.1, place.shape)).T
    frame = np.repeat(rng.integers(0, 500, 700), 3) + np.tile(np.arange(3), 700)
    found = Localizations.from_columns(frame=frame, y=y, x=x, photons=np.full(2100, 900.0))
    write_table(tmp_path / "locs.h5", found, TableInfo(100.0, shape=(32, 32), n_frames=503))
    app = typer.Typer(pretty_exceptions_enable=False)
    command.register(app)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["quality", str(tmp_path / "locs.h5"), *map(str, args)])
        app(standalone_mode=False)
        return capsys.readouterr()

    return run


def test_figures_alone(call, tmp_path):
    said = json.loads(call("--json").out)
    assert said["localizations"] == 2100
    assert said["nena_sigma_nm"] == pytest.approx(10, rel=0.1)
    assert any("no predicted precision" in sentence for sentence in said["warnings"])
    assert [path.name for path in tmp_path.iterdir()] == ["locs.h5"]


def test_a_person_reads_figures_and_warnings(call):
    out, err = call()
    assert "nena_sigma_nm" in out
    assert "warning: The table has no predicted precision" in err


def test_report_in_a_folder_or_a_page(call, tmp_path):
    call("--out", tmp_path / "new", "--json")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "report.html",
        "report.json",
        "report.png",
    ]
    call("--out", tmp_path / "page.html", "--json")
    assert json.loads((tmp_path / "page.json").read_text())["summary"]["localizations"] == 2100


def test_bad_outputs(call, tmp_path):
    with pytest.raises(ValueError, match=r"end in \.html"):
        call("--out", tmp_path / "page.pdf")
    with pytest.raises(ValueError, match="no folder"):
        call("--out", tmp_path / "no" / "folder")
