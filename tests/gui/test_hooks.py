import napari
import numpy as np
import pandas
import pytest
from qtpy.QtWidgets import QInputDialog

from napari_dilatedloc.gui import hooks
from napari_dilatedloc.io.tables import write_table
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(100.0, shape=(40, 48), n_frames=9)


@pytest.fixture
def table():
    generator = np.random.default_rng(2)
    columns = {name: generator.random(50) for name in Localizations.column_names()}
    columns |= {
        "frame": np.arange(50) // 6,
        "x": 47 * generator.random(50),
        "y": 39 * generator.random(50),
        "photons": 1000 * generator.random(50),
    }
    return Localizations(**columns)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cells.csv", "label,area,x,y\n1,30,2,3\n"),
        ("points.csv", "index,axis-0,axis-1\n0,1.0,2.0\n"),
        ("empty.csv", ""),
        ("binary.h5", "\x00\x01 not hdf5"),
    ],
)
def test_a_foreign_file_is_declined(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    assert hooks.get_reader(str(path)) is None


def test_a_foreign_hdf5_is_declined(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["volume"] = np.zeros((3, 3))
    assert hooks.get_reader(str(tmp_path / "other.h5")) is None


def test_a_stack_of_files_is_declined(tmp_path, table):
    paths = [str(tmp_path / name) for name in ("a.csv", "b.csv")]
    for path in paths:
        write_table(path, table, INFO)
    assert hooks.get_reader(paths) is None
    assert hooks.get_reader(paths[:1]) is not None


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".h5", ".parquet"])
def test_layers_written_and_opened_again_are_the_same(
    tmp_path, make_napari_viewer, monkeypatch, table, suffix
):
    # a ThunderSTORM table is in nm and does not know the pixel: napari's dialog asks
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: (100.0, True))
    first, path = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    write_table(first, table, INFO)
    viewer = make_napari_viewer()
    layers = viewer.open(str(first), plugin="napari-dilatedloc")
    assert [layer.__class__.__name__ for layer in layers] == ["Image", "Points"]
    assert layers[0].data.sum() == len(table)
    points = layers[1]
    assert np.allclose(points.features["x_nm"], 100 * table.x, atol=0.1)
    written = points.save(str(path), plugin="napari-dilatedloc")
    assert str(path) in written
    again = viewer.open(str(path), plugin="napari-dilatedloc")[1]
    np.testing.assert_allclose(again.data, points.data, atol=1e-3)
    np.testing.assert_allclose(again.features["photons"], table.photons, rtol=1e-3)


def test_a_table_in_nm_takes_the_pixel_size_of_the_movie_on_show(
    tmp_path, make_napari_viewer, monkeypatch, table
):
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: pytest.fail("nobody need ask"))
    write_table(tmp_path / "locs.csv", table, INFO)
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((9, 40, 48)), scale=(1, 100, 100), units=("pixel", "nm", "nm"))
    points = viewer.open(str(tmp_path / "locs.csv"), plugin="napari-dilatedloc")[1]
    np.testing.assert_allclose(points.data[:, 2], table.x, atol=1e-2)


def test_a_foreign_parquet_is_declined(tmp_path):
    pandas.DataFrame({"label": [1, 2], "area": [30.0, 31.0]}).to_parquet(tmp_path / "a.parquet")
    assert hooks.get_reader(str(tmp_path / "a.parquet")) is None


def test_the_menu_opens_the_bead_calibration_on_the_active_layer(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    beads = viewer.add_image(np.zeros((5, 30, 30)), name="beads")
    viewer.add_image(np.zeros((5, 30, 30)), name="movie")
    viewer.layers.selection.active = beads
    hooks.calibrate_psf(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    assert dock.steps.psf.opened
    assert dock.psf_step.beads.stack == beads
    assert not dock.psf_step.bead_box.isHidden()


def test_export_without_a_result_says_so(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    hooks.export_localizations(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    assert "run Localize first" in dock.panel.status.text()


def test_sample_is_a_movie_in_nm_made_offline(make_napari_viewer):
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample("napari-dilatedloc", "blinking")
    assert layer.data.shape == (300, 64, 64)
    assert layer.data.dtype == np.uint16
    assert layer.scale.tolist() == [1, 100, 100]
    assert [str(unit) for unit in layer.units] == ["pixel", "nanometer", "nanometer"]
    assert layer.data.max() > 3 * np.median(layer.data)  # something blinks


def test_plain_points_are_still_saved_as_plain_csv(tmp_path):
    """Our writer must not be taken for somebody's Points layer by default."""
    layer = napari.layers.Points(np.arange(6.0).reshape(3, 2))
    layer.save(str(tmp_path / "plain.csv"))
    assert (tmp_path / "plain.csv").read_text().startswith("index,axis-0,axis-1")
