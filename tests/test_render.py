"""Where a localization lands, how much it weighs and how wide it is."""

import matplotlib.image
import numpy as np
import pytest
import tifffile
from scipy.special import erf

from napari_dilatedloc import render
from napari_dilatedloc.render import spots
from napari_dilatedloc.table import Localizations

SHAPE = (12, 16)


def table(n=200, seed=0, margin=2.0):
    rng = np.random.default_rng(seed)
    return Localizations.from_columns(
        frame=np.zeros(n),
        x=rng.uniform(margin, SHAPE[1] - 1 - margin, n),
        y=rng.uniform(margin, SHAPE[0] - 1 - margin, n),
        z_nm=rng.uniform(-500, 500, n),
        sigma_x=rng.uniform(0.05, 0.3, n),
        sigma_y=rng.uniform(0.05, 0.3, n),
    )


def one(x, y, **columns):
    return Localizations.from_columns(
        frame=[0], x=[x], y=[y], **{name: [value] for name, value in columns.items()}
    )


@pytest.mark.parametrize("magnification", [1, 2, 5, 10])
def test_the_centre_of_a_sub_pixel(magnification):
    """Sub-pixel (i, j) has its centre at ((i + 0.5) / m - 0.5, (j + 0.5) / m - 0.5) px."""
    for i, j in ((0, 0), (3, 7), (12 * magnification - 1, 16 * magnification - 1)):
        y, x = (i + 0.5) / magnification - 0.5, (j + 0.5) / magnification - 0.5
        image = render.histogram(one(x, y), SHAPE, magnification)
        assert image.shape == (12 * magnification, 16 * magnification)
        assert image.dtype == np.float32
        assert image[i, j] == 1
        assert image.sum() == 1
        soft = render.gaussian(one(x, y, sigma_x=0.1, sigma_y=0.1), SHAPE, magnification)
        assert np.unravel_index(soft.argmax(), soft.shape) == (i, j)


def test_histogram_against_numpy():
    locs = table(5000, margin=-2.0)
    expected, _, _ = np.histogram2d(
        locs.y.astype(float),
        locs.x.astype(float),
        bins=(36, 48),
        range=((-0.5, 11.5), (-0.5, 15.5)),
    )
    np.testing.assert_array_equal(render.histogram(locs, SHAPE, 3), expected)


def test_histogram_grows_in_place():
    locs = table()
    image = np.zeros((60, 80), np.float32)
    render.add_histogram(image, locs[:50], 5)
    render.add_histogram(image, locs[50:], 5)
    np.testing.assert_array_equal(image, render.histogram(locs, SHAPE, 5))
    with pytest.raises(ValueError, match="contiguous"):
        render.add_histogram(image[:, ::2], locs, 5)


def test_each_localization_weighs_one():
    locs = table()
    dim_and_bright = locs.replace(photons=np.geomspace(1, 1e5, len(locs)))
    assert render.gaussian(dim_and_bright, SHAPE, 8).sum() == pytest.approx(len(locs), rel=1e-5)
    # half of one that sits on the border is outside
    edge = render.gaussian(one(-0.5, 5.0, sigma_x=0.2, sigma_y=0.2), SHAPE, 8)
    assert edge.sum() == pytest.approx(0.5, rel=1e-3)
    far = render.gaussian(one(-5.0, 5.0, sigma_x=0.2, sigma_y=0.2), SHAPE, 8)
    assert far.sum() == 0


def test_gaussian_against_the_error_function():
    m, y0, x0, sy, sx = 6, 5.37, 7.81, 0.31, 0.17
    image = render.gaussian(one(x0, y0, sigma_x=sx, sigma_y=sy), SHAPE, m)

    def integral(n, centre, sigma):
        edges = (np.arange(n * m + 1) / m - 0.5 - centre) / (sigma * np.sqrt(2))
        return np.diff(erf(edges)) / 2

    expected = integral(SHAPE[0], y0, sy)[:, None] * integral(SHAPE[1], x0, sx)[None]
    np.testing.assert_allclose(image, expected, atol=1e-4 * expected.max())


def test_moments_follow_position_and_precision():
    m = 20
    image = render.gaussian(one(7.3, 4.6, sigma_x=0.2, sigma_y=0.4), SHAPE, m).astype(float)
    i, j = np.indices(image.shape)
    y, x = (i + 0.5) / m - 0.5, (j + 0.5) / m - 0.5
    assert (image * y).sum() == pytest.approx(4.6, abs=1e-4)
    assert (image * x).sum() == pytest.approx(7.3, abs=1e-4)
    assert np.sqrt((image * (y - 4.6) ** 2).sum()) == pytest.approx(0.4, rel=5e-3)
    assert np.sqrt((image * (x - 7.3) ** 2).sum()) == pytest.approx(0.2, rel=5e-3)


def test_unknown_or_tiny_precision_takes_the_smallest():
    smallest = render.gaussian(one(5.2, 6.1, sigma_x=0.12, sigma_y=0.12), SHAPE, 10)
    for sigma in (np.nan, 0.0, 1e-9, -1.0):
        image = render.gaussian(
            one(5.2, 6.1, sigma_x=sigma, sigma_y=sigma), SHAPE, 10, min_sigma_px=0.12
        )
        np.testing.assert_allclose(image, smallest, atol=1e-6)


def test_sum_of_parts_over_batches(monkeypatch):
    locs = table()
    whole = render.gaussian(locs, SHAPE, 8)
    monkeypatch.setattr(spots, "_BATCH", 500)
    np.testing.assert_allclose(render.gaussian(locs, SHAPE, 8), whole, atol=1e-5)


def test_positions_that_are_nan_are_left_out():
    locs = Localizations.from_columns(frame=[0, 0], x=[np.nan, 3.0], y=[2.0, 3.0])
    assert render.histogram(locs, SHAPE, 4).sum() == 1
    assert render.gaussian(locs, SHAPE, 4).sum() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("draw", [render.histogram, render.gaussian])
def test_empty_and_bad_arguments(draw):
    assert draw(Localizations.empty(), SHAPE, 4).sum() == 0
    with pytest.raises(ValueError, match="magnification"):
        draw(table(), SHAPE, 0)


def test_colour_tells_z_and_brightness_density():
    locs = Localizations.from_columns(
        frame=np.zeros(5),
        x=[2, 6, 10, 14, 14],
        y=[5] * 5,
        z_nm=[-450, 0, 450, np.nan, np.nan],
        sigma_x=[0.2] * 5,
        sigma_y=[0.2] * 5,
    )
    image = render.colour_by_z(locs, SHAPE, 5, (-500, 500))
    assert image.shape == (60, 80, 3)
    assert image.dtype == np.uint8
    low, middle, high, white = (image[27, 5 * x + 2].astype(int) for x in (2, 6, 10, 14))
    assert low.argmax() == 2  # turbo runs from blue by green to red
    assert middle.argmax() == 1
    assert high.argmax() == 0
    assert white.min() == white.max() == 255  # two of them: the brightest
    assert 100 < middle.max() < 255
    assert image[0].max() == 0
    beyond = render.colour_by_z(locs.replace(z_nm=[-9e3, 0, 9e3, 0, 0]), SHAPE, 5, (-500, 500))
    assert beyond[27, 12].argmax() == 2
    assert beyond[27, 52].argmax() == 0


def test_colour_of_nothing_is_black():
    assert render.colour_by_z(Localizations.empty(), SHAPE, 5, (-500, 500)).max() == 0
    with pytest.raises(ValueError, match="z_range_nm"):
        render.colour_by_z(table(), SHAPE, 5, (500, 500))


def test_tiff_keeps_values_and_pixel_size(tmp_path):
    path = tmp_path / "sr.tif"
    image = render.gaussian(table(), SHAPE, 10)
    render.write_image(path, image, pixel_size_nm=10.0)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_imagej
        assert tif.imagej_metadata["unit"] == "um"
        value = tif.pages.first.tags["XResolution"].value
        assert value[0] / value[1] == pytest.approx(100.0)  # sub-pixels a micrometre
        np.testing.assert_array_equal(tif.asarray(), image)
    colours = render.colour_by_z(table(), SHAPE, 10, (-500, 500))
    render.write_image(path, colours, pixel_size_nm=10.0)
    np.testing.assert_array_equal(tifffile.imread(path), colours)
    assert [file.name for file in tmp_path.iterdir()] == ["sr.tif"]


def test_png_is_stretched(tmp_path):
    path = tmp_path / "sr.png"
    image = render.gaussian(table(), SHAPE, 10)
    render.write_image(path, image, pixel_size_nm=10.0)
    seen = matplotlib.image.imread(path)[..., :3]
    assert seen.shape == (120, 160, 3)
    assert seen.max() == 1
    assert seen[image == 0].max() == 0
    middle = np.unravel_index(
        np.argsort(image, axis=None)[-len(image[image > 0]) // 3], image.shape
    )
    expected = render.stretch(image)[middle]
    assert seen[middle][0] == pytest.approx(expected, abs=0.01)
    colours = render.colour_by_z(table(), SHAPE, 10, (-500, 500))
    render.write_image(path, colours, pixel_size_nm=10.0)
    seen = np.rint(matplotlib.image.imread(path)[..., :3] * 255)
    np.testing.assert_array_equal(seen, colours)


def test_bad_images(tmp_path):
    with pytest.raises(ValueError, match=r"expected \.tif or \.png"):
        render.write_image(tmp_path / "sr.jpg", np.ones((4, 4)), 10.0)
    with pytest.raises(ValueError, match="expected an image"):
        render.write_image(tmp_path / "sr.tif", np.ones((4, 4, 4)), 10.0)
    with pytest.raises(ValueError, match="expected an image"):
        render.write_image(tmp_path / "sr.png", np.ones(4), 10.0)
    assert not list(tmp_path.iterdir())
