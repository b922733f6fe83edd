"""Wrong settings are called by their name, right ones are not."""

import numpy as np
import pytest

from napari_dilatedloc.config import (
    GaussianPSFConfig,
    SCMOSConfig,
    SimulationConfig,
    TrainingConfig,
)
from napari_dilatedloc.matching import estimate
from napari_dilatedloc.matching.match import match_movie
from napari_dilatedloc.psf.compile import compile_psf
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.simulator import simulate_movie

CAMERA = SCMOSConfig()
GAUSSIAN = compile_psf(GaussianPSF(GaussianPSFConfig(roi_size=17)))
SIMULATION = SimulationConfig(
    density_per_um2=(0.15, 0.15), photons=(2000.0, 6000.0), bg=(30.0, 30.0), bg_structure=0.0
)


def filmed(psf, **changes):
    simulation = SIMULATION.replace(**changes)
    return simulate_movie(psf, CAMERA, simulation, frames=75, size=(48, 48), seed=2)[0]


def topics(match, *levels):
    return {v.topic for v in match.verdicts if v.level in levels}


def sentence(match, topic):
    return next(v.sentence for v in match.verdicts if v.topic == topic)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Fewer simulated frames; what is wrong here is wrong by far."""
    monkeypatch.setattr(estimate, "SIMULATED_PIXELS", 100_000)
    monkeypatch.setattr(estimate, "ROUNDS", 3)


@pytest.fixture(scope="module")
def movie():
    return filmed(GAUSSIAN)


def test_right_settings_give_no_problem(movie):
    match = match_movie(movie, GAUSSIAN, CAMERA, pixel_size_nm=100.0)
    assert topics(match, "problem", "warning") == set()
    assert "single images cannot tell" in sentence(match, "z sign")


def test_gain_three_times_too_large(movie):
    match = match_movie(movie, GAUSSIAN, CAMERA.replace(e_per_adu=3 * CAMERA.e_per_adu))
    assert "gain" in topics(match, "problem")
    factor = next(v.value for v in match.verdicts if v.topic == "gain")
    assert factor == pytest.approx(3, rel=0.15)
    assert "correct e_per_adu to 0.4" in sentence(match, "gain")  # 0.47
    assert "psf" not in topics(match, "problem", "warning")  # it is not the PSF's fault


def test_baseline_too_high_pixel_size_and_saturation(movie):
    clipped = np.minimum(movie, 255)
    match = match_movie(clipped, GAUSSIAN, CAMERA.replace(baseline=150.0), pixel_size_nm=130.0)
    assert {"baseline", "pixel size", "saturation"} <= topics(match, "problem")
    assert sentence(match, "baseline").startswith("Baseline above the darkest pixels")
    assert "130 nm" in sentence(match, "pixel size")


def test_settings_that_miss_the_movie(movie):
    base = TrainingConfig(
        simulation=SimulationConfig(bg=(2.0, 10.0), photons=(200.0, 20_000.0)), batch=7
    )
    match = match_movie(movie, GAUSSIAN, CAMERA, base=base)
    assert sentence(match, "settings: bg").startswith("Background 3.0x too low in the settings")
    assert "settings: photons" not in topics(match, "problem", "warning")
    assert match.config.batch == 7  # what the movie says nothing about is kept
    low, high = match.config.simulation.bg
    assert low < 30 < high < 60


def test_swapped_astigmatism_is_left_to_z(movie):
    """x and y swapped, this PSF gives the same images in the opposite order of z."""
    match = match_movie(movie.transpose(0, 2, 1), GAUSSIAN, CAMERA)
    assert topics(match, "problem") == set()
    assert not next(v for v in match.verdicts if v.topic == "orientation").checked
    assert "this PSF looks the same as with z turned" in sentence(match, "z sign")


def test_progress_is_told_and_can_end_it(movie):
    told = []
    match_movie(movie, GAUSSIAN, CAMERA, progress=lambda what, share: told.append((what, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert len({what for what, _ in told}) >= 4
    assert len(told) > 6

    def stop(what, share):
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        match_movie(movie, GAUSSIAN, CAMERA, progress=stop)
