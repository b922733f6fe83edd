"""Settings that no microscope can have are refused in a sentence."""

import math

import pytest

from napari_dilatedloc.config import (
    CameraConfig,
    ConfigError,
    EMCCDConfig,
    GaussianPSFConfig,
    SCMOSConfig,
    SimulationConfig,
    load_yaml,
    parse_config,
    save_yaml,
)


@pytest.mark.parametrize(
    "bad",
    [
        {"photons": (5000, 100)},
        {"photons": (-5, 100)},
        {"photons": (0, 0)},
        {"photons": (0, math.inf)},
        {"photons": (0, 1000), "photon_distribution": "gamma"},
        {"photon_distribution": "normal"},
        {"density_per_um2": (-1, 1)},
        {"density_per_um2": (0, 0)},
        {"density_per_um2": (2, 1)},
        {"density_per_um2": (0, 1), "density_distribution": "lognormal"},
        {"density_contrast": 1.5},
        {"density_contrast": math.nan},
        {"bg": (-3, 4)},
        {"bg": (math.nan, 4)},
        {"bg_structure": -0.1},
        {"bg_structure": 1.1},
        {"bg_octaves": 0},
        {"bg_feature_px": 0},
        {"z_range_nm": (500, -500)},
        {"z_range_nm": (-math.inf, 500)},
        {"lifetime_frames": 0},
        {"lifetime_frames": -2},
        {"lifetime_frames": math.inf},
        {"min_photons": 20_000},
        {"min_photons": -1},
    ],
)
def test_impossible_simulations(bad):
    name = next(iter(bad))
    with pytest.raises(ValueError, match=name):
        SimulationConfig(**bad)
    with pytest.raises(ConfigError, match="correct this entry"):
        parse_config(SimulationConfig, bad, "train.yaml")


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "emccd", "em_gain": 0},
        {"kind": "emccd", "em_gain": 0.5},
        {"kind": "emccd", "em_gain": math.inf},
        {"kind": "emccd", "maps": "maps.npz"},
        {"kind": "scmos", "baseline": 65535},
        {"kind": "scmos", "baseline": 5000, "max_adu": 4095},
        {"kind": "scmos", "baseline": -1},
        {"kind": "scmos", "e_per_adu": 0},
        {"kind": "scmos", "e_per_adu": math.nan},
        {"kind": "scmos", "qe": 90},
        {"kind": "scmos", "read_noise_e": -1},
        {"kind": "scmos", "read_noise_e": math.inf},
        {"kind": "scmos", "spurious_e": -0.1},
    ],
)
def test_impossible_cameras(bad):
    name = list(bad)[1]
    with pytest.raises(ConfigError, match=name) as caught:
        parse_config(CameraConfig, bad, "camera.yaml")
    assert "correct" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_middle_of_a_roi_is_a_pixel():
    with pytest.raises(ConfigError, match=r"roi_size: must be odd"):
        parse_config(GaussianPSFConfig, {"roi_size": 24}, "psf.yaml")


def test_a_sentence_names_the_file_and_the_entry_once():
    with pytest.raises(ConfigError) as caught:
        parse_config(SimulationConfig, {"photons": (5000, 100)}, "train.yaml")
    assert str(caught.value) == (
        "train.yaml: photons must be (low, high), got (5000.0, 100.0); swap the two; correct this "
        "entry"
    )


def test_all_settings_travel_through_yaml(tmp_path):
    simulation = SimulationConfig(
        density_distribution="gamma",
        density_contrast=0.5,
        photon_distribution="lognormal",
        lifetime_distribution="gamma",
        bg_structure=0.4,
        bg_octaves=4,
        bg_feature_px=20,
    )
    for config in (simulation, SCMOSConfig(maps="chip.npz"), EMCCDConfig(em_gain=1)):
        save_yaml(config, tmp_path / "settings.yaml")
        assert load_yaml(type(config), tmp_path / "settings.yaml") == config
