"""The command copied from the dock is understood by the program, and means the same."""

import shlex

import pytest
import typer

from napari_dilatedloc.cli.app import app
from napari_dilatedloc.cli.common import settings_of
from napari_dilatedloc.cli.localize import _settings
from napari_dilatedloc.config import (
    CameraConfig,
    EMCCDConfig,
    LocalizeConfig,
    MovieSettings,
    PSFFile,
    PSFSettings,
    SCMOSConfig,
    Settings,
    TrainingConfig,
    load_yaml,
    save_settings,
)
from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.gui.command_line import (
    cluster_command,
    localize_command,
    quoted,
    train_command,
)
from napari_dilatedloc.gui.train_form import default_settings

ODD = 1 / 3


def parsed(line):
    """Options as the program reads them from a POSIX shell."""
    program, command, *arguments = shlex.split(line)
    assert program == "dilatedloc"
    return typer.main.get_command(app).commands[command].make_context(command, arguments).params


@pytest.fixture
def movie(tmp_path):
    return str(tmp_path / "my movie's $1.ome.tif")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "all settings.yaml"


@pytest.mark.parametrize(
    "config",
    [
        LocalizeConfig(),
        LocalizeConfig(threshold=ODD, frames=(5, 60), roi=(0, 8, 40, 48), device="cuda:1"),
        LocalizeConfig(engine="exact", precision="float32", batch_frames=8),
        LocalizeConfig(threshold=0.4, block_frames=16, tile_size=256, prefetch_blocks=2),
    ],
)
@pytest.mark.parametrize("camera", [None, EMCCDConfig(em_gain=ODD + 100)])
def test_localize_means_the_same(movie, file, config, camera):
    settings = Settings(
        movie=MovieSettings(pixel_size_nm=100 + ODD), model="astigmatism", localize=config
    ).model_copy(update={"camera": camera})
    command, wanted = localize_command(settings, movie, file, None)
    if wanted is not None:
        save_settings(wanted, file)
    found = parsed(quoted(command))
    (given,) = found["movies"]
    assert str(given) == movie
    assert found["model"] == "astigmatism"
    assert found["out"].parent == given.parent
    assert found["pixel_size_nm"] == pytest.approx(100 + ODD, rel=1e-9)
    names = ("threshold", "device", "engine", "precision", "batch_frames")
    options = {name: found[name] for name in names}
    assert _settings(found["config"], found["frames"], found["roi"], options) == config
    if camera is None:
        assert found["camera"] is None
    else:
        assert load_yaml(CameraConfig, found["camera"]) == camera
    assert not found["overwrite"]


def test_plain_settings_need_no_file(movie, file):
    settings = Settings(model="astigmatism", localize=LocalizeConfig(threshold=0.3))
    assert localize_command(settings, movie, file, None)[1] is None


def test_a_preset_is_named(movie, file, tmp_path):
    settings = Settings(model="m", camera=SCMOSConfig())
    command, wanted = localize_command(settings, movie, file, tmp_path / "Orca.yaml")
    assert wanted is None
    assert parsed(quoted(command))["camera"] == tmp_path / "Orca.yaml"


@pytest.mark.parametrize(
    "psf",
    [
        PSFSettings(preset="astigmatism"),
        PSFSettings(origin="file", file=PSFFile(path="/my psf/b.mat")),
    ],
)
@pytest.mark.parametrize("training", [default_settings(), TrainingConfig(steps=100, seed=3)])
def test_train_means_the_same(tmp_path, file, psf, training):
    settings = Settings(psf=psf, init="none", training=training, camera=EMCCDConfig())
    command, wanted = train_command(settings, tmp_path / "new.safetensors", file)
    save_settings(wanted, file)
    found = parsed(quoted(command))
    assert found["psf"] == (psf.preset if psf.origin == "preset" else psf.file.path)
    assert found["out"] == tmp_path / "new.safetensors"
    assert found["init"] == "none"
    used = load_yaml(TrainingConfig, found["config"])
    expected = training.model_copy(update={"camera": EMCCDConfig()})
    assert used == expected
    assert used.for_fine_tuning() == expected.for_fine_tuning()


@pytest.mark.parametrize(
    "config",
    [
        ClusterConfig(radius_nm=ODD + 40, min_points=7, z_weight=ODD),
        ClusterConfig(method="hdbscan", min_points=20),
    ],
)
def test_cluster_means_the_same(tmp_path, config):
    table = tmp_path / "my cells.h5"
    found = parsed(quoted(cluster_command(config, table, 100 + ODD)))
    assert found["source"] == table
    options = {name: found[name] for name in ("method", "radius_nm", "min_points", "z_weight")}
    assert settings_of(ClusterConfig, found["config"], options, "cluster") == config
    assert found["pixel_size_nm"] == pytest.approx(100 + ODD, rel=1e-9)
    written = {found["out"], found["clusters_out"]}
    assert len(written - {table}) == 2
    assert {path.parent for path in written} == {tmp_path}


def test_what_the_command_line_cannot_do_is_said(movie, file, tmp_path):
    with pytest.raises(ValueError, match="save it as TIFF"):
        localize_command(Settings(model="m"), None, file, None)
    for psf in (PSFSettings(), PSFSettings(origin="beads", preset="astigmatism")):
        with pytest.raises(ValueError, match="save it first"):
            train_command(Settings(psf=psf), tmp_path / "a", file)
    turned = PSFSettings(origin="file", file=PSFFile(path="b.mat", z_direction="down"))
    with pytest.raises(ValueError, match="reads a PSF file as it is"):
        train_command(Settings(psf=turned), tmp_path / "a", file)
