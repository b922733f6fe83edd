import numpy as np
import pytest

from napari_dilatedloc import render
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui.layers import Placement
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.sharp_view import Drawn, SharpView, box_of
from napari_dilatedloc.table import Localizations, TableInfo

TIMEOUT = 60_000


@pytest.fixture
def result(movie_viewer):
    """Two molecules at (y, x) = (10, 12) and (10, 12.5) px, one at (3, 25)."""
    table = Localizations.from_columns(
        frame=[0, 1, 2],
        x=[12.0, 12.5, 25.0],
        y=[10.0, 10.0, 3.0],
        photons=[100, 200, 300],
        sigma_x=[0.05] * 3,
        sigma_y=[0.05] * 3,
    )
    placed = Placement.from_layer(movie_viewer.layers["movie"])
    made = LiveResult(movie_viewer, "m", placed, (20, 30), TableInfo(100.0, (20, 30), 20), {})
    made.append(0, 20, table)
    made.finish(partial=False)
    return made


@pytest.fixture
def view(qtbot, result):
    made = SharpView(result)
    yield made
    made.end()


def zoom_in(qtbot, result, view, px=40.0):
    """So many screen pixels a camera pixel, around (10, 12) px."""
    camera = result.viewer.scene.camera
    camera.center = (0, 1000, 1200)
    camera.zoom = px / 100
    # as napari tells a layer when it is drawn: what is on show, in pixels of its own
    result.image_layer.corner_pixels = np.array([[80, 100], [120, 150]])
    qtbot.waitUntil(lambda: view.layer is not None, timeout=TIMEOUT)


def test_a_zoomed_view_is_drawn_finer_and_in_its_place(qtbot, result, view):
    zoom_in(qtbot, result, view)
    layer = view.layer
    assert layer.scale[0] == pytest.approx(100 / 40)
    peak = np.unravel_index(layer.data.argmax(), layer.data.shape)
    world = layer.data_to_world(peak)
    assert world[0] == pytest.approx(1000, abs=3)
    assert min(abs(world[1] - 1200), abs(world[1] - 1250)) < 3
    assert layer.data.sum() == pytest.approx(2, rel=1e-3)  # the third is not on show
    assert result.image_layer.opacity == 0
    names = [item.name for item in result.viewer.layers]
    assert names.index(layer.name) == names.index(result.image_layer.name) + 1


def test_zooming_out_gives_the_image_back(qtbot, result, view):
    zoom_in(qtbot, result, view)
    result.viewer.scene.camera.zoom = 0.01
    qtbot.waitUntil(lambda: view.layer is None, timeout=TIMEOUT)
    assert result.image_layer.opacity == 1
    assert "m (zoomed in)" not in result.viewer.layers


def test_a_filter_is_followed(qtbot, result, view):
    zoom_in(qtbot, result, view)
    result.filter(FilterConfig(where="photons>150"), np.array([False, True, True]))
    view.renew()
    qtbot.waitUntil(lambda: view.layer.data.sum() < 1.1, timeout=TIMEOUT)
    assert view.layer.data.sum() == pytest.approx(1, rel=1e-3)


def test_taken_away_by_the_user(qtbot, result, view):
    zoom_in(qtbot, result, view)
    result.viewer.layers.remove(view.layer)
    assert view.layer is None
    assert result.image_layer.opacity == 1


def test_ending_leaves_no_trace(qtbot, result):
    callbacks = len(result.viewer.scene.camera.events.zoom.callbacks)
    view = SharpView(result)
    zoom_in(qtbot, result, view)
    view.end()
    assert result.image_layer.opacity == 1
    assert "m (zoomed in)" not in result.viewer.layers
    assert len(result.viewer.scene.camera.events.zoom.callbacks) == callbacks


def test_nothing_on_show_is_no_box():
    assert box_of(np.array([[3.0, 3.0], [3.0, 8.0]]), 40, 100) is None
    box = box_of(np.array([[2.0, 4.0], [6.0, 8.0]]), 1e6, 100)
    assert box.magnification == 200  # 0.5 nm
    assert box.corner == pytest.approx((2 - 0.6 + 0.5, 4 - 0.6 + 0.5))
    assert box.shape == pytest.approx((4 * 1.3, 4 * 1.3))


def test_it_hides_and_is_coloured_with_the_image(qtbot, result, view):
    zoom_in(qtbot, result, view)
    result.image_layer.colormap = "gray"
    assert view.layer.colormap.name == "gray"
    result.image_layer.visible = False
    qtbot.waitUntil(lambda: view.layer is None, timeout=TIMEOUT)


def test_image_and_drawing_are_deleted_together(qtbot, result, view):
    zoom_in(qtbot, result, view)
    layers = result.viewer.layers
    layers.selection = {result.image_layer, view.layer}
    layers.remove_selected()
    qtbot.waitUntil(lambda: view.layer is None, timeout=TIMEOUT)
    assert result.image_layer not in layers


def test_what_a_former_filter_kept_is_not_drawn(qtbot, result, view):
    zoom_in(qtbot, result, view)
    late = Drawn(view._box, view.layer.data, render.PlaceIndex(result.store.table()), view._store)
    result.filter(FilterConfig(where="photons>150"), np.array([False, True, True]))
    view.renew()
    view.worker.yielded.emit([late])  # was on its way
    qtbot.waitUntil(lambda: view.layer.data.sum() < 1.1, timeout=TIMEOUT)
