"""A drift on tables, in files and in pictures."""

import numpy as np
import pytest
from matplotlib.image import imread

from napari_dilatedloc.analysis.drift.drift_file import load_drift, save_drift
from napari_dilatedloc.analysis.drift.plot import drift_figure, save_drift_figure
from napari_dilatedloc.analysis.drift.result import Drift
from napari_dilatedloc.table import Localizations


@pytest.fixture
def drift():
    frames = np.arange(50)
    return Drift(0.1 * frames, -0.02 * frames, 5.0 * frames, "aim", {"segments": 5})


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    columns = {name: rng.uniform(0, 2000, 300) for name in ("x", "y", "z_nm", "photons")}
    return Localizations.from_columns(
        frame=rng.integers(0, 50, 300), **columns, extra={"chi2": rng.random(300)}
    )


def test_apply_takes_off_what_each_frame_moved(drift, table):
    moved = drift.apply(table)
    np.testing.assert_allclose(moved.x, table.x - 0.1 * table.frame, atol=2e-4)
    np.testing.assert_allclose(moved.y, table.y + 0.02 * table.frame, atol=2e-4)
    np.testing.assert_allclose(moved.z_nm, table.z_nm - 5.0 * table.frame, atol=2e-4)
    for name in ("frame", "photons"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(table, name))
    np.testing.assert_array_equal(moved.extra["chi2"], table.extra["chi2"])


def test_undo_gives_the_table_back(drift, table):
    again = drift.undo(drift.apply(table))
    for name in ("x", "y", "z_nm"):  # 2000 px in float32 end after 1e-4
        np.testing.assert_allclose(getattr(again, name), getattr(table, name), atol=3e-4)


def test_a_table_without_z_keeps_none(drift):
    flat = Localizations.from_columns(frame=[0, 49], x=[1, 2], y=[3, 4])
    assert np.isnan(drift.apply(flat).z_nm).all()


def test_an_empty_table_stays_empty(drift):
    assert len(drift.apply(Localizations.empty())) == 0


def test_frames_it_does_not_know(drift):
    late = Localizations.from_columns(frame=[3, 50], x=[1, 2], y=[3, 4])
    with pytest.raises(ValueError, match="knows frames 0 to 49, the table has 3 to 50"):
        drift.apply(late)


def test_one_value_a_frame():
    with pytest.raises(ValueError, match="drift y must be finite numbers, one for each of 2"):
        Drift([0, 1], [0], [0, 0], "aim")
    with pytest.raises(ValueError, match="drift z_nm must be finite"):
        Drift([0, 1], [0, 1], [0, np.nan], "aim")


@pytest.mark.parametrize("pixel_size_nm", [100.0, 65.0])
def test_the_file_is_in_nm(drift, tmp_path, pixel_size_nm):
    path = tmp_path / "drift.csv"
    save_drift(path, drift, pixel_size_nm)
    columns = np.genfromtxt(path, delimiter=",", names=True)  # another reader
    assert columns.dtype.names == ("frame", "dx_nm", "dy_nm", "dz_nm")
    np.testing.assert_allclose(columns["dx_nm"], drift.x * pixel_size_nm, atol=1e-4)
    np.testing.assert_allclose(columns["dz_nm"], drift.z_nm, atol=1e-4)
    again = load_drift(path, pixel_size_nm)
    np.testing.assert_allclose(again.to_nm(1.0), drift.to_nm(1.0), atol=1e-4)
    assert again.method == "file"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with 'frame,dx_nm"),
        ("x,y,z\n0,1,2\n", "got 'x,y,z'"),
        ("frame,dx_nm,dy_nm,dz_nm\n0,a,0,0\n", "four numbers a line"),
        ("frame,dx_nm,dy_nm,dz_nm\n0,1,0\n", "four numbers a line"),
        ("frame,dx_nm,dy_nm,dz_nm\n0,0,0,0\n2,0,0,0\n", "every frame from 0 on"),
    ],
)
def test_files_that_are_none(tmp_path, text, message):
    path = tmp_path / "drift.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_drift(path, 100.0)


def test_no_such_file(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        load_drift(tmp_path / "absent.csv", 100.0)


def test_the_picture_is_in_nm_and_leaves_out_what_was_not_measured(drift, tmp_path):
    over_time = drift_figure(drift, 100.0).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in over_time.get_lines()}
    np.testing.assert_allclose(lines["x"], 10.0 * np.arange(50))
    np.testing.assert_allclose(lines["z"], 5.0 * np.arange(50))
    flat = Drift(drift.x, drift.y, np.zeros(50), "rcc")
    names = [line.get_label() for line in drift_figure(flat, 100.0).axes[0].get_lines()]
    assert "z" not in names
    for suffix in (".png", ".svg", ".pdf"):
        save_drift_figure(tmp_path / f"drift{suffix}", drift, 100.0)
        assert (tmp_path / f"drift{suffix}").stat().st_size > 1000
    assert imread(tmp_path / "drift.png")[..., :3].std() > 0.05
