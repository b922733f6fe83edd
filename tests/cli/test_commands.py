"""The command line as a user types it, on real files."""

import json
import sys

import numpy as np
import pytest
import tifffile

from napari_dilatedloc.cli import app, main
from napari_dilatedloc.config import SCMOSConfig, save_yaml
from napari_dilatedloc.network.checkpoint import load_model


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Small simulated movie and truth, made by the command itself."""
    folder = tmp_path_factory.mktemp("movie")
    argv = sys.argv
    sys.argv = ["dilatedloc", "simulate", "--model", "astigmatism", "--frames", "30"]
    sys.argv += ["--density-per-um2", "0.2", "--photons", "4000:8000", "--bg", "20"]
    sys.argv += ["--seed", "3", "--out", f"{folder}/m.tif", "--truth", f"{folder}/t.csv"]
    with pytest.raises(SystemExit) as end:
        main()
    sys.argv = argv
    assert not end.value.code
    return folder


def test_the_path_from_movie_to_image(run, movie, tmp_path):
    table = tmp_path / "locs.csv"
    status, out, _ = run(
        "localize", movie / "m.tif", "--model", "astigmatism", "--out", table, "--json"
    )
    assert status == 0
    report = json.loads(out)
    assert report["frames"] == 30
    assert report["localizations"] > 50
    assert report["pixel_size_nm"] == pytest.approx(100)

    truth = movie / "t.csv"
    status, out, _ = run(
        "evaluate", table, truth, "--pixel-size-nm", 100, "--min-photons", 1000, "--json"
    )
    figures = json.loads(out)
    assert status == 0
    assert figures["jaccard"] > 0.8
    assert figures["rmse_lateral_nm"] < 40

    border = ("--border-nm", 450, "--min-photons", 1000)
    args = ("evaluate", table, truth, "--pixel-size-nm", 100, *border, "--json")
    status, out, _ = run(*args, "--field-px", 64, 64)
    inner = json.loads(out)
    assert inner["true_positives"] < figures["true_positives"]
    assert inner["jaccard"] > 0.8
    status, _, err = run(*args)
    assert status == 2
    assert "give height and width" in err
    status, _, err = run("evaluate", table, truth, "--pixel-size-nm", 100, "--field-px", 64, 64)
    assert status == 2
    assert "give --border-nm too" in err

    picasso = tmp_path / "locs.hdf5"
    assert run("convert", table, "--out", picasso, "--pixel-size-nm", 100)[0] == 0
    assert (tmp_path / "locs.yaml").is_file()
    status, out, _ = run("evaluate", picasso, truth, "--min-photons", 1000, "--json")
    assert json.loads(out)["jaccard"] == pytest.approx(figures["jaccard"], abs=0.01)

    for mode in ("histogram", "gaussian", "z"):
        image = tmp_path / f"{mode}.png"
        assert run("render", picasso, "--out", image, "--mode", mode)[0] == 0
        assert image.stat().st_size > 500


def test_frames_and_roi(run, movie, tmp_path):
    table = tmp_path / "part.csv"
    args = ("localize", movie / "m.tif", "--model", "astigmatism", "--out", table)
    assert run(*args, "--frames", "5:15", "--roi", "8,16,40,60", "--json")[0] == 0
    rows = np.genfromtxt(table, delimiter=",", names=True)
    frame, x, y = (rows[name] for name in ("frame", "x_nm", "y_nm"))
    assert frame.min() >= 6
    assert frame.max() <= 15
    assert x.min() > 1500
    assert x.max() < 6100
    assert y.max() < 4100


def test_calibrate_train_and_localize(run, tmp_path, data_dir, movie):
    beads = data_dir / "challenge-2016-AS" / "beads_AS_151z.tif"
    psf, model, camera = (tmp_path / n for n in ("psf.h5", "m.safetensors", "camera.yaml"))
    status, out, _ = run(
        "calibrate", beads, "--pixel-size-nm", 100, "--z-step-nm", 10, "--out", psf, "--json"
    )
    assert status == 0
    assert json.loads(out)["beads_used"] >= 3
    save_yaml(SCMOSConfig(), camera)
    config = tmp_path / "train.yaml"
    config.write_text(
        "batch: 2\nframes: 3\npatch: 32\nvalidate_every: 2\nvalidation_frames: 10\n"
        "validation_per_plane: 1\ntest_emitters: 10\n"
    )
    args = ("--psf", psf, "--camera", camera, "--config", config, "--out", model, "--json")
    status, out, _ = run("train", *args, "--steps", 2)
    assert status == 0
    assert json.loads(out)["steps"] == 2
    assert run("train", *args, "--steps", 4, "--resume")[0] == 0
    assert load_model(model).info.steps in (2, 4)
    table = tmp_path / "locs.h5"
    assert run("localize", movie / "m.tif", "--model", model, "--out", table)[0] == 0
    assert table.is_file()


def test_steps_on_the_command_line_beat_minutes_in_the_file(run, tmp_path):
    config = tmp_path / "train.yaml"
    config.write_text(
        "minutes: 60\nbatch: 1\nframes: 3\npatch: 32\nvalidation_frames: 10\n"
        "validation_per_plane: 1\ntest_emitters: 10\n"
    )
    args = ("--psf", "astigmatism", "--config", config, "--out", tmp_path / "m.safetensors")
    status, out, _ = run("train", *args, "--steps", 1, "--json")
    assert status == 0
    assert json.loads(out)["steps"] == 1


def test_networks_are_listed(run):
    status, out, _ = run("networks", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert status == 0
    assert rows["dilatedloc-2024"]["parameters"] == 453_835
    assert rows["dilatedloc-2024"]["macs_128"] == 20_241_776_640
    assert rows["dilatedloc"]["macs_128"] <= 2.0e9


def truncated(path):
    whole = path.with_name("whole.tif")
    tifffile.imwrite(whole, np.zeros((40, 64, 64), np.uint16), photometric="minisblack")
    path.write_bytes(whole.read_bytes()[: 64 * 64 * 2 * 20])
    whole.unlink()


def rgb(path):
    tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint8), photometric="rgb")


def flat(path):
    tifffile.imwrite(path, np.zeros((64, 64), np.uint16), photometric="minisblack")


def nan(path):
    frames = np.full((10, 64, 64), 100.0, np.float32)
    frames[4, 3, 3] = np.nan
    tifffile.imwrite(path, frames, photometric="minisblack")


def no_tiff(path):
    path.write_text("not a tiff")


@pytest.mark.parametrize("make", [truncated, rgb, flat, nan, no_tiff])
def test_a_bad_movie_gives_one_sentence_and_no_output(run, tmp_path, make):
    make(tmp_path / "bad.tif")
    out = tmp_path / "locs.csv"
    status, _, err = run("localize", tmp_path / "bad.tif", "--model", "astigmatism", "--out", out)
    assert_one_sentence(status, err)
    assert [p.name for p in tmp_path.iterdir()] == ["bad.tif"]


def assert_one_sentence(status, err):
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status == 2
    assert len(lines) == 1
    assert len(lines[0]) > 30
    assert "Traceback" not in err


@pytest.mark.parametrize("model", ["nope", "bad.safetensors"])
def test_a_wrong_model_gives_one_sentence(run, movie, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.safetensors").write_bytes(b"\x00" * 100)
    status, _, err = run(
        "localize", movie / "m.tif", "--model", model, "--out", tmp_path / "locs.csv"
    )
    assert_one_sentence(status, err)
    assert not (tmp_path / "locs.csv").exists()


def test_an_empty_csv_gives_one_sentence(run, movie, tmp_path):
    (tmp_path / "empty.csv").touch()
    assert_one_sentence(
        *run("evaluate", tmp_path / "empty.csv", movie / "t.csv", "--pixel-size-nm", 100)[::2]
    )


def test_a_missing_pixel_size_gives_one_sentence(run, movie, tmp_path):
    table = tmp_path / "locs.csv"
    run("localize", movie / "m.tif", "--model", "astigmatism", "--out", table)
    status, _, err = run("convert", table, "--out", tmp_path / "locs.hdf5")
    assert_one_sentence(status, err)
    assert "--pixel-size-nm" in err or "pixel size" in err
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.zeros((9, 64, 64), np.uint16), photometric="minisblack")
    status, _, err = run("calibrate", stack, "--z-step-nm", 10, "--out", tmp_path / "psf.h5")
    assert_one_sentence(status, err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["locs.csv", "locs.run", "stack.tif"]


def test_an_output_folder_that_is_not_there_is_refused_at_once(run, movie, tmp_path):
    status, _, err = run(
        "localize", movie / "m.tif", "--model", "astigmatism", "--out", tmp_path / "no" / "l.csv"
    )
    assert_one_sentence(status, err)


def test_a_misspelt_setting_is_refused(run, tmp_path):
    config = tmp_path / "train.yaml"
    config.write_text("stepz: 3\n")
    status, _, err = run(
        "train", "--psf", "astigmatism", "--config", config, "--out", tmp_path / "m.safetensors"
    )
    assert_one_sentence(status, err)
    assert "stepz" in err


@pytest.mark.parametrize(
    "command", [c.name or c.callback.__name__ for c in app.registered_commands]
)
def test_every_command_explains_itself(run, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert len(out) > 200


@pytest.mark.parametrize("command", ["localize", "watch"])
def test_help_says_that_tiles_are_automatic(run, command):
    _, out, _ = run(command, "--help")
    said = " ".join(out.replace("│", " ").split())
    assert "--tile-size" in said
    assert "automatic by default" in said


def test_the_demo_writes_what_it_promises(run, tmp_path):
    status, _, err = run("demo", "--out", tmp_path / "demo", "--frames", 40)
    assert status == 0
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report["localizations"] > 20
    assert report["jaccard"] > 0.8
    assert report["frames_per_second"] > 0
    for name in ("rmse_lateral_nm", "rmse_axial_nm"):
        assert 0 < report[name] < 200
    for name in (
        "movie.tif",
        "localizations.csv",
        "localizations.hdf5",
        "localizations.yaml",
        "super_resolution.tif",
        "super_resolution.png",
    ):
        assert (tmp_path / "demo" / name).stat().st_size > 50
        assert name in err.replace("\n", "")
