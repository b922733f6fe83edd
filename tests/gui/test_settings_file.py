"""One file with the settings of all steps, from which each command takes its own."""

import pytest
import yaml

from napari_dilatedloc.config import (
    BeadSettings,
    CameraConfig,
    ConfigError,
    EMCCDConfig,
    LocalizeConfig,
    MovieSettings,
    PSFConfig,
    PSFFile,
    PSFSettings,
    SCMOSConfig,
    Settings,
    SimulationConfig,
    TrainingConfig,
    VectorialPSFConfig,
    load_settings,
    load_yaml,
    save_settings,
    save_yaml,
)
from napari_dilatedloc.config.clusters import ClusterConfig
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.config.linking import LinkingConfig

ODD = 1 / 3
FULL = Settings(
    movie=MovieSettings(pixel_size_nm=100 + ODD),
    camera=EMCCDConfig(em_gain=100 + ODD),
    psf=PSFSettings(
        origin="beads",
        preset="astigmatism",
        file=PSFFile(path="my psf.mat", pixel_size_nm=ODD, z_direction="down"),
        beads=BeadSettings(z_step_nm=12.5, roi_size=31, optics=VectorialPSFConfig(na=1.35)),
    ),
    model="/models/mine ä.safetensors",
    localize=LocalizeConfig(threshold=ODD, frames=(3, 70), roi=(1, 2, 30, 40), tile_size=256),
    init="none",
    training=TrainingConfig(
        simulation=SimulationConfig(photons=(100 + ODD, 2000.0)), minutes=ODD, seed=7
    ),
    filter=FilterConfig(where="photons>500", ranges={"z_nm": (-100.0, None)}, edge_px=2.5),
    drift=DriftConfig(method="rcc", segments=12, rcc_bin_nm=15.0),
    link=LinkingConfig(dark_frames=3, sigmas=3.0),
    cluster=ClusterConfig(radius_nm=40 + ODD, min_points=7, z_weight=ODD),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "all.yaml"


def test_what_is_saved_is_what_is_loaded(path):
    save_settings(FULL, path)
    again = load_settings(path)
    expected = FULL.model_copy(update={"training": again.training})
    assert again == expected
    assert again.stated_training == FULL.stated_training
    assert again.model_fields_set == set(Settings.model_fields)


def test_each_command_takes_its_section(path):
    save_settings(FULL, path)
    assert load_yaml(CameraConfig, path) == FULL.camera
    assert load_yaml(LocalizeConfig, path) == FULL.localize
    assert load_yaml(SimulationConfig, path) == FULL.training.simulation
    assert load_yaml(FilterConfig, path) == FULL.filter
    assert load_yaml(DriftConfig, path) == FULL.drift
    assert load_yaml(LinkingConfig, path) == FULL.link
    assert load_yaml(ClusterConfig, path) == FULL.cluster
    training = load_yaml(TrainingConfig, path)
    assert training == FULL.training.replace(camera=FULL.camera)
    # what nobody stated can still be chosen by fine-tuning
    assert training.for_fine_tuning().warmup_steps == 50
    assert training.for_fine_tuning().minutes == ODD


def test_the_camera_stands_in_the_file_once(path):
    save_settings(FULL, path)
    values = yaml.safe_load(path.read_text())
    assert values["dilatedloc"] == 1
    assert "camera" not in values["training"]
    values["camera"]["em_gain"] = 55.0  # somebody's edit holds for all steps
    path.write_text(yaml.safe_dump(values))
    assert load_yaml(CameraConfig, path).em_gain == 55
    assert load_yaml(TrainingConfig, path).camera.em_gain == 55


def test_the_camera_of_the_model_is_no_camera(path):
    settings = Settings(camera=None, training=TrainingConfig(camera=SCMOSConfig(qe=0.7)))
    save_settings(settings, path)
    assert load_yaml(TrainingConfig, path).camera.qe == 0.7
    with pytest.raises(ConfigError, match="expected a section 'camera', got none"):
        load_yaml(CameraConfig, path)


def test_sections_that_are_not_stated_stay_out(path):
    save_settings(Settings(camera=SCMOSConfig(), movie=MovieSettings(pixel_size_nm=110)), path)
    again = load_settings(path)
    assert [name for name in Settings.model_fields if again.states(name)] == [
        "dilatedloc",
        "movie",
        "camera",
    ]
    assert load_yaml(TrainingConfig, path).model_fields_set == {"camera"}
    with pytest.raises(ConfigError, match="section 'localize'"):
        load_yaml(LocalizeConfig, path)
    with pytest.raises(ConfigError, match="section 'cluster'"):
        load_yaml(ClusterConfig, path)
    with pytest.raises(ConfigError, match="settings of several steps"):
        load_yaml(PSFConfig, path)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("camera", SCMOSConfig(qe=0.6)),
        ("camera", EMCCDConfig(em_gain=12)),
        ("localize", LocalizeConfig(threshold=0.3)),
        ("training", TrainingConfig(seed=4, camera=EMCCDConfig())),
    ],
)
def test_a_file_of_one_step_is_a_section(path, section, value):
    save_yaml(value, path)
    again = load_settings(path)
    assert getattr(again, section) == value
    assert again.states("camera") == (section in {"camera", "training"})
    if section == "training":
        assert again.camera == value.camera
    assert load_yaml(type(value), path) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found none"),
        ("cells: 3", "found none"),
        ("- 1\n- 2", "found none"),
        ("baseline: 100\ngain: 3\nkind: scmos", "gain: Extra inputs"),
        ("dilatedloc: 2", "dilatedloc: Input should be 1, got 2"),
        ("dilatedloc: 1\nlokalize: {}", "lokalize: Extra inputs"),
        ("dilatedloc: 1\nmovie: {pixel_size_nm: -1}", "movie.pixel_size_nm"),
        ("a: [", "not a YAML file"),
    ],
)
def test_a_wrong_file_is_said_in_one_sentence(path, text, said):
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value) or "YAML" in said


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(tmp_path / "none.yaml")
