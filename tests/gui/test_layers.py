import numpy as np
import pytest
from napari.layers import Image, Points

from napari_dilatedloc.gui.layers import (
    Placement,
    contrast_limits,
    has_length_unit,
    image_layer,
    localizations_from_points,
    magnification_for,
    pixel_size_nm,
    points_layer,
)
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(100.0, shape=(40, 48), n_frames=9)
FEATURES = [
    "frame",
    "x_nm",
    "y_nm",
    "z_nm",
    "photons",
    "bg",
    "prob",
    "sigma_x_nm",
    "sigma_y_nm",
    "sigma_z_nm",
]


def some(n=6):
    generator = np.random.default_rng(1)
    values = {name: generator.random(n) for name in Localizations.column_names()}
    values |= {"frame": np.arange(n), "x": 40 * generator.random(n), "y": 30 * generator.random(n)}
    return Localizations(**values)


def test_points_are_t_y_x_in_px_and_nm_in_the_world():
    data, keywords, kind = points_layer(some(), INFO, "locs")
    layer = Points(data, **keywords)
    assert kind == "points"
    assert [str(unit) for unit in layer.units] == ["pixel", "nanometer", "nanometer"]
    assert tuple(layer.axis_labels) == ("t", "y", "x")
    world = layer.data_to_world(layer.data[2])
    row = layer.features.iloc[2]
    np.testing.assert_allclose(world, [row["frame"], row["y_nm"], row["x_nm"]], rtol=1e-6)
    assert [name for name in FEATURES if name not in layer.features] == []
    assert row["sigma_x_nm"] == pytest.approx(100 * some().sigma_x[2])


def test_points_layer_back_to_a_table():
    data, keywords, _ = points_layer(some(), INFO, "locs")
    table, info = localizations_from_points(data, keywords)
    assert info == INFO
    for name in Localizations.column_names():
        np.testing.assert_allclose(getattr(table, name), getattr(some(), name), rtol=1e-6)


def test_a_moved_point_is_written_where_it_is():
    data, keywords, _ = points_layer(some(), INFO, "locs")
    data[3, 1:] += 2
    table, _ = localizations_from_points(data, keywords)
    assert table.y[3] == pytest.approx(some().y[3] + 2)


def test_a_plain_points_layer_in_um_is_a_table_too():
    layer = Points([[4, 10, 20], [2, 1, 3]], scale=(1, 0.16, 0.16), units=("pixel", "um", "um"))
    data, attributes, _ = layer.as_layer_data_tuple()
    table, info = localizations_from_points(data, attributes)
    assert info.pixel_size_nm == pytest.approx(160)
    assert table.frame.tolist() == [2, 4]  # tables are in frame order
    assert table.x.tolist() == [3, 20]
    assert np.isnan(table.photons).all()


def test_points_without_a_length_unit_say_what_is_missing():
    data, attributes, _ = Points([[4, 10, 20]]).as_layer_data_tuple()
    with pytest.raises(ValueError, match=r"pixel size.*set the layer's scale and units"):
        localizations_from_points(data, attributes)
    with pytest.raises(ValueError, match="2-D or 3-D Points layer"):
        localizations_from_points(np.zeros((3, 4)), attributes)


def test_above_the_cap_an_even_sample_is_shown_and_named():
    many = Localizations.from_columns(frame=np.arange(1000), x=np.zeros(1000), y=np.zeros(1000))
    data, keywords, _ = points_layer(many, INFO, "locs", cap=100)
    assert len(data) == 100
    assert keywords["name"] == "locs (100 of 1,000)"
    assert data[:, 0].min() == 0
    assert data[:, 0].max() == 999


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_image_covers_the_movie_pixel_by_pixel(scale):
    movie = Image(np.zeros((2, 40, 48)), scale=(1, scale, scale), translate=(0, 7, 9))
    _, keywords, _ = image_layer(
        np.zeros((400, 480), np.float32), INFO, "sr", 10, placement=Placement.from_layer(movie)
    )
    layer = Image(np.zeros((400, 480), np.float32), **keywords)
    # sub-pixels 0-9 lie in pixel 0, so that their mean is its centre
    inside = np.mean([layer.data_to_world((i, i)) for i in range(10)], axis=0)
    np.testing.assert_allclose(inside, movie.data_to_world((0, 0, 0))[1:])
    assert layer.units == movie.units[1:]


def test_image_of_100_nm_pixels_starts_at_minus_45_nm():
    keywords = Placement.from_pixel_size(100.0).plane_keywords(10)
    assert keywords["scale"] == (10.0, 10.0)
    assert keywords["translate"] == (-45.0, -45.0)


def test_pixel_size_from_scale_and_unit():
    stack = np.zeros((2, 8, 8))
    nm = Image(stack, scale=(1, 120, 120), units=("pixel", "nm", "nm"))
    um = Image(stack, scale=(1, 0.12, 0.12), units=("pixel", "um", "um"))
    bare = Image(stack, scale=(1, 120, 120))
    assert pixel_size_nm(nm) == pytest.approx(120)
    assert pixel_size_nm(um) == pytest.approx(120)
    assert pixel_size_nm(bare) is None
    assert has_length_unit(um)
    assert not has_length_unit(bare)
    odd = Image(stack, scale=(1, 120, 140), units=("pixel", "nm", "nm"))
    with pytest.raises(ValueError, match="pixels must be square, got 120 x 140 nm"):
        pixel_size_nm(odd)


def test_magnification_is_about_10_nm_and_bounded():
    assert magnification_for((64, 64), 100.0) == 10
    assert magnification_for((64, 64), 8.0) == 1
    assert magnification_for((2048, 2048), 100.0) == 4


def test_contrast_ignores_empty_pixels():
    image = np.zeros((200, 200), np.float32)
    assert contrast_limits(image) == (0.0, 1.0)
    image[:10, :10] = 20
    assert contrast_limits(image) == (0.0, 20.0)
