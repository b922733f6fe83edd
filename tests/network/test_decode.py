from dataclasses import fields

import pytest
import torch
import torch.nn.functional as F

from napari_dilatedloc.config import CalibrationConfig, ScalingConfig
from napari_dilatedloc.network.decode import Decoded, decode, decode_raw, find_peaks
from napari_dilatedloc.network.output import CHANNELS, Prediction, activate, calibrate, normalize

SCALING = ScalingConfig(
    input_offset=50,
    input_scale=100,
    z_scale_nm=700,
    z_centre_nm=0,
    photon_scale=5000,
    bg_scale=100,
)


def empty_prediction(n=2, height=12, width=14):
    zero = torch.zeros(n, height, width)
    maps = {name: zero.clone() for name in Prediction.__dataclass_fields__}
    return Prediction(**{**maps, "logit": zero - 12.0})


def test_a_perfect_prediction_gives_the_emitters_back():
    p = empty_prediction()
    truth = [(0, 3, 4, 0.2, -0.4, 150.0, 900.0), (1, 0, 13, -0.1, 0.3, -600.0, 4000.0)]
    for n, row, col, dy, dx, z, photons in truth:
        p.logit[n, row, col] = 8.0
        p.y[n, row, col], p.x[n, row, col] = dy, dx
        p.z_nm[n, row, col], p.photons[n, row, col] = z, photons
    d = decode(p, 0.5)
    rows = zip(d.frame, d.row, d.col, d.y, d.x, d.z_nm, d.photons, strict=True)
    for got, (n, row, col, dy, dx, z, photons) in zip(rows, truth, strict=True):
        want = torch.tensor([n, row, col, row + dy, col + dx, z, photons])
        assert torch.allclose(torch.stack([g.float() for g in got]), want)


def test_probability_shared_by_two_pixels_is_one_molecule():
    p = empty_prediction()
    p.logit[0, 5, 5] = torch.logit(torch.tensor(0.5))
    p.logit[0, 5, 6] = torch.logit(torch.tensor(0.45))
    d = decode(p, 0.7)
    assert (d.row.tolist(), d.col.tolist()) == ([5], [5])
    assert d.prob.item() == pytest.approx(0.95, abs=1e-3)


def test_two_certain_neighbours_are_two_molecules():
    p = empty_prediction()
    p.logit[0, 5, 5], p.logit[0, 5, 6] = 4.0, 3.0
    assert len(decode(p, 0.5).frame) == 2


def test_far_pixels_do_not_add_up():
    logit = torch.full((1, 9, 9), -12.0)
    logit[0, 2, 2] = logit[0, 2, 5] = torch.logit(torch.tensor(0.4))
    assert find_peaks(logit, 0.1).prob.tolist() == pytest.approx([0.4, 0.4], abs=1e-3)


def aggregated(logit):
    """The scheme of DECODE over whole maps, as its authors have it."""
    prob = torch.sigmoid(logit)
    peak = (F.max_pool2d(logit[:, None], 3, stride=1, padding=1)[:, 0] == logit) & (prob > 0.1)
    second = (prob > 0.6) & ~peak
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    alone = torch.where(second, torch.zeros_like(prob), prob)
    cross = prob + F.conv2d(alone[:, None], kernel, padding=1)[:, 0]
    return torch.where(peak | second, cross.clamp(max=1.0), torch.zeros_like(cross))


def crowded(seed, n=6, height=23, width=31, share=0.25):
    """Logits with molecules side by side, at the borders and in the corners."""
    generator = torch.Generator().manual_seed(seed)
    logit = torch.randn(n, height, width, generator=generator) - 6
    bright = torch.rand(n, height, width, generator=generator) < share
    bright[:, 0, 0] = bright[:, -1, -1] = True
    return torch.where(bright, torch.randn(n, height, width, generator=generator) * 2, logit)


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("share", [0.01, 0.25, 0.9])
def test_peaks_are_those_of_the_whole_map(threshold, share):
    logit = crowded(3, share=share)
    kept = logit.clone()
    expected = aggregated(logit)
    peaks = find_peaks(logit, threshold)
    assert torch.equal(logit, kept)
    index = torch.nonzero(expected > threshold, as_tuple=True)
    assert len(index[0]) > 5
    for got, want in zip((peaks.frame, peaks.row, peaks.col), index, strict=True):
        assert torch.equal(got, want)
    torch.testing.assert_close(peaks.prob, expected[index])


@pytest.mark.parametrize("channels", [CHANNELS, CHANNELS[:-1]])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_raw_output_is_read_as_the_maps_are(channels, layout):
    raw = torch.randn(6, len(channels), 23, 31, generator=torch.Generator().manual_seed(1)) * 2
    raw[:, channels.index("prob")] = crowded(5)
    calibration = CalibrationConfig(
        sigma_x=1.5, sigma_y=0.7, sigma_z=2, sigma_photons=3, photons=1.1, pull_per_px2=0.4
    )
    maps = calibrate(activate(raw, channels, SCALING), calibration)
    one = decode(maps, 0.3)
    other = decode_raw(
        raw.contiguous(memory_format=layout),
        0.3,
        channels=channels,
        scaling=SCALING,
        calibration=calibration,
    )
    assert len(one.frame) > 100
    for field in fields(Decoded):
        got, want = getattr(other, field.name), getattr(one, field.name)
        assert got.dtype == want.dtype
        torch.testing.assert_close(got, want, equal_nan=True, rtol=1e-6, atol=1e-6)


def test_maps_that_are_part_of_an_image_count_its_pixels():
    raw = torch.randn(2, len(CHANNELS), 23, 31, generator=torch.Generator().manual_seed(1))
    raw[:, 0] = crowded(5, n=2)
    options = {"channels": CHANNELS, "scaling": SCALING, "calibration": CalibrationConfig()}
    here = decode_raw(raw, 0.3, **options)
    there = decode_raw(raw, 0.3, **options, origin=(2000, 400))
    assert torch.equal(there.row, here.row + 2000)
    assert torch.equal(there.col, here.col + 400)
    # float32: 0.0001 px at 2000 px, half of it by one rounding
    offset = activate(raw, CHANNELS, SCALING).y[here.frame, here.row, here.col].double()
    exact = there.row.double() + offset
    assert (there.y.double() - exact).abs().max() <= 2**-14
    assert torch.equal(there.z_nm, here.z_nm)


def test_a_network_that_gives_no_numbers_finds_nothing():
    raw = torch.full((1, len(CHANNELS), 8, 8), torch.nan)
    options = {"channels": CHANNELS, "scaling": SCALING, "calibration": CalibrationConfig()}
    assert len(decode_raw(raw, 0.5, **options).frame) == 0


def test_nothing_found_is_an_empty_result():
    d = decode(empty_prediction(), 0.5)
    assert len(d.frame) == len(d.x) == 0


def test_activation_gives_physical_values():
    raw = torch.randn(3, len(CHANNELS), 8, 8) * 20
    p = activate(raw, CHANNELS, SCALING)
    assert p.x.abs().max() <= 1.5
    assert p.z_nm.abs().max() <= 1.2 * 700
    for positive in (p.photons, p.bg, p.sigma_x, p.sigma_y, p.sigma_z_nm, p.sigma_photons):
        assert positive.min() >= 0
    assert p.sigma_x.min() > 0
    assert p.sigma_z_nm.min() > 0


def test_a_network_without_background_says_nan():
    p = activate(torch.zeros(1, 9, 8, 8), CHANNELS[:-1], SCALING)
    assert torch.isnan(p.bg).all()


def test_normalized_background_is_zero():
    assert torch.equal(normalize(torch.tensor([50.0, 150.0]), SCALING), torch.tensor([0.0, 1.0]))
