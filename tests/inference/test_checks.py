import numpy as np
import pytest

from napari_dilatedloc.config import (
    ConfigError,
    EMCCDConfig,
    GaussianPSFConfig,
    LocalizeConfig,
    ModelInfo,
    ScalingConfig,
    SCMOSConfig,
    SimulationConfig,
)
from napari_dilatedloc.inference.checks import check_model_fits, check_run
from napari_dilatedloc.io.movie import MovieError

MOVIE = np.zeros((10, 40, 50), np.uint16)


@pytest.fixture
def info():
    return ModelInfo(
        network="fake",
        scaling=ScalingConfig(
            input_offset=0, input_scale=1, z_scale_nm=1, z_centre_nm=0, photon_scale=1, bg_scale=1
        ),
        camera=SCMOSConfig(baseline=100, e_per_adu=0.5, qe=0.9, read_noise_e=1.5),
        psf=GaussianPSFConfig(pixel_size_nm=100, roi_size=25),
        simulation=SimulationConfig(bg=(10, 150)),
    )


def lit(level, shape=(2, 64, 64)):
    """Movie of photon noise around a level of ADU."""
    rng = np.random.default_rng(1)
    return (level + rng.normal(0, 4, shape)).astype(np.uint16)


def test_whole_movie_by_default():
    assert check_run(MOVIE, LocalizeConfig()) == ((0, 10), (0, 0, 40, 50))


def test_part_of_a_movie():
    config = LocalizeConfig(frames=(3, 10), roi=(0, 1, 40, 50))
    assert check_run(MOVIE, config) == ((3, 10), (0, 1, 40, 50))


@pytest.mark.parametrize("frames", [(0, 11), (-1, 5), (5, 5), (6, 5)])
def test_frames_outside_the_movie(frames):
    with pytest.raises(ConfigError, match="0 <= A < B <= 10, got"):
        check_run(MOVIE, LocalizeConfig(frames=frames))


@pytest.mark.parametrize("roi", [(0, 0, 41, 50), (-1, 0, 4, 5), (3, 3, 3, 5), (0, 9, 5, 8)])
def test_region_outside_the_frame(roi):
    with pytest.raises(ConfigError, match="within 0,0,40,50, got"):
        check_run(MOVIE, LocalizeConfig(roi=roi))


@pytest.mark.parametrize("shape", [(40, 50), (2, 40, 50, 3), (10, 40, 3)])
def test_what_is_no_movie(shape):
    with pytest.raises(MovieError):
        check_run(np.zeros(shape, np.uint8), LocalizeConfig())


def test_tiny_frames():
    with pytest.raises(MovieError, match=r"at least 16 x 16 px .* got 15 x 50"):
        check_run(np.zeros((10, 15, 50), np.uint16), LocalizeConfig())


def test_fitting_movie_raises_no_doubt(info):
    assert check_model_fits(lit(200), 104.0, info) == []
    assert check_model_fits(lit(200), None, info) == []


def test_foreign_pixel_size(info):
    (doubt,) = check_model_fits(lit(200), 160.0, info)
    assert "160 nm" in doubt
    assert "100 nm" in doubt


def test_frames_smaller_than_the_psf(info):
    (doubt,) = check_model_fits(lit(200, (2, 20, 64)), 100.0, info)
    assert "20 x 64 px" in doubt


def test_baseline_above_the_dark_pixels(info):
    (doubt,) = check_model_fits(lit(60), 100.0, info)
    assert "below the baseline" in doubt


def test_dead_pixel_and_read_noise_raise_no_doubt(info):
    rng = np.random.default_rng(1)
    movie = rng.normal(100, 3, (1, 64, 64))
    movie[0, 5, 5] = 0
    assert check_model_fits(movie.astype(np.uint16), 100.0, info) == []


def test_more_background_than_the_model_knows(info):
    (doubt,) = check_model_fits(lit(2100), 100.0, info)
    # (2100 - 100) ADU x 0.5 e/ADU / 0.9, less noise
    assert "11" in doubt
    assert "at most 150" in doubt


def test_em_gain_counts(info):
    emccd = info.replace(camera=EMCCDConfig(baseline=100, em_gain=300, e_per_adu=45))
    assert check_model_fits(lit(800), 100.0, emccd) == []


@pytest.fixture
def with_maps(info, tmp_path):
    """Model for a camera whose halves have another baseline; a movie of 64 x 64 px."""
    baseline = np.full((64, 64), 100, np.float32)
    baseline[:, 32:] = 400
    np.savez(tmp_path / "maps.npz", baseline=baseline)
    camera = info.camera.replace(baseline=0, maps=str(tmp_path / "maps.npz"))
    return info.replace(camera=camera), baseline


def test_camera_maps_are_looked_at_pixel_by_pixel(with_maps):
    info, baseline = with_maps
    light = np.random.default_rng(1).normal(0, 4, (2, 64, 64))
    assert check_model_fits((baseline + 100 + light).astype(np.uint16), 100.0, info) == []
    # the median of the baseline is far below 380, which is dark in the right half only
    (doubt,) = check_model_fits(np.minimum(baseline + 100, 380).astype(np.uint16)[None], 100, info)
    assert "below the baseline" in doubt


def test_camera_maps_of_another_shape_are_left_to_the_run(with_maps):
    info, _ = with_maps
    assert check_model_fits(lit(60, (2, 64, 63)), 100.0, info) == []
