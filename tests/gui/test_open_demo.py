import numpy as np

from napari_dilatedloc.gui import open_demo
from napari_dilatedloc.io.movie import write_movie
from napari_dilatedloc.io.tables import write_table
from napari_dilatedloc.table import Localizations, TableInfo


def test_the_demo_folder_opens_with_its_dock(make_napari_viewer, monkeypatch, tmp_path, movie):
    monkeypatch.setattr(open_demo.napari, "Viewer", make_napari_viewer)
    found = Localizations.from_columns(
        frame=[0, 0, 3],
        x=[5.0, 9.0, 20.0],
        y=[3.0, 8.0, 20.0],
        photons=[900, 900, 900],
        sigma_x=[0.1] * 3,
        sigma_y=[0.1] * 3,
    )
    write_movie(tmp_path / "movie.tif", movie[:5], 100.0)
    info = TableInfo(100.0, shape=movie.shape[1:], n_frames=5)
    write_table(tmp_path / "localizations.hdf5", found, info)
    viewer = open_demo.open_demo(tmp_path)
    shown = [layer.name for layer in viewer.layers]
    assert shown == ["demo movie", "demo super-resolution", "demo localizations"]
    image = viewer.layers["demo super-resolution"]
    np.testing.assert_allclose(image.data.sum(), 3, rtol=1e-3)
    assert image.contrast_limits[1] < image.data.max() * 1.01
    assert len(viewer.window.dock_widgets) == 1
