import pytest

from napari_dilatedloc.config import SCMOSConfig, TrainingConfig, load_yaml, save_yaml
from napari_dilatedloc.matching.estimate import MovieEstimate, Spread
from napari_dilatedloc.matching.settings import training_config, uncovered

ESTIMATE = MovieEstimate(
    bg=Spread(20, 30, 40),
    photons=Spread(1000, 2000, 3000),
    dimmest=900,
    density_per_um2=Spread(0.1, 0.2, 0.4),
    lifetime_frames=3.21987,
    z_range_nm=(-200.0, 200.0),
    spots=500,
    fits=200,
    pairs=400,
    frames=100,
    missed=0.1,
)


def test_ranges_have_the_stated_room(tmp_path):
    config = training_config(ESTIMATE, SCMOSConfig(baseline=7), (-700.0, 700.0))
    simulation = config.simulation
    assert simulation.bg == pytest.approx((20 / 1.5, 60), rel=0.005)
    assert simulation.photons == pytest.approx((1000 / 1.5, 4500), rel=0.005)
    assert simulation.density_per_um2 == pytest.approx((0.05, 0.8))
    assert simulation.lifetime_frames == 3.22
    assert simulation.z_range_nm == (-260.0, 260.0)
    assert uncovered(ESTIMATE, simulation) == []
    save_yaml(config, tmp_path / "train.yaml")
    assert load_yaml(TrainingConfig, tmp_path / "train.yaml") == config


def test_z_is_the_psfs_where_the_movie_fills_it_or_shows_too_little():
    wide = ESTIMATE.__class__(**{**vars(ESTIMATE), "z_range_nm": (-500.0, 500.0)})
    few = ESTIMATE.__class__(**{**vars(ESTIMATE), "fits": 20})
    for estimate in (wide, few):
        config = training_config(estimate, SCMOSConfig(), (-700.0, 700.0))
        assert config.simulation.z_range_nm is None


def test_a_thin_layer_gets_room():
    thin = ESTIMATE.__class__(**{**vars(ESTIMATE), "z_range_nm": (100.0, 140.0)})
    config = training_config(thin, SCMOSConfig(), (-700.0, 700.0))
    assert config.simulation.z_range_nm == (50.0, 190.0)


def test_narrow_photons_get_room():
    narrow = ESTIMATE.__class__(
        **{**vars(ESTIMATE), "photons": Spread(1900, 2000, 2100), "dimmest": 1500}
    )
    config = training_config(narrow, SCMOSConfig(), (-700.0, 700.0))
    assert config.simulation.photons == (1000, 4000)
    dim = ESTIMATE.__class__(**{**vars(ESTIMATE), "dimmest": 300})
    assert training_config(dim, SCMOSConfig(), (0.0, 1.0)).simulation.photons[0] == 300


def test_what_settings_do_not_cover():
    simulation = TrainingConfig().simulation.replace(
        bg=(1.0, 10.0), photons=(4000.0, 9000.0), density_per_um2=(0.1, 1.0)
    )
    assert uncovered(ESTIMATE, simulation) == [("bg", 3.0), ("photons", 0.5)]
