"""``dilatedloc render`` on a small table, in all its modes."""

import json
import sys

import numpy as np
import pytest
import tifffile
import typer

from napari_dilatedloc import render as draw
from napari_dilatedloc.cli import render as command
from napari_dilatedloc.io.tables import write_table
from napari_dilatedloc.table import Localizations, TableInfo


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    n = 400
    found = Localizations.from_columns(
        frame=np.arange(n),
        x=rng.uniform(0, 23, n),
        y=rng.uniform(0, 15, n),
        z_nm=rng.uniform(-300, 300, n),
        sigma_x=np.full(n, 0.1),
        sigma_y=np.full(n, 0.2),
        sigma_z_nm=np.full(n, 40.0),
    )
    path = tmp_path_factory.mktemp("table") / "locs.h5"
    write_table(path, found, TableInfo(100.0, shape=(16, 24), n_frames=n))
    return path, found


@pytest.fixture
def call(table, tmp_path, monkeypatch, capsys):
    """Run the command on the table; gives what it says and where it wrote."""
    app = typer.Typer(pretty_exceptions_enable=False)
    command.register(app)

    def run(name, *args):
        argv = [table[0], "--out", tmp_path / name, "--json", *args]
        monkeypatch.setattr(sys, "argv", ["render", *map(str, argv)])
        app(standalone_mode=False)
        return json.loads(capsys.readouterr().out), tmp_path / name

    return run


def test_the_pixel_is_chosen_by_the_precision(call, table):
    said, path = call("a.tif")
    assert said["pixel_nm"] == pytest.approx(100 * np.sqrt((0.1**2 + 0.2**2) / 2) / 2, rel=1e-4)
    expected = draw.gaussian(table[1], (16, 24), 100 / said["pixel_nm"], isotropic=True)
    np.testing.assert_allclose(tifffile.imread(path), expected)
    assert said["shape"] == list(expected.shape)


@pytest.mark.parametrize("args", [("--pixel-nm", 20), ("--magnification", 5)])
def test_two_ways_to_say_the_size(call, table, args):
    said, path = call("a.tif", "--mode", "histogram", *args)
    assert said["pixel_nm"] == 20
    np.testing.assert_array_equal(tifffile.imread(path), draw.histogram(table[1], (16, 24), 5))


def test_a_region_in_pixels_of_the_camera(call, table):
    _, path = call(
        "a.tif", "--mode", "gaussian-xy", "--magnification", 5, "--region", "2,3.5,12,20"
    )
    expected = draw.gaussian(table[1], (10, 16.5), 5, corner=(2, 3.5))
    np.testing.assert_allclose(tifffile.imread(path), expected)


def test_colours_with_their_bar(call):
    plain, _ = call("a.png", "--mode", "z", "--magnification", 10)
    assert plain["z_range_nm"] == pytest.approx([-294, 294], abs=20)
    barred, path = call("b.png", "--mode", "z", "--magnification", 10, "--colour-bar")
    assert barred["shape"][1] > plain["shape"][1] == 240
    assert path.stat().st_size > 1000


def test_a_volume(call):
    said, path = call("v.tif", "--mode", "volume", "--pixel-nm", 50, "--z-step-nm", 100)
    assert tifffile.imread(path).shape == tuple(said["shape"]) == (6, 32, 48)
    automatic, _ = call("w.tif", "--mode", "volume", "--pixel-nm", 50)
    assert automatic["z_step_nm"] == pytest.approx(20)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("a.jpg",), "--out must end in"),
        (("a.png", "--mode", "volume"), "--out must end in"),
        (("a.png", "--colour-bar"), "--mode z"),
        (("a.png", "--z-step-nm", 10), "--mode volume"),
        (("a.png", "--pixel-nm", 10, "--magnification", 5), "not both"),
        (("a.png", "--pixel-nm", 0), "positive"),
        (("a.png", "--magnification", 0), "magnification"),
        (("a.png", "--pixel-nm", 0.01), "smaller --region"),
        (("a.png", "--region", "5,5,5,9"), "y1 > y0"),
        (("a.png", "--region", "5,5"), "4 numbers"),
    ],
)
def test_bad_options_leave_nothing(call, tmp_path, args, said):
    with pytest.raises(ValueError, match=said):
        call(*args)
    assert not list(tmp_path.iterdir())
