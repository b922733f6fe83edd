import numpy as np
import pytest
import torch

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.psf.build import load_psf, save_psf
from napari_dilatedloc.psf.calibrate import calibrate_beads
from napari_dilatedloc.psf.gaussian import GaussianPSF

STEP = 40.0
HALF = 16  # slices on each side of the middle one
PLACES = np.array([[25.3, 24.6], [26.1, 74.8], [74.7, 25.2], [75.45, 74.5], [50.2, 50.35]])
PHOTONS = [2e6, 1.6e6, 2.4e6, 2e6, 1.2e6]
HEIGHTS = np.array([0.0, 60.0, -80.0, 30.0, -20.0])
TRUTH = GaussianPSF(
    GaussianPSFConfig(
        roi_size=21,
        sigma_nm=130,
        focus_x_nm=-200,
        focus_y_nm=200,
        depth_nm=350,
        z_range_nm=(-640, 640),
    )
)


def bead_stack(places, heights, photons, bg=20.0, seed=0, psf=None):
    """Beads of a known PSF with photon noise; slice index grows with z."""
    psf = psf or GaussianPSF(TRUTH.config.replace(roi_size=41))
    z = torch.arange(-HALF, HALF + 1) * STEP
    stack = np.full((len(z), 100, 100), bg)
    for (y, x), height, light in zip(places, heights, photons, strict=True):
        row, column = round(y), round(x)
        rois = psf.rois(
            z + height, torch.full_like(z, y - row), torch.full_like(z, x - column)
        ).numpy()
        top, left = row - 20, column - 20
        target = stack[:, max(top, 0) : top + 41, max(left, 0) : left + 41]
        target += (
            light
            * rois[:, max(-top, 0) : max(-top, 0) + target.shape[1], max(-left, 0) :][
                :, :, : target.shape[2]
            ]
        )
    return np.random.default_rng(seed).poisson(stack).astype(np.uint32)


@pytest.fixture(scope="module")
def stack():
    return bead_stack(PLACES, HEIGHTS, PHOTONS)


@pytest.fixture(scope="module")
def calibration(stack):
    return calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21)


def nearest(beads, places):
    found = np.array([[bead.y, bead.x] for bead in beads])
    return np.abs(found[:, None] - places[None]).sum(-1).argmin(0)


def test_model_is_the_psf_that_made_the_beads(calibration):
    generator = torch.Generator().manual_seed(0)
    z, y, x = torch.rand(3, 200, generator=generator)
    z, y, x = 1000 * (z - 0.5), y - 0.5, x - 0.5
    expected = TRUTH.rois(z + np.median(HEIGHTS), y, x)
    near_focus = TRUTH.rois(torch.linspace(-200, 200, 11), torch.zeros(11), torch.zeros(11))
    expected = expected / near_focus.sum((1, 2)).mean()
    error = (calibration.psf.rois(z, y, x) - expected) / expected.amax((1, 2), keepdim=True)
    assert error.abs().max() < 0.02
    assert error.square().mean().sqrt() < 0.004


def test_beads_are_found_where_they_are(calibration):
    assert len(calibration.beads) == 5
    assert all(bead.kept and not bead.reason for bead in calibration.beads)
    order = nearest(calibration.beads, PLACES)
    found = np.array([[bead.y, bead.x, bead.z_nm] for bead in calibration.beads])[order]
    np.testing.assert_allclose(found[:, :2], PLACES, atol=0.02)
    np.testing.assert_allclose(found[:, 2], HEIGHTS - np.median(HEIGHTS), atol=4.0)
    light = np.array([bead.photons for bead in calibration.beads])[order]
    np.testing.assert_allclose(light, PHOTONS, rtol=0.02)
    np.testing.assert_allclose([bead.bg for bead in calibration.beads], 20, atol=6)  # peak: 1e5
    assert all(bead.correlation > 0.99 for bead in calibration.beads)


def test_images_near_focus_hold_one_photon(calibration):
    z = torch.arange(-200.0, 201.0, STEP)
    sums = calibration.psf.rois(z, 0 * z, 0 * z).sum((1, 2))
    assert sums.mean().item() == pytest.approx(1.0, abs=0.005)


def test_a_falling_stack_gives_the_same_model(stack, calibration):
    turned = calibrate_beads(
        stack[::-1], pixel_size_nm=100, z_step_nm=STEP, roi_size=21, z_direction="down"
    )
    assert torch.equal(turned.psf.coefficients, calibration.psf.coefficients)
    wrong = calibrate_beads(stack[::-1], pixel_size_nm=100, z_step_nm=STEP, roi_size=21)
    z = torch.tensor([300.0])
    places = (0 * z, 0 * z)
    same = wrong.psf.rois(-z, *places) - calibration.psf.rois(z, *places)
    other = wrong.psf.rois(z, *places) - calibration.psf.rois(z, *places)
    assert same.abs().max() < 0.2 * other.abs().max()


class Wobbling:
    """The Gaussian with a lateral walk of 0.1 px in y per 100 nm, and brighter above focus."""

    def rois(self, z, y, x):
        return GaussianPSF(TRUTH.config.replace(roi_size=41)).rois(z, y + z / 1000, x)


def test_wobble_stays_in_the_model():
    stack = bead_stack(PLACES[:3], [0, 0, 0], [5e4, 5e4, 5e4], psf=Wobbling())
    psf = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21).psf
    z = torch.tensor([-400.0, 0.0, 400.0])
    rois = psf.rois(z, 0 * z, 0 * z)
    rows = torch.arange(21.0) - 10
    centres = (rois.sum(2) * rows).sum(1) / rois.sum((1, 2))
    centres_x = (rois.sum(1) * rows).sum(1) / rois.sum((1, 2))
    np.testing.assert_allclose(centres.numpy(), [-0.4, 0.0, 0.4], atol=0.04)
    np.testing.assert_allclose(centres_x.numpy(), 0, atol=0.04)


def test_known_positions_fix_the_emitter(stack, calibration):
    moved = [(y + 0.2, x - 0.3) for y, x in PLACES]
    known = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21, positions=moved)
    z = torch.tensor([0.0])
    zeros = torch.zeros(1)
    expected = calibration.psf.rois(z, zeros - 0.2, zeros + 0.3)
    error = known.psf.rois(z, zeros, zeros) - expected
    assert error.abs().max() < 0.015 * expected.max()
    np.testing.assert_allclose([[bead.y, bead.x] for bead in known.beads], moved, atol=0.02)


def test_zero_at_the_sharpest_slice():
    """Equal waists: the sharpest slice of beads 120 nm above the middle lies at -120 nm."""
    psf = GaussianPSF(TRUTH.config.replace(roi_size=41, focus_x_nm=0, focus_y_nm=0))
    stack = bead_stack(PLACES[:2], [120, 120], [5e4, 5e4], psf=psf)
    settings = {"pixel_size_nm": 100, "z_step_nm": STEP, "roi_size": 21}
    focus = calibrate_beads(stack, z_zero="focus", **settings)
    middle = calibrate_beads(stack, z_zero="stack", **settings)
    assert middle.z_range_nm == pytest.approx((-HALF * STEP, HALF * STEP))
    assert focus.z_range_nm[0] - middle.z_range_nm[0] == pytest.approx(120, abs=10)
    assert focus.beads[0].z_nm == pytest.approx(120, abs=10)


def test_unusable_beads_are_listed_with_reasons():
    places = [*PLACES[:3], [75.0, 75.0], [75.0, 87.0], [5.0, 50.0]]
    stack = bead_stack(places, [0] * 6, [5e4] * 6)
    beads = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21).beads
    reasons = [beads[i].reason for i in nearest(beads, np.array(places))]
    assert reasons[:3] == ["", "", ""]
    assert reasons[3] == reasons[4] == "another bead within 21 px"
    assert reasons[5] == "nearer than 12 px to the border"


def test_a_cluster_is_rejected():
    """Two beads two pixels apart look like one of another shape; the brightest spot of all."""
    places = [*PLACES[:4], [50.0, 48.5], [50.0, 52.5]]
    stack = bead_stack(places, [0, 20, -20, 0, 100, -100], [4e4] * 4 + [9e4] * 2)
    calibration = calibrate_beads(
        stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21, min_correlation=0.97
    )
    rejected = [bead for bead in calibration.beads if not bead.kept]
    assert len(calibration.beads) == 5
    assert len(rejected) == 1
    assert rejected[0].y == pytest.approx(50, abs=1)
    assert rejected[0].reason.startswith("correlation 0.")
    assert all(bead.correlation > 0.99 for bead in calibration.beads if bead.kept)


def test_one_bead_is_enough(tmp_path):
    stack = bead_stack(PLACES[-1:], [0], [2e5])
    calibration = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21)
    assert [bead.kept for bead in calibration.beads] == [True]
    z = torch.tensor([-300.0, 0.0, 300.0])
    expected = TRUTH.rois(z, 0 * z, 0 * z)
    error = load_psf(save_psf(tmp_path / "a.h5", calibration.psf)).rois(z, 0 * z, 0 * z) - expected
    assert (error.abs().amax((1, 2)) / expected.amax((1, 2))).max() < 0.03


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stack": np.zeros((100, 100))}, r"shape \(Z, Y, X\)"),
        ({"stack": np.zeros((3, 100, 100))}, "at least 5 slices"),
        ({"stack": np.zeros((11, 100, 20))}, "smaller roi_size"),
        ({"stack": np.full((11, 60, 60), np.nan)}, "finite"),
        ({"stack": np.zeros((11, 60, 60))}, "expected at least one usable bead, got none of 0"),
        ({"roi_size": 20}, "roi_size must be odd"),
        ({"z_step_nm": -10.0}, "z_direction='down'"),
        ({"z_direction": "left"}, "up or down"),
        ({"positions": [(3.0, 50.0)]}, "nearer than 12 px to the border"),
        ({"positions": []}, "got none of 0"),
    ],
)
def test_unusable_input_is_one_sentence(stack, changes, message):
    settings = {"pixel_size_nm": 100.0, "z_step_nm": STEP, "roi_size": 21, **changes}
    with pytest.raises(ValueError, match=message) as caught:
        calibrate_beads(settings.pop("stack", stack), **settings)
    assert "\n" not in str(caught.value)


def test_noise_alone_is_no_bead():
    noise = np.random.default_rng(2).poisson(100, (21, 120, 120))
    with pytest.raises(ValueError, match="expected at least one usable bead"):
        calibrate_beads(noise, pixel_size_nm=100, z_step_nm=20)


def test_two_stacks_are_pooled(stack, calibration):
    """Beads of two stacks, one with fewer slices, give the model of the one with all of them."""
    first = bead_stack(PLACES[:3], HEIGHTS[:3], PHOTONS[:3], seed=1)
    second = bead_stack(PLACES[3:], HEIGHTS[3:], PHOTONS[3:], seed=2)[2:-2]
    pooled = calibrate_beads([first, second], pixel_size_nm=100, z_step_nm=STEP, roi_size=21)
    assert [bead.stack for bead in pooled.beads] == [0, 0, 0, 1, 1]
    assert all(bead.kept for bead in pooled.beads)
    z = torch.tensor([-400.0, 0.0, 400.0])
    expected = calibration.psf.rois(z, 0 * z, 0 * z)
    error = pooled.psf.rois(z, 0 * z, 0 * z) - expected
    assert (error.abs().amax((1, 2)) / expected.amax((1, 2))).max() < 0.02
    order = nearest(pooled.beads, PLACES)
    found = np.array([bead.z_nm for bead in pooled.beads])[order]
    np.testing.assert_allclose(found, HEIGHTS - np.median(HEIGHTS), atol=4.0)


def test_positions_are_given_for_each_stack(stack):
    settings = {"pixel_size_nm": 100, "z_step_nm": STEP, "roi_size": 21}
    given = [[tuple(PLACES[0])], [tuple(PLACES[2])]]
    beads = calibrate_beads([stack, stack], positions=given, **settings).beads
    assert [(bead.stack, round(bead.y), round(bead.x)) for bead in beads] == [
        (0, 25, 25),
        (1, 75, 25),
    ]
    with pytest.raises(ValueError, match="for each of 2 stacks, got 5"):
        calibrate_beads([stack, stack], positions=[tuple(p) for p in PLACES], **settings)


def test_images_of_a_bead_are_the_model_at_its_place(calibration):
    for seen in calibration.images:
        bead = calibration.beads[seen.bead]
        z = torch.as_tensor(seen.z_nm, dtype=torch.float32)
        y, x = (torch.full_like(z, value - round(value)) for value in (bead.y, bead.x))
        model = bead.photons * calibration.psf.rois(z, y, x).numpy() + bead.bg
        inside = slice(4, -4)
        error = (seen.images - model)[inside]
        assert error.std() < 0.01 * model.max()
    assert np.nanmax(calibration.slice_residual) < 0.01
    assert len(calibration.z_nm) == len(calibration.measured) == len(calibration.slice_residual)


def test_saturated_beads_are_left_out_when_others_are_not():
    stack = bead_stack(PLACES, HEIGHTS, [4e5, 4e5, 4e5, 4e5, 9e5])
    clipped = np.minimum(stack, int(0.6 * stack.max()))
    beads = calibrate_beads(clipped, pixel_size_nm=100, z_step_nm=STEP, roi_size=21).beads
    reasons = [beads[i].reason for i in nearest(beads, PLACES)]
    assert reasons[:4] == [""] * 4
    assert reasons[4].startswith("saturated: up to ")
    known = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21, max_adu=3e4)
    assert [b.saturated > 0 for b in known.beads] == [
        stack[:, round(b.y) - 8 : round(b.y) + 9, round(b.x) - 8 : round(b.x) + 9].max() >= 3e4
        for b in known.beads
    ]


def test_a_drifting_bead_is_left_out():
    """One of five beads walks by 1.6 px (160 nm) in y over the stack."""

    class Walking:
        def rois(self, z, y, x):
            walk = 1.6 * torch.linspace(-0.5, 0.5, len(z)) if abs(float(x[0]) - 0.35) < 1e-6 else 0
            return GaussianPSF(TRUTH.config.replace(roi_size=41)).rois(z, y + walk, x)

    stack = bead_stack(PLACES, 0 * HEIGHTS, [1e5] * 5, psf=Walking())
    beads = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21).beads
    ordered = [beads[i] for i in nearest(beads, PLACES)]
    assert [bead.kept for bead in ordered] == [True] * 4 + [False]
    assert ordered[4].reason.startswith("moved by ")
    assert ordered[4].drift_y_nm == pytest.approx(160, rel=0.15)
    assert ordered[4].drift_x_nm == pytest.approx(0, abs=10)
    assert max(bead.drift_nm for bead in ordered[:4]) < 10
    falling = calibrate_beads(
        stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21, z_direction="down"
    ).beads
    assert falling[nearest(falling, PLACES)[4]].drift_y_nm == pytest.approx(160, rel=0.15)


def test_a_bead_of_another_size_is_left_out():
    wide = TRUTH.config.replace(roi_size=41, sigma_nm=TRUTH.config.sigma_nm * 1.25)

    class OneWide:
        def rois(self, z, y, x):
            wider = abs(float(x[0]) - 0.35) < 1e-6
            config = wide if wider else TRUTH.config.replace(roi_size=41)
            return GaussianPSF(config).rois(z, y, x)

    stack = bead_stack(PLACES, 0 * HEIGHTS, [1e5] * 5, psf=OneWide())
    beads = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21).beads
    ordered = [beads[i] for i in nearest(beads, PLACES)]
    assert [bead.kept for bead in ordered] == [True] * 4 + [False]
    assert "wider than the other beads" in ordered[4].reason
    assert ordered[4].size == pytest.approx(1.25, abs=0.06)


def test_dim_spots_are_listed_as_such():
    places = [*PLACES[:3], PLACES[4]]
    stack = bead_stack(places, [0] * 4, [2e5, 2e5, 2e5, 1e4])
    beads = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21).beads
    dim = beads[nearest(beads, np.array(places))[3]]
    assert not dim.kept
    assert dim.reason.startswith("too dim: ")
    assert dim.reason.endswith("% of the brightest bead")
    settings = {"pixel_size_nm": 100, "z_step_nm": STEP, "roi_size": 21, "threshold": 0.02}
    assert len(calibrate_beads(stack, **settings).kept) == 4


def test_a_small_crop_shrinks_the_roi():
    """A crop of 27 px around a bead that is off its middle has room for 19 px, not for 25."""
    stack = bead_stack(PLACES[-1:], [0], [2e5])[:, 39:66, 39:66]
    calibration = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=25)
    assert calibration.psf.config.roi_size == 19
    assert "No bead has room for a ROI of 25 px, so 19 px are used" in calibration.notes[0]
    z = torch.tensor([-300.0, 0.0, 300.0])
    expected = GaussianPSF(TRUTH.config.replace(roi_size=19)).rois(z, 0 * z, 0 * z)
    error = calibration.psf.rois(z, 0 * z, 0 * z) - expected
    assert (error.abs().amax((1, 2)) / expected.amax((1, 2))).max() < 0.05


def test_a_tick_ends_the_work(stack):
    ticks = []

    def stop():
        ticks.append(1)
        if len(ticks) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        calibrate_beads(stack, pixel_size_nm=100, z_step_nm=STEP, roi_size=21, tick=stop)
    assert len(ticks) == 3
