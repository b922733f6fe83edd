import numpy as np
import pytest

from napari_dilatedloc import render
from napari_dilatedloc.gui.colours import ColourBy, values_of
from napari_dilatedloc.gui.hue_layer import HueLayer, MeanImage
from napari_dilatedloc.gui.layers import image_layer
from napari_dilatedloc.gui.store import LocalizationStore
from napari_dilatedloc.table import Localizations, TableInfo

SHAPE, MAGNIFICATION = (12, 9), 4


def crowd(n, seed, start=0):
    generator = np.random.default_rng(seed)
    return Localizations.from_columns(
        frame=np.full(n, start),
        x=generator.uniform(-1, 9.5, n),  # some beyond the border
        y=generator.uniform(-1, 12.5, n),
        z_nm=np.where(generator.random(n) < 0.1, np.nan, generator.normal(0, 300, n)),
    )


def test_the_mean_is_that_of_the_localizations_in_each_sub_pixel():
    """The oracle adds one localization at a time with `render`, which says where each one lies."""
    image = MeanImage((48, 36), MAGNIFICATION)
    parts = [crowd(400, 1), crowd(0, 2), crowd(300, 3)]
    for part in parts:
        image.add(part, values_of(part, ColourBy.Z, 100.0))
    table = Localizations.concatenate(parts)
    sums, counts = np.zeros((2, 48, 36))
    for k in np.flatnonzero(np.isfinite(table.z_nm)):
        spot = render.histogram(table[k : k + 1], SHAPE, MAGNIFICATION)
        sums += spot * table.z_nm[k]
        counts += spot
    expected = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    assert counts.max() > 2
    np.testing.assert_allclose(image.mean, expected, atol=1e-3)


@pytest.fixture
def shown(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    store = LocalizationStore()
    density = np.zeros((48, 36), np.float32)
    data, keywords, _ = image_layer(density, TableInfo(100.0), "image", MAGNIFICATION)
    layer = viewer.add_image(data, **keywords)
    viewer.add_points(np.zeros((1, 2)), name="above")
    return viewer, store, layer


def test_it_lies_on_the_image_and_grows_with_the_store(qtbot, shown):
    viewer, store, layer = shown
    store.append(0, crowd(50, 1))
    hue = HueLayer(viewer, layer, store, ColourBy.Z, MAGNIFICATION, 100.0)
    assert [item.name for item in viewer.layers] == ["image", "image: z (nm)", "above"]
    assert hue.layer.blending == "multiplicative"
    assert hue.layer.scale.tolist() == layer.scale.tolist()
    assert hue.layer.colorbar.visible
    array = hue.layer.data
    qtbot.waitUntil(lambda: not hue.busy)
    first = array.copy()
    assert np.count_nonzero(first) > 20
    store.append(1, crowd(50, 2, 1))
    hue.catch_up()
    qtbot.waitUntil(lambda: not hue.busy)
    assert hue.layer.data is array
    assert np.count_nonzero(array) > np.count_nonzero(first)
    hue.remove()
    assert layer.colormap.name == "inferno"


def test_limits_follow_until_the_user_sets_them(qtbot, shown):
    viewer, store, layer = shown
    store.append(0, crowd(50, 1).replace(z_nm=np.linspace(0, 10, 50)))
    hue = HueLayer(viewer, layer, store, ColourBy.Z, MAGNIFICATION, 100.0)
    qtbot.waitUntil(lambda: not hue.busy)
    assert hue.limits[1] < 11
    store.append(1, crowd(50, 2, 1).replace(z_nm=np.linspace(0, 500, 50)))
    hue.catch_up()
    qtbot.waitUntil(lambda: hue.limits[1] > 400)
    hue.layer.contrast_limits = (0, 77)
    store.append(2, crowd(50, 2, 2))
    hue.catch_up()
    qtbot.waitUntil(lambda: not hue.busy)
    assert hue.limits == (0, 77)
    hue.remove()


def test_it_hides_with_the_image_and_goes_with_it(qtbot, shown):
    viewer, store, layer = shown
    hue = HueLayer(viewer, layer, store, ColourBy.Z, MAGNIFICATION, 100.0, (-1.0, 1.0))
    layer.visible = False
    assert not hue.layer.visible
    layer.visible = True
    assert hue.layer.visible
    viewer.layers.remove(hue.layer)  # by the user
    assert layer.blending == "additive"
    store.append(0, crowd(50, 1))
    hue.catch_up()  # nobody works for a layer that is gone
    qtbot.wait(20)
    assert hue.busy


def test_it_goes_when_the_user_deletes_the_image_also_with_others(qtbot, shown):
    """Alone it would tint the movie."""
    viewer, store, layer = shown
    store.append(0, crowd(50, 1))
    hue = HueLayer(viewer, layer, store, ColourBy.Z, MAGNIFICATION, 100.0)
    viewer.layers.selection = {layer}
    viewer.layers.remove_selected()
    qtbot.waitUntil(lambda: hue.layer not in viewer.layers)
    hue.remove()  # as a result that is undone does
    assert [item.name for item in viewer.layers] == ["above"]
