import numpy as np
import pytest
import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.camera_maps import CameraMaps
from napari_dilatedloc.config import (
    EMCCDConfig,
    GaussianPSFConfig,
    SCMOSConfig,
    SimulationConfig,
)
from napari_dilatedloc.matching.residual import noise_ratio_in_frame, pixel_variance, residual_image
from napari_dilatedloc.psf.build import build_psf
from napari_dilatedloc.simulation.simulator import simulate_movie
from napari_dilatedloc.table import Localizations

PSF = build_psf(GaussianPSFConfig())
CAMERA = SCMOSConfig()


@pytest.fixture(scope="module")
def frame():
    """One frame and what shines in it."""
    settings = SimulationConfig(density_per_um2=(0.3, 0.3), photons=(3000, 6000), bg=(40, 40))
    movie, truth = simulate_movie(PSF, CAMERA, settings, frames=1, size=(70, 90), seed=1)
    rows = {name: getattr(truth, name) for name in ("frame", "x", "y", "z_nm", "photons")}
    return movie[0], Localizations.from_columns(**rows)


def test_noise_is_left_of_a_frame_that_is_explained(frame):
    adu, truth = frame
    camera = build_camera(CAMERA)
    left = residual_image(adu, truth, PSF, camera)
    assert left.shape == adu.shape
    assert left.dtype == np.float32
    inner = left[10:-10, 10:-10]  # molecules beyond the border are not in the truth
    assert abs(inner.mean()) < 1
    photons = camera.to_photons(torch.from_numpy(adu.astype(np.float32)))[10:-10, 10:-10]
    expected = pixel_variance(camera, photons.clamp_min(0)).mean()
    assert inner.var() == pytest.approx(float(expected), rel=0.1)


def test_a_molecule_left_out_stays_in_the_residual(frame):
    adu, truth = frame
    camera = build_camera(CAMERA)
    far = (truth.x > 15) & (truth.x < 75) & (truth.y > 15) & (truth.y < 55)
    row = np.flatnonzero(far)[np.argmax(truth.photons[far])]
    rest = truth[np.arange(len(truth)) != row]
    more = residual_image(adu, rest, PSF, camera) - residual_image(adu, truth, PSF, camera)
    y, x = round(float(truth.y[row])), round(float(truth.x[row]))
    seen = more[y - 9 : y + 10, x - 9 : x + 10].sum()
    assert seen == pytest.approx(truth.photons[row], rel=0.1)
    assert np.abs(more[:, :3]).max() < 2


def test_slow_background_goes_and_an_empty_table_is_fine():
    y, x = np.mgrid[:64, :80]
    photons = 50 + 0.5 * x + 0.3 * y
    adu = photons * 0.9 / 0.5 + 100
    camera = build_camera(SCMOSConfig(e_per_adu=0.5, qe=0.9, baseline=100))
    left = residual_image(adu, Localizations.empty(), PSF, camera)
    assert np.abs(left[8:-8, 8:-8]).max() < 0.1
    assert np.abs(left).max() < 7


def test_maps_of_another_size(frame):
    adu, truth = frame
    maps = CameraMaps(baseline=np.full((64, 64), 100, np.float32))
    with pytest.raises(ValueError, match="maps are 64 x 64 px"):
        residual_image(adu, truth, PSF, build_camera(CAMERA, maps))


@pytest.mark.parametrize("config", [SCMOSConfig(), EMCCDConfig(), EMCCDConfig(em_gain=1)])
@pytest.mark.parametrize("photons", [2.0, 200.0])
def test_variance_is_that_of_the_camera(config, photons):
    camera = build_camera(config)
    expected = torch.full((300, 300), photons)
    seen = camera.to_photons(camera.to_adu(expected, torch.Generator().manual_seed(1)))
    said = pixel_variance(camera, expected)
    assert float(said.mean()) == pytest.approx(float(seen.var()), rel=0.03)
    typical = camera.noise.excess * photons + camera.noise.floor_photons2
    assert float(said.mean()) == pytest.approx(typical, rel=1e-5)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_noise_tells_a_wrong_gain(factor):
    config = SCMOSConfig(read_noise_e=0)
    camera = build_camera(config)
    adu = camera.to_adu(torch.full((100, 100), 60.0), torch.Generator().manual_seed(2))
    believed = build_camera(config.replace(e_per_adu=config.e_per_adu * factor))
    ratio = noise_ratio_in_frame(believed.to_photons(adu), torch.zeros(100, 100), believed)
    assert ratio == pytest.approx(factor, rel=0.08)


def test_noise_is_unknown_where_spots_are_everywhere():
    camera = build_camera(CAMERA)
    assert np.isnan(noise_ratio_in_frame(torch.zeros(32, 32), torch.full((32, 32), 1e3), camera))
