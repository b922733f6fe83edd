import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from napari_dilatedloc.analysis.drift.drift_file import load_drift
from napari_dilatedloc.benchmark.drift import residual_nm, simulate_drift
from napari_dilatedloc.cli.drift import _settings, register
from napari_dilatedloc.config import save_yaml
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.io.tables import read_info, read_table, write_table
from napari_dilatedloc.table import Localizations


@pytest.fixture(scope="module")
def sample():
    return simulate_drift(20_000, 1000, seed=4, size_px=128)


@pytest.fixture
def locs(sample, tmp_path):
    path = tmp_path / "locs.h5"
    write_table(path, sample.table, sample.info)
    return path


@pytest.fixture
def run():
    """Call ``drift ...`` alone; gives its result, or the error that it raised."""
    app = typer.Typer()
    register(app)

    def call(*args):
        result = CliRunner().invoke(app, [str(arg) for arg in args])
        if isinstance(result.exception, ValueError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return call


def test_the_table_is_corrected_and_drift_and_picture_kept(run, locs, sample, tmp_path):
    out, kept, picture = (tmp_path / name for name in ("out.h5", "drift.csv", "drift.png"))
    result = run(locs, "--out", out, "--drift-out", kept, "--figure", picture, "--json")
    figures = json.loads(result.stdout)
    assert figures["localizations"] == 20_000
    assert figures["frames"] == 1000
    assert figures["drift_x_nm"] == pytest.approx(500, abs=40)
    drift = load_drift(kept, 100.0)
    assert residual_nm(drift, sample)["lateral"] < 6.0
    table, _ = read_table(out)
    expected = drift.apply(sample.table)
    np.testing.assert_allclose(table.x, expected.x, atol=1e-4)
    np.testing.assert_allclose(table.z_nm, expected.z_nm, atol=1e-3)
    assert picture.stat().st_size > 1000


def test_a_kept_drift_is_applied_and_taken_back(run, locs, sample, tmp_path):
    first, again, back = (tmp_path / name for name in ("first.h5", "again.h5", "back.h5"))
    kept = tmp_path / "drift.csv"
    run(locs, "--out", first, "--drift-out", kept, "--method", "rcc", "--segments", 10)
    run(locs, "--out", again, "--apply", kept)
    np.testing.assert_allclose(read_table(again)[0].y, read_table(first)[0].y, atol=1e-4)
    result = run(first, "--out", back, "--apply", kept, "--undo", "--json")
    assert json.loads(result.stdout)["undone"]
    np.testing.assert_allclose(read_table(back)[0].x, sample.table.x, atol=1e-4)


def test_the_step_stands_in_the_recipe(run, locs, tmp_path):
    run(locs, "--out", tmp_path / "a.h5", "--segments", 9)
    (step,) = read_info(tmp_path / "a.h5").recipe
    assert (step.name, step.rows) == ("drift", 20_000)
    assert step.settings["method"] == "aim"
    assert step.settings["segments"] == 9


def test_options_overrule_the_file(tmp_path):
    path = tmp_path / "drift.yaml"
    save_yaml(DriftConfig(method="rcc", segments=7, rcc_bin_nm=30.0), path)
    config = _settings(path, None, 12, None, lateral_only=True)
    assert config == DriftConfig(method="rcc", segments=12, rcc_bin_nm=30.0, axial=False)
    assert _settings(path, "aim", None, None, lateral_only=False).method == "aim"
    assert _settings(None, "fiducials", None, ["3.5,4"], lateral_only=False).fiducials == (
        (3.5, 4),
    )


def test_settings_come_from_a_file(run, locs, tmp_path):
    path = tmp_path / "drift.yaml"
    save_yaml(DriftConfig(segments=11, axial=False), path)
    figures = json.loads(run(locs, "--out", tmp_path / "a.h5", "--config", path, "--json").stdout)
    assert figures["segments"] == 11
    assert figures["drift_z_nm"] == 0
    path.write_text("segmente: 11")
    with pytest.raises(ValueError, match=r"drift\.yaml: segmente: Extra inputs"):
        run(locs, "--out", tmp_path / "b.h5", "--config", path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--undo"], "--undo needs the drift that was taken off"),
        (["--figure", "drift.txt"], "--figure must end in .png"),
        (["--drift-out", "no/such/drift.csv"], "no folder"),
        (["--fiducial", "3"], "--fiducial must be 2 numbers"),
        (["--fiducial", "3,4"], "positions of beads are for --method fiducials, got aim"),
        (["--apply", "absent.csv"], "no such file"),
        (
            ["--apply", "drift.csv", "--lateral-only"],
            "--apply measures nothing and moves x, y and z",
        ),
        (["--apply", "drift.csv", "--method", "rcc"], "leave out --method"),
        (["--config", "absent.yaml"], "no such file: absent.yaml"),
    ],
)
def test_mistakes_end_in_one_sentence(run, locs, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run(locs, "--out", tmp_path / "out.h5", *options)
    assert not (tmp_path / "out.h5").exists()


def test_an_unknown_suffix_is_refused_before_the_table_is_read(run, tmp_path):
    with pytest.raises(ValueError, match=r"cannot write a table as out\.txt"):
        run(tmp_path / "absent.h5", "--out", tmp_path / "out.txt")


def test_a_drift_of_another_movie(run, tmp_path, sample):
    late = tmp_path / "late.h5"
    table = Localizations.from_columns(frame=[0, 5], x=[1, 2], y=[1, 2])
    write_table(late, table, sample.info)
    kept = tmp_path / "drift.csv"
    kept.write_text("frame,dx_nm,dy_nm,dz_nm\n0,0,0,0\n")
    with pytest.raises(ValueError, match="knows frames 0 to 0, the table has 0 to 5"):
        run(late, "--out", tmp_path / "out.h5", "--apply", kept)
