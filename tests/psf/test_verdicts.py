from dataclasses import dataclass, replace

import numpy as np
import pytest
import tifffile
import torch

from napari_dilatedloc.config import GaussianPSFConfig, VectorialPSFConfig
from napari_dilatedloc.psf.calibrate import calibrate_beads
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.spot_checks import least_step_nm
from napari_dilatedloc.psf.vectorial import VectorialPSF
from napari_dilatedloc.psf.verdicts import judge

PLACES = [(25.3, 24.6), (26.1, 74.8), (74.7, 25.2), (75.45, 74.5)]
SPOT = GaussianPSFConfig(
    roi_size=25, sigma_nm=130, focus_x_nm=-200, focus_y_nm=200, depth_nm=350, z_range_nm=(-640, 640)
)


@dataclass(frozen=True)
class Fitted:
    """Stands in for a fitted vectorial model."""

    psf: object
    zernike_sigma_nm: tuple[float, ...] = ()
    residual: float = 0.01
    z_offset_nm: float = 0.0
    z_scale: float = 1.0
    z_scale_sigma: float = 0.005
    drift_nm: tuple[float, float] = (0.0, 0.0)
    z_nm: object = None
    measured: object = None
    modelled: object = None


def beads(
    config=SPOT, places=PLACES, photons=2e5, bg=100.0, half=16, step=40.0, walk_nm=0.0, fade=0.0
):
    """Equal beads with photon noise; the whole stage walks along x, and light fades, in time."""
    psf = GaussianPSF(config)
    z = torch.arange(-half, half + 1) * step
    time = torch.linspace(-0.5, 0.5, len(z))
    stack = np.full((len(z), 100, 100), bg)
    for y, x in places:
        row, column = round(y), round(x)
        rois = psf.rois(
            z, torch.full_like(z, y - row), x - column + time * walk_nm / config.pixel_size_nm
        )
        light = photons * (1 + fade * (time + 0.5))
        half_roi = config.roi_size // 2
        rows = slice(row - half_roi, row + half_roi + 1)
        columns = slice(column - half_roi, column + half_roi + 1)
        stack[:, rows, columns] += (light[:, None, None] * rois).numpy()
    return np.random.default_rng(0).poisson(stack).astype(np.uint16)


def verdicts(stack, step=40.0, roi_size=19, retrieval=None, **settings):
    found = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=step, roi_size=roi_size, **settings)
    return {verdict.topic: verdict for verdict in judge(found, retrieval=retrieval)}


@pytest.fixture(scope="module")
def good():
    return calibrate_beads(beads(), pixel_size_nm=100, z_step_nm=40, roi_size=19)


def test_good_beads_get_no_complaint(good):
    found = judge(good)
    assert {verdict.level for verdict in found} == {"ok"}
    topics = [verdict.topic for verdict in found]
    assert len(set(topics)) == len(topics) == 11
    assert [verdict.topic for verdict in found if not verdict.checked] == ["z step"]
    assert all(verdict.sentence.endswith(".") for verdict in found)


def test_a_single_bead_cannot_be_compared():
    found = verdicts(beads(places=PLACES[:1]))
    assert found["beads"].level == "warning"
    assert "record at least 3" in found["beads"].sentence
    assert not found["consistency"].checked
    assert not found["drift"].checked


def test_few_slices():
    assert verdicts(beads(half=3, step=200.0), step=200.0)["stack"].level == "problem"
    assert verdicts(beads(half=5, step=100.0), step=100.0)["stack"].level == "warning"


def test_a_stack_within_one_depth_of_field():
    flat = SPOT.replace(focus_x_nm=0, focus_y_nm=0)
    found = verdicts(beads(flat, step=5.0), step=5.0)["stack"]
    assert found.level == "problem"
    assert "shorter than a depth of field" in found.sentence


def test_saturated_beads():
    stack = beads()
    found = verdicts(np.minimum(stack, int(0.5 * stack.max())))["saturation"]
    assert found.level == "problem"
    assert "4 of the beads used are saturated" in found.sentence


def test_dim_beads():
    found = verdicts(beads(photons=1500.0), roi_size=15, min_correlation=0.5)["signal"]
    assert found.level == "warning"
    peak = 1500 * GaussianPSF(SPOT).rois(*torch.zeros(3, 1)).max().item()
    assert found.value == pytest.approx(peak / np.sqrt(100), rel=0.3)
    assert found.sentence.startswith("Low signal")


def test_a_removed_background_is_seen():
    stack = beads().astype(int) - 140
    found = verdicts(np.clip(stack, 0, None))["signal"]
    assert found.level == "warning"
    assert "subtracted the background" in found.sentence


def test_focus_outside_the_stack():
    high = SPOT.replace(focus_x_nm=900, focus_y_nm=1100)
    found = verdicts(beads(high), roi_size=23)["focus"]
    assert found.level == "problem"
    assert "outside the stack" in found.sentence


@pytest.mark.parametrize(("walk_nm", "level"), [(10.0, "ok"), (200.0, "warning")])
def test_a_walk_common_to_all_beads(walk_nm, level):
    found = verdicts(beads(walk_nm=walk_nm))
    assert found["drift"].level == "ok"
    assert found["lateral walk"].level == level
    assert found["lateral walk"].value == pytest.approx(walk_nm, abs=10)


@pytest.mark.parametrize("z_direction", ["up", "down"])
def test_bleaching_is_told_in_the_order_of_recording(z_direction):
    found = verdicts(beads(fade=-0.5), z_direction=z_direction)["brightness"]
    assert found.level == "warning"
    assert "falls by" in found.sentence
    assert found.value == pytest.approx(-0.47, abs=0.06)  # of ends of a tenth each


def test_light_beyond_the_roi_names_one_that_holds_it():
    wide = SPOT.replace(sigma_nm=250, roi_size=41)
    found = verdicts(beads(wide), roi_size=13)["ROI"]
    assert found.level == "problem"
    z = torch.tensor([-640.0])
    light = GaussianPSF(wide).rois(z, 0 * z, 0 * z)[0]
    inner = light[14:27, 14:27].sum().item()  # 13 x 13 of 41 x 41
    assert found.value == pytest.approx(1 - inner, abs=0.08)
    enough = int(found.sentence.split("roi_size ")[1].split(" ")[0])
    assert verdicts(beads(wide), roi_size=enough)["ROI"].level == "ok"


def test_a_fitted_model_tells_a_wrong_step(good):
    psf = VectorialPSF(VectorialPSFConfig())
    levels = {
        scale: {v.topic: v for v in judge(good, retrieval=Fitted(psf, z_scale=scale))}["z step"]
        for scale in (1.01, 1.05, 0.8)
    }
    assert [verdict.level for verdict in levels.values()] == ["ok", "warning", "problem"]
    assert "32.0 nm apart instead of 40 nm" in levels[0.8].sentence
    unsure = Fitted(psf, z_scale=1.05, z_scale_sigma=0.02)
    assert {v.topic: v for v in judge(good, retrieval=unsure)}["z step"].level == "ok"
    poor = {v.topic: v for v in judge(good, retrieval=Fitted(psf, residual=0.07))}
    assert poor["vectorial model"].level == "warning"


def test_problems_come_first(good):
    worse = replace(good, beads=(replace(good.beads[0], saturated=9), *good.beads[1:]))
    found = judge(worse)
    assert found[0].topic == "saturation"
    assert [v.level for v in found] == sorted(
        (v.level for v in found), key=["problem", "warning", "ok"].index
    )


@pytest.mark.parametrize("zernike_nm", [(), ((2, 2, 60.0),), ((2, 2, 80.0), (4, 2, -50.0))])
def test_no_true_step_is_called_impossible(zernike_nm):
    """Diffraction limits how fast a spot changes along z, whatever its shape."""
    config = VectorialPSFConfig(
        roi_size=25, na=1.49, wavelength_nm=600, n_medium=1.518, zernike_nm=zernike_nm
    )
    psf = VectorialPSF(config)
    z = torch.linspace(-1000, 1000, 41, dtype=torch.float64)
    images = psf.rois(z, 0 * z, 0 * z).detach().numpy()
    assert least_step_nm(images, 50.0) < 50
    assert least_step_nm(images, 50.0) > 10


def test_noise_hides_the_least_step():
    noise = np.random.default_rng(1).normal(0, 1, (41, 15, 15))
    assert least_step_nm(noise, 50.0) is None


def test_real_vortex_bead(data_dir):
    """A stack whose step is not stated: 20 nm is impossible, 80 nm is not."""
    stack = tifffile.imread(data_dir / "vortex-bead" / "bead180_oil.tif")
    settings = {"pixel_size_nm": 65, "roi_size": 25}
    short = {v.topic: v for v in judge(calibrate_beads(stack, z_step_nm=20, **settings))}
    assert short["z step"].level == "problem"
    assert short["ROI"].level == "problem"
    assert short["beads"].level == "warning"
    long = {v.topic: v for v in judge(calibrate_beads(stack, z_step_nm=80, **settings))}
    assert long["z step"].level == "ok"


def test_real_tetrapod_bead(data_dir):
    stack = tifffile.imread(data_dir / "tetrapod-beads" / "tetrapod_bead_stack.tiff")
    levels = {}
    for roi_size in (25, 61):
        found = calibrate_beads(stack, pixel_size_nm=110, z_step_nm=100, roi_size=roi_size)
        levels[roi_size] = {v.topic: v for v in judge(found)}
    assert levels[25]["ROI"].level == "problem"
    assert "roi_size 6" in levels[25]["ROI"].sentence
    assert levels[61]["ROI"].level == "ok"
    assert levels[61]["signal"].level == "warning"  # its background was removed
    assert not [v for v in levels[61].values() if v.level == "problem"]


@pytest.mark.slow
def test_challenge_beads(data_dir):
    stack = tifffile.imread(data_dir / "challenge-2016-AS" / "beads_AS_151z.tif")
    found = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=10)
    by_topic = {v.topic: v for v in judge(found)}
    assert not [v for v in by_topic.values() if v.level == "problem"]
    # light ends beyond 25 px, and the stack gets dimmer with z
    assert {t for t, v in by_topic.items() if v.level == "warning"} == {"ROI", "brightness"}
