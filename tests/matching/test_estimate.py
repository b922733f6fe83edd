"""Simulated movies with known numbers, found again within the stated tolerances."""

import numpy as np
import pytest

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import EMCCDConfig, GaussianPSFConfig, SCMOSConfig, SimulationConfig
from napari_dilatedloc.matching.estimate import estimate_movie
from napari_dilatedloc.matching.sample import take_sample
from napari_dilatedloc.matching.templates import template_bank
from napari_dilatedloc.psf.build import load_psf
from napari_dilatedloc.psf.compile import compile_psf
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.simulator import simulate_movie


def estimate(psf, camera, simulation, frames=150, size=(64, 64), seed=5):
    movie, _ = simulate_movie(psf, camera, simulation, frames=frames, size=size, seed=seed)
    sample = take_sample(movie, build_camera(camera))
    return estimate_movie(sample, psf, template_bank(psf))


@pytest.mark.parametrize(
    ("name", "camera", "density", "photons", "life", "bg"),
    [
        ("gaussian", SCMOSConfig(), 0.12, (1000.0, 4000.0), 2.0, 30.0),
        ("astigmatism", EMCCDConfig(), 0.15, (2000.0, 8000.0), 3.0, 100.0),
    ],
)
def test_known_numbers_are_recovered(name, camera, density, photons, life, bg):
    exact = GaussianPSF(GaussianPSFConfig(roi_size=21)) if name == "gaussian" else load_psf(name)
    simulation = SimulationConfig(
        density_per_um2=(density, density),
        photons=photons,
        photon_distribution="lognormal",
        lifetime_frames=life,
        bg=(bg, bg),
        bg_structure=0.0,
    )
    found = estimate(compile_psf(exact), camera, simulation).estimate
    assert found.bg.median == pytest.approx(bg, rel=0.05)
    assert found.photons.median == pytest.approx(np.sqrt(photons[0] * photons[1]), rel=0.15)
    assert found.density_per_um2.median == pytest.approx(density, rel=0.25)
    assert found.lifetime_frames == pytest.approx(life, rel=0.35)
    low, high = exact.config.z_range_nm
    assert found.z_range_nm[0] < 0.5 * low
    assert found.z_range_nm[1] > 0.5 * high
    assert found.fits > 50
    assert found.density_per_um2.low < density < found.density_per_um2.high


@pytest.mark.parametrize("density", [0.1, 0.3])
def test_dim_movies_are_not_taken_for_sparse_ones(density):
    """Most of the molecules stay below the threshold, above all those far from focus."""
    simulation = SimulationConfig(
        density_per_um2=(density, density),
        photons=(400, 2000),
        photon_distribution="lognormal",
        bg=(50, 50),
    )
    psf = compile_psf(load_psf("astigmatism"))
    found = estimate(psf, SCMOSConfig(), simulation, frames=300, size=(80, 80), seed=6).estimate
    assert found.missed > 0.5
    assert found.density_per_um2.median == pytest.approx(density, rel=0.25)
    assert found.photons.median == pytest.approx(np.sqrt(400 * 2000), rel=0.25)


@pytest.mark.parametrize("z_range_nm", [(-200.0, 200.0), (100.0, 500.0)])
def test_a_thin_sample_is_seen_to_be_one(z_range_nm):
    simulation = SimulationConfig(
        density_per_um2=(0.2, 0.2), photons=(2000, 8000), bg=(50, 50), z_range_nm=z_range_nm
    )
    psf = compile_psf(load_psf("astigmatism"))
    low, high = estimate(psf, SCMOSConfig(), simulation).estimate.z_range_nm
    assert low == pytest.approx(z_range_nm[0], abs=150)
    assert high == pytest.approx(z_range_nm[1], abs=200)  # of 1400


def test_a_dark_movie_is_refused_in_one_sentence():
    psf = compile_psf(GaussianPSF(GaussianPSFConfig(roi_size=15)))
    noise = np.random.default_rng(0).normal(300, 20, (20, 40, 40))
    sample = take_sample(noise, build_camera(SCMOSConfig()))
    with pytest.raises(ValueError, match="expected spots in the movie, found 0 in 20 frames"):
        estimate_movie(sample, psf, template_bank(psf))


def test_background_of_a_real_movie(data_dir):
    """The Challenge's camera and background are known: 100 photons."""
    from napari_dilatedloc.io.movie import open_movie
    from napari_dilatedloc.matching.verdicts import gain_factor

    path = data_dir / "challenge-2016-AS" / "MT0.N1.LD-AS_frames01-32.tif"
    psf = compile_psf(load_psf("astigmatism"))
    sample = take_sample(open_movie(path).data, build_camera(EMCCDConfig()))
    matched = estimate_movie(sample, psf, template_bank(psf))
    assert matched.estimate.bg.median == pytest.approx(100, rel=0.03)
    assert gain_factor(sample, matched) == pytest.approx(1, rel=0.1)
    assert 20 < matched.estimate.spots < 48  # 48 in the truth, ten of them below 500 photons
