import numpy as np
import pytest

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import (
    EMCCDConfig,
    GaussianPSFConfig,
    ModelInfo,
    ScalingConfig,
    SCMOSConfig,
    SimulationConfig,
)
from napari_dilatedloc.matching.misfit import Misfit, check_spots, misfit
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.psf.build import build_psf
from napari_dilatedloc.psf.compile import fast_psf
from napari_dilatedloc.psf.presets import ASTIGMATISM
from napari_dilatedloc.simulation.simulator import simulate_movie
from napari_dilatedloc.table import Localizations

GAUSSIAN = GaussianPSFConfig(focus_x_nm=-300, focus_y_nm=150, roi_size=21)  # not its own mirror
CAMERA = SCMOSConfig()
FRAMES, SIDE = 60, 64


def film(config=GAUSSIAN, camera=CAMERA, photons=(3000, 6000), density=0.2, seed=3):
    """Movie, and a table as a network would give it: truth with errors, dim ones missing."""
    settings = SimulationConfig(
        photons=photons, bg=(50, 50), density_per_um2=(density, density), bg_structure=0.2
    )
    psf = fast_psf(build_psf(config))
    movie, truth = simulate_movie(
        psf, camera, settings, frames=FRAMES, size=(SIDE, SIDE), seed=seed
    )
    seen = truth[truth.photons > 500]
    rng = np.random.default_rng(seed)
    n = len(seen)
    return movie, Localizations.from_columns(
        frame=seen.frame,
        x=seen.x + rng.normal(0, 0.1, n),
        y=seen.y + rng.normal(0, 0.1, n),
        z_nm=seen.z_nm + rng.normal(0, 20, n),
        photons=seen.photons * rng.normal(1, 0.05, n),
        sigma_x=np.full(n, 0.1),
        sigma_y=np.full(n, 0.1),
        sigma_z_nm=np.full(n, 20.0),
    )


def judge(movie, found, config=GAUSSIAN, camera=CAMERA):
    return misfit(movie, found, build_psf(config), build_camera(camera))


@pytest.mark.parametrize("camera", [SCMOSConfig(), EMCCDConfig()])
def test_right_psf_gives_one(camera):
    result = judge(*film(camera=camera), camera=camera)
    assert result.reduced_chi2 == pytest.approx(1, abs=0.1)
    assert result.reduced_chi2 == pytest.approx(1, abs=4 * result.scatter)
    assert result.peak_misfit < 0.02
    assert result.noise == pytest.approx(1, abs=0.1)
    assert result.shift < 1.5
    assert result.spots > 30
    assert result.doubts == []


def test_right_psf_of_dim_and_of_dense_molecules():
    assert judge(*film(photons=(600, 1200))).doubts == []
    result = judge(*film(density=0.8))
    assert result.reduced_chi2 == pytest.approx(1, abs=0.1)


def test_vectorial_psf_gives_one():
    result = judge(*film(ASTIGMATISM), config=ASTIGMATISM)
    assert result.reduced_chi2 == pytest.approx(1, abs=0.1)
    assert result.doubts == []


FOREIGN = {
    "pixels": {"pixel_size_nm": 120.0},
    "focus": {"focus_x_nm": -500.0, "focus_y_nm": 350.0},
    "narrow": {"sigma_nm": 90.0},
}


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN)
def test_another_psf_is_told(changes):
    result = judge(*film(GAUSSIAN.replace(**changes)))
    assert not result.psf_fits
    (said,) = result.doubts
    assert "dilatedloc calibrate" in said
    assert f"{result.spots} isolated spots" in said


def test_positions_where_the_psf_does_not_fit_best_are_told():
    movie, found = film()
    off = found.replace(z_nm=np.clip(found.z_nm + 150, -700, 700))
    result = judge(movie, off)
    assert result.psf_fits
    assert "moves isolated spots" in result.doubts[0]


def test_swapped_axes_are_told():
    # mostly by the positions: a spot of astigmatism looks much like the mirrored one across focus
    result = judge(*film(GAUSSIAN.replace(focus_x_nm=150.0, focus_y_nm=-300.0)))
    assert result.reduced_chi2 > 1.15
    assert result.shift > 4
    assert len(result.doubts) == 1


def test_a_small_error_is_not_blamed_for_a_bright_movie():
    nearly = GAUSSIAN.replace(sigma_nm=GAUSSIAN.sigma_nm * 1.03)
    result = judge(*film(nearly, photons=(60_000, 90_000)))
    assert result.reduced_chi2 > 1.08 + 3 * result.scatter
    assert result.peak_misfit < 0.02
    assert result.psf_fits


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_wrong_gain_is_the_cameras_fault(factor):
    wrong = CAMERA.replace(e_per_adu=CAMERA.e_per_adu * factor)
    result = judge(*film(), camera=wrong)
    assert result.noise == pytest.approx(factor, rel=0.15)
    (said,) = result.doubts
    assert "e_per_adu" in said


def test_too_few_spots_say_nothing():
    movie, found = film()
    assert judge(movie, found[found.frame < 2]) is None
    assert judge(movie, Localizations.empty()) is None


def test_a_flat_table_says_nothing():
    movie, found = film()
    assert judge(movie, found.replace(z_nm=np.full(len(found), np.nan))) is None


def test_table_without_errors_has_no_shift():
    movie, found = film()
    unknown = np.full(len(found), np.nan)
    result = judge(movie, found.replace(sigma_x=unknown, sigma_y=unknown, sigma_z_nm=unknown))
    assert np.isnan(result.shift)
    assert result.doubts == []


def test_check_of_a_model():
    scaling = ScalingConfig(
        input_offset=0, input_scale=1, z_scale_nm=1, z_centre_nm=0, photon_scale=1, bg_scale=1
    )
    info = ModelInfo(
        network="fake", scaling=scaling, camera=CAMERA, psf=GAUSSIAN, simulation=SimulationConfig()
    )
    model = Model(None, info, {}, "fake", "")
    assert check_spots(*film(), model) == []
    assert len(check_spots(*film(GAUSSIAN.replace(pixel_size_nm=125)), model)) == 1


def test_sentences_name_the_figures():
    result = Misfit(80, 2.0, 0.05, 0.12, 1.0, 0.7)
    assert "by 12% of their peak" in result.doubts[0]
    assert "2.00 instead of 1.00 +- 0.05" in result.doubts[0]
