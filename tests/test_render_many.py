"""The fast way to draw many spots against exact kernels, parts of the camera, volumes, colours."""

import doctest
import importlib
import pkgutil

import matplotlib.image
import numpy as np
import pytest
import tifffile
from matplotlib import colormaps

from napari_dilatedloc import render
from napari_dilatedloc.render.spots import Canvas, Cloud
from napari_dilatedloc.table import Localizations


def many(n=3000, side=40, seed=0, sigma=(0.05, 0.5)):
    rng = np.random.default_rng(seed)
    s = np.exp(rng.uniform(*np.log(sigma), n))
    return Localizations.from_columns(
        frame=np.zeros(n),
        x=rng.uniform(-0.5, side - 0.5, n),
        y=rng.uniform(-0.5, side - 0.5, n),
        z_nm=rng.uniform(-400, 400, n),
        sigma_x=s,
        sigma_y=s * rng.uniform(0.5, 2, n),
        sigma_z_nm=rng.uniform(20, 60, n),
    )


def both_ways(cloud, size, channels=1):
    exact, fast = Canvas(size, channels), Canvas(size, channels)
    exact.add_exactly(cloud)
    fast.add_stamps(cloud)
    return exact.image(), fast.image()


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 2.1, 2.2, 3.0, 4.2, 4.4, 7.0, 17.0, 40.0])
def test_a_stamp_differs_little_from_the_exact_kernel(sigma):
    """At most 4% of the peak, whichever grid it is drawn on; sum, centre and width agree."""
    rng = np.random.default_rng(int(10 * sigma))
    for wider in (1.0, 1.8):
        n = int(12 * sigma * wider) + 21
        v, u = n / 2 + rng.random(1), n / 2 + rng.random(1)
        cloud = Cloud(v, u, np.array([sigma]), np.array([wider * sigma]))
        (exact,), (fast,) = both_ways(cloud, (n, n))
        assert np.abs(exact - fast).max() < 0.04 * exact.max()
        assert fast.sum() == pytest.approx(1, rel=1e-5)
        place = np.arange(n) + 0.5
        for axis, (true, width) in enumerate(((v[0], sigma), (u[0], wider * sigma))):
            profile = fast.sum(axis=1 - axis).astype(float)
            centre = (profile * place).sum()
            if sigma < 0.5:  # the pixels are too coarse to tell
                continue
            assert centre == pytest.approx(true, abs=0.01 + 0.01 * sigma)
            variance = (profile * (place - centre) ** 2).sum()
            # tails beyond 3 sigma carry 2.7% of the variance
            assert variance == pytest.approx(width**2 + 1 / 12, rel=0.06)


def test_an_image_of_many_agrees_within_a_percent():
    table, rng = many(20_000), np.random.default_rng(1)
    cloud = Cloud(
        *((a + 0.5) * 10.0 for a in (table.y, table.x)),
        *(10.0 * s.astype(float) for s in (table.sigma_y, table.sigma_x)),
        rng.random((2, len(table))).astype(np.float32),
    )
    exact, fast = both_ways(cloud, (400, 400), channels=2)
    for one, other in zip(exact, fast, strict=True):
        assert np.sqrt(np.mean((one - other) ** 2)) < 0.01 * one.mean()
        assert other.sum() == pytest.approx(one.sum(), rel=1e-3)  # also over the border


@pytest.mark.parametrize("size", [(1, 1), (7, 50), (64, 33), (129, 130)])
def test_any_size_of_image(size):
    rng = np.random.default_rng(2)
    n = 200
    cloud = Cloud(
        rng.uniform(-9, size[0] + 9, n),
        rng.uniform(-9, size[1] + 9, n),
        *np.exp(rng.uniform(np.log(0.3), np.log(9), (2, n))),
    )
    exact, fast = both_ways(cloud, size)
    np.testing.assert_allclose(fast, exact, atol=0.05 * exact.max())


def test_the_way_is_chosen_by_the_work():
    few, wide = many(100), many(2000, sigma=(0.5, 2.0))
    view = render.View.over((40, 40), 20)
    from napari_dilatedloc.render import spots
    from napari_dilatedloc.render.gaussian import cloud_of

    assert cloud_of(few, slice(None), view).exact_weights() < spots.EXACT_WEIGHTS
    assert cloud_of(wide, slice(None), view).exact_weights() > spots.EXACT_WEIGHTS
    image = render.gaussian(wide, (40, 40), 20)
    exact = Canvas((800, 800))
    exact.add_exactly(cloud_of(wide, slice(None), view).near((800, 800)))
    np.testing.assert_allclose(image, exact.image()[0], atol=0.02 * image.max())


@pytest.mark.parametrize("name", ["histogram", "gaussian"])
@pytest.mark.parametrize("magnification", [4, 2.5])
def test_a_region_is_a_cut_of_the_whole(name, magnification):
    draw, table = getattr(render, name), many()
    whole = draw(table, (40, 40), magnification)
    part = draw(table, (12, 8), magnification, corner=(4, 20))
    m = magnification
    cut = whole[int(4 * m) : int(16 * m), int(20 * m) : int(28 * m)]
    np.testing.assert_allclose(part, cut, atol=1e-5)


def test_a_field_that_is_no_whole_number_of_pixels_is_drawn_to_its_end():
    last = Localizations.from_columns(frame=[0], x=[9.49], y=[9.49])
    image = render.histogram(last, (10, 10), 3.3)
    assert image.shape == (33, 33)
    assert render.histogram(last, (10, 10), 0.25)[2, 2] == 1
    assert render.histogram(last, (10, 10), 1.23).shape == (13, 13)


def test_isotropic_spots_are_round():
    table = many(1)
    image = render.gaussian(table, (40, 40), 10, isotropic=True).astype(float)
    place = np.arange(400) + 0.5
    spread = []
    for axis in (0, 1):
        profile = image.sum(axis=axis) / image.sum()
        spread.append((profile * (place - (profile * place).sum()) ** 2).sum())
    assert spread[0] == pytest.approx(spread[1], rel=1e-3)
    mean = 100 * (table.sigma_x[0] ** 2 + table.sigma_y[0] ** 2) / 2
    assert spread[0] == pytest.approx(mean + 1 / 12, rel=5e-3)


@pytest.mark.parametrize(
    ("corner", "shape"), [((3, 5), (6.5, 4)), ((-9, -9), (12, 12)), ((0, 0), (40, 40))]
)
def test_an_index_gives_all_that_shines_into_a_box(corner, shape):
    table = many(4000)
    odd = np.arange(4000) % 500 == 0
    table = table.replace(sigma_x=np.where(odd, 8.0, table.sigma_x))  # few, and far too wide
    index = render.PlaceIndex(table)
    assert len(index) == 4000
    part = index.within(corner, shape)
    np.testing.assert_allclose(
        render.gaussian(part, shape, 8, corner=corner),
        render.gaussian(table, shape, 8, corner=corner),
        atol=1e-5,
    )


def test_an_index_leaves_far_rows_alone():
    table = many(40_000, sigma=(0.05, 0.1))
    shown = render.PlaceIndex(table).within((10, 10), (2, 2))
    assert 100 < len(shown) < 2500


def test_an_index_of_odd_tables():
    empty = render.PlaceIndex(Localizations.empty())
    assert len(empty.within((0, 0), (5, 5))) == 0
    at_one_place = Localizations.from_columns(frame=[0] * 9, x=[3.0] * 8 + [np.nan], y=[2.0] * 9)
    assert len(render.PlaceIndex(at_one_place).within((0, 0), (5, 5))) == 8


def test_a_volume_sums_to_its_projection():
    table = many(300)
    cube = render.volume(table, (40, 40), 4, (-1000, 1000), 50)
    assert cube.shape == (40, 160, 160)
    np.testing.assert_allclose(cube.sum(axis=0), render.gaussian(table, (40, 40), 4), atol=1e-3)
    one = table[:1]
    planes = render.volume(one, (40, 40), 4, (-1000, 1000), 10).sum(axis=(1, 2)).astype(float)
    z = -995 + 10 * np.arange(200)
    share = planes / planes.sum()
    centre = (share * z).sum()
    assert centre == pytest.approx(one.z_nm[0], abs=0.5)
    assert np.sqrt((share * (z - centre) ** 2).sum()) == pytest.approx(one.sigma_z_nm[0], rel=0.02)


def test_a_volume_leaves_out_what_has_no_z():
    table = many(10).replace(z_nm=[*[np.nan] * 9, 12.0], sigma_z_nm=[np.nan] * 10)
    cube = render.volume(table, (40, 40), 1, (0, 20), 5)
    assert cube.sum(axis=(1, 2)).argmax() == 2
    assert cube.sum() == pytest.approx(1, abs=0.3)  # the last of them may lie at the border
    for z_range, step, said in (((20, 0), 5, "z_range_nm"), ((0, 20), 0, "z_step_nm")):
        with pytest.raises(ValueError, match=said):
            render.volume(table, (40, 40), 1, z_range, step)
    with pytest.raises(ValueError, match="fit into memory"):
        render.volume(table, (4000, 4000), 10, (-500, 500), 10)


def test_contrast_passes_a_hot_pixel_by():
    image = render.gaussian(many(5000), (40, 40), 5)
    limits = render.contrast_limits(image)
    image[7, 7] = 1e5
    hot = render.contrast_limits(image)
    assert hot[0] == limits[0] == 0
    assert hot[1] == pytest.approx(limits[1], rel=0.05)
    assert render.contrast_limits(np.zeros((5, 5))) == (0.0, 1.0)


def test_the_pixel_follows_the_precision():
    table = many().replace(sigma_x=np.full(3000, 0.12), sigma_y=np.full(3000, 0.12))
    assert render.auto_pixel_nm(table, 100.0) == pytest.approx(6.0)
    assert render.auto_pixel_nm(table, 1e4) == 50.0
    assert render.auto_pixel_nm(table, 0.1) == 2.0
    unknown = Localizations.from_columns(frame=[0], x=[1], y=[1])
    assert render.auto_pixel_nm(unknown, 100.0) == pytest.approx(10.0)
    assert render.auto_z_step_nm(unknown) == 50.0
    assert render.auto_z_step_nm(many()) == pytest.approx(20, abs=2)


def test_a_colour_bar_stands_beside_the_image():
    image = np.full((200, 90, 3), 7, np.uint8)
    shown = render.with_colour_bar(image, (-300, 300))
    assert shown.shape[0] == 200
    np.testing.assert_array_equal(shown[:, :90], image)
    bar = shown[100, 90:].astype(int)
    middle = np.array(colormaps["turbo"](0.5)[:3]) * 255
    assert np.abs(bar - middle).sum(axis=1).min() < 20  # z = 0 stands half-way up
    assert render.with_colour_bar(image[:30], (0, 1)).shape[0] == 120


def test_a_volume_in_a_file_keeps_its_voxels(tmp_path):
    cube = render.volume(many(50), (40, 40), 2, (-400, 400), 100)
    render.write_image(tmp_path / "v.tif", cube, 50.0, 100.0)
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        assert file.imagej_metadata["spacing"] == pytest.approx(0.1)
        assert file.series[0].axes == "ZYX"
        np.testing.assert_array_equal(file.asarray(), cube)
    render.write_image(tmp_path / "v.ome.tif", cube, 50.0, 100.0)
    with tifffile.TiffFile(tmp_path / "v.ome.tif") as file:
        assert 'PhysicalSizeX="0.05"' in file.ome_metadata
        assert 'PhysicalSizeZ="0.1"' in file.ome_metadata
        assert file.series[0].axes == "ZYX"
    with pytest.raises(ValueError, match="for a volume"):
        render.write_image(tmp_path / "v.png", cube, 50.0, 100.0)


def test_bar_and_picture_are_one_file(tmp_path):
    coloured = render.colour_by_z(many(), (40, 40), 5, (-400, 400))
    render.write_image(tmp_path / "z.png", render.with_colour_bar(coloured, (-400, 400)), 20.0)
    seen = matplotlib.image.imread(tmp_path / "z.png")
    np.testing.assert_array_equal(np.rint(seen[:200, :200, :3] * 255), coloured)


@pytest.mark.parametrize("name", [found.name for found in pkgutil.iter_modules(render.__path__)])
def test_examples_of(name):
    module = importlib.import_module(f"napari_dilatedloc.render.{name}")
    assert doctest.testmod(module).failed == 0


def test_the_whole_field_holds_every_place():
    table = Localizations.from_columns(frame=[0, 0, 0], x=[-3.2, 9.9, np.nan], y=[2, 5, np.nan])
    corner, shape = render.whole_field(table)
    assert (corner, shape) == ((0, -4), (7, 15))
    assert render.histogram(table, shape, 3, corner=corner).sum() == 2
    assert render.whole_field(table, (20, 30)) == ((0, 0), (20, 30))
    with pytest.raises(ValueError, match="nothing drawn"):
        render.whole_field(Localizations.empty())


def test_a_part_has_the_tails_of_spots_of_unknown_width():
    """They are drawn with the least width, which reaches across the border of a part."""
    x = np.linspace(0, 99, 20_000)
    table = Localizations.from_columns(frame=np.zeros(20_000), x=x, y=np.full(20_000, 50.0))
    corner, shape, m = (40, 40.25), (20, 10), 40
    part = render.PlaceIndex(table).within(corner, shape)
    np.testing.assert_allclose(
        render.gaussian(part, shape, m, corner=corner),
        render.gaussian(table, shape, m, corner=corner),
        atol=1e-4,
    )
