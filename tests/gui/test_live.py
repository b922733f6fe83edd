import numpy as np
import pytest

from napari_dilatedloc.gui.live import LiveResult, LocalizationStore
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(100.0, shape=(20, 30), n_frames=20)


def block(frames, x=None):
    frames = np.asarray(frames)
    x = np.arange(len(frames)) if x is None else x
    return Localizations.from_columns(frame=frames, x=x, y=np.full(len(frames), 5.0))


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    made = make_napari_viewer_proxy()
    made.add_image(
        np.zeros((20, 20, 30), np.uint16),
        name="movie",
        scale=(1, 100, 100),
        units=("pixel", "nm", "nm"),
    )
    return made


@pytest.fixture
def live(viewer):
    return LiveResult(viewer, viewer.layers["movie"], (20, 30), INFO, {"model": "test"})


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
