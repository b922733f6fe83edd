import numpy as np
import pytest

from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui.colours import ColourBy
from napari_dilatedloc.gui.layers import Placement
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.store import LocalizationStore
from napari_dilatedloc.render import histogram
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(100.0, shape=(20, 30), n_frames=20)


def block(frames, x=None):
    frames = np.asarray(frames)
    x = np.arange(len(frames)) if x is None else x
    return Localizations.from_columns(frame=frames, x=x, y=np.full(len(frames), 5.0))


def placed(viewer):
    return Placement.from_layer(viewer.layers["movie"])


@pytest.fixture
def viewer(movie_viewer):
    return movie_viewer


@pytest.fixture
def live(viewer):
    return LiveResult(viewer, "movie", placed(viewer), (20, 30), INFO, {"model": "test"})


def test_any_frame_is_found_in_blocks():
    store = LocalizationStore()
    store.append(0, block([0, 2, 1, 2]))
    store.append(10, block([10, 11, 11]))
    assert len(store) == 7
    assert len(store.at_frame(2)) == 2
    assert store.at_frame(1).x.tolist() == [2]
    assert len(store.at_frame(11)) == 2
    assert len(store.at_frame(5)) == 0
    assert len(LocalizationStore().at_frame(0)) == 0
    assert store.table().frame.tolist() == [0, 1, 2, 2, 10, 11, 11]


def test_blocks_in_order_are_not_copied():
    store = LocalizationStore()
    ordered = block([0, 1, 1, 5])
    store.append(0, ordered)
    assert np.shares_memory(store.block(0).x, ordered.x)
    store.append(10, block([12, 11]))
    assert store.table().frame.tolist() == [0, 1, 1, 5, 11, 12]


def test_a_filter_of_very_many_corrects_the_image_in_slices(qtbot, viewer, live, monkeypatch):
    monkeypatch.setattr("napari_dilatedloc.gui.live.SLICE_MS", 0)
    monkeypatch.setattr("napari_dilatedloc.gui.live.CORRECTED_AT_A_TIME", 10)
    generator = np.random.default_rng(1)
    frames, x = np.sort(generator.integers(0, 20, 500)), generator.uniform(0, 29, 500)
    live.append(0, 20, block(frames, x))
    live.finish(partial=False)
    table = live.store.table()
    for mask in (table.x > 20, table.x < 15, None):  # the second before the first is through
        live.filter(FilterConfig(where="x>20"), mask)
        assert live.correcting
    for mask in (None, table.x < 7):
        live.filter(FilterConfig(), mask)
        qtbot.waitUntil(lambda: not live.correcting, timeout=10_000)
        kept = table if mask is None else table[mask]
        expected = histogram(kept, (20, 30), live.magnification)
        np.testing.assert_array_equal(live.image_layer.data, expected)


def test_points_follow_the_frame_slider(viewer, live):
    live.append(0, 20, block([3, 3, 7]))
    live.refresh()
    points = live.points.layer
    assert points.ndim == 2
    for frame, count in [(3, 2), (7, 1), (0, 0), (3, 2)]:
        viewer.dims.set_current_step(0, frame)
        assert len(points.data) == count
        assert points.features["frame"].tolist() == [frame] * count
    np.testing.assert_allclose(points.data_to_world((5.0, 1.0)), [500, 100])


def test_the_image_grows_in_its_own_array(live):
    array = live.image_layer.data
    live.append(0, 10, block([0, 1, 2], x=[1.0, 1.0, 20.0]))
    live.refresh()
    assert live.image_layer.data is array
    assert array.sum() == 3
    assert array.shape == (200, 300)
    live.append(10, 20, block([11], x=[2.0]))
    live.refresh()
    assert array.sum() == 4


def test_contrast_follows_until_the_user_touches_it(live):
    live.append(0, 10, block(np.zeros(500, int), x=np.full(500, 3.0)))
    live.refresh()
    assert live.image_layer.contrast_limits[1] == 500
    live.image_layer.contrast_limits = (0, 42)
    live.append(10, 20, block(np.full(500, 12), x=np.full(500, 3.0)))
    live.refresh()
    assert live.image_layer.contrast_limits == [0, 42]


def test_a_cut_short_result_says_its_frames(live):
    live.append(0, 8, block([0, 7]))
    live.finish(partial=True)
    assert live.image_layer.name == "movie super-resolution (frames 0-7)"
    assert live.points.layer.name.endswith("(frames 0-7)")
    assert live.image_layer.metadata["dilatedloc"]["frames"] == [0, 8]


def test_layers_the_user_removed_stay_away(viewer, live):
    viewer.layers.remove(live.image_layer)
    viewer.layers.remove(live.points.layer)
    live.append(0, 10, block([0, 1]))
    live.refresh()
    live.finish(partial=True)
    viewer.dims.set_current_step(0, 4)
    assert len(viewer.layers) == 1
    assert len(live.store) == 2


def test_a_sample_of_the_store_is_that_of_its_table():
    generator = np.random.default_rng(3)
    store = LocalizationStore()
    for start, count in ((0, 40), (10, 0), (20, 7), (30, 95)):
        store.append(start, block(start + generator.integers(0, 10, count)))
    table = store.table()
    for cap in (1, 10, 141, 142, 1000):
        rows = np.linspace(0, 141, min(cap, 142)).astype(int)
        np.testing.assert_array_equal(store.sample(cap).x, table.x[rows])
    assert len(LocalizationStore().sample(10)) == 0


def test_circles_and_image_take_their_colours_from_one_value(viewer, live):
    table = block([3, 3, 7]).replace(z_nm=[-300.0, 300.0, 0.0])
    live.append(0, 20, table)
    live.colour(ColourBy.Z)
    live.refresh()
    viewer.dims.set_current_step(0, 3)
    blue, red = live.points.layer.border_color
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    names = [layer.name for layer in viewer.layers]
    assert names.index("movie super-resolution: z (nm)") == 1 + names.index(
        "movie super-resolution"
    )
    assert live.image_layer.blending == "translucent_no_depth"
    live.colour(ColourBy.NOTHING)
    assert live.hue is None
    assert live.image_layer.blending == "additive"
    assert live.image_layer.colormap.name == "inferno"
    np.testing.assert_allclose(live.points.layer.border_color[0], [0, 229 / 255, 1, 1], atol=0.01)


def test_a_layer_in_nm_brings_the_scale_bar(viewer, live):
    assert viewer.canvas.overlays.scale_bar.visible


def test_points_sent_say_how_many_of_how_many(viewer, live, monkeypatch):
    live.append(0, 20, block(np.repeat(np.arange(20), 5)))
    assert live.add_points(ColourBy.NOTHING) == "Added all 100 localizations as points."
    assert len(viewer.layers["movie localizations"].data) == 100
    monkeypatch.setattr("napari_dilatedloc.gui.live.POINTS_CAP", 40)
    assert "40 of 100 localizations" in live.add_points(ColourBy.FRAME)
    layer = viewer.layers["movie localizations (40 of 100)"]
    assert len(layer.data) == 40
    assert layer.data[[0, -1], 0].tolist() == [0, 19]
    assert layer.border_color[0, 2] > layer.border_color[-1, 2]  # from blue to red
