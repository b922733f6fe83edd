import math

import pytest
import torch
import torch.nn.functional as F

from napari_dilatedloc.config import CalibrationConfig, ScalingConfig
from napari_dilatedloc.network.decode import AGREEING, SAME, decode, find_peaks
from napari_dilatedloc.network.output import CHANNELS, activate, calibrate, normalize

SCALING = ScalingConfig(
    input_offset=50,
    input_scale=100,
    z_scale_nm=700,
    z_centre_nm=0,
    photon_scale=5000,
    bg_scale=100,
)


OPTIONS = {"channels": CHANNELS, "scaling": SCALING, "calibration": CalibrationConfig()}


def empty(n=2, height=12, width=14):
    """Raw output of a network that finds nothing."""
    raw = torch.zeros(n, len(CHANNELS), height, width)
    raw[:, CHANNELS.index("prob")] = -12.0
    return raw


def say(raw, n, row, col, **values):
    """Let one pixel say something."""
    for name, value in values.items():
        raw[n, CHANNELS.index(name), row, col] = value


def test_a_certain_pixel_is_taken_at_its_word():
    raw = empty()
    truth = [(0, 3, 4, 0.2, -0.4, 0.2), (1, 0, 13, -0.1, 0.3, -0.8)]
    for n, row, col, dy, dx, z in truth:
        say(raw, n, row, col, prob=8.0, y=dy, x=dx, z=z, photons=1.0)
    d = decode(raw, 0.5, **OPTIONS)
    assert list(zip(d.frame.tolist(), d.row.tolist(), d.col.tolist(), strict=True)) == [
        (n, row, col) for n, row, col, *_ in truth
    ]
    p = activate(raw, CHANNELS, SCALING)
    at = (d.frame, d.row, d.col)
    # the pixels beside say that they know of nothing: a 150,000th of the weight each
    torch.testing.assert_close(d.y, d.row + p.y[at], atol=1e-4, rtol=0)
    torch.testing.assert_close(d.x, d.col + p.x[at], atol=1e-4, rtol=0)
    torch.testing.assert_close(d.z_nm, p.z_nm[at], atol=0.1, rtol=0)
    torch.testing.assert_close(d.photons, p.photons[at])


def test_probability_shared_by_two_pixels_is_one_molecule_between_their_answers():
    raw = empty()
    say(raw, 0, 5, 5, prob=math.log(0.5 / 0.5), x=0.52, y=0.1, z=0.3)
    say(raw, 0, 5, 6, prob=math.log(0.45 / 0.55), x=-0.47, y=0.12, z=0.31)
    d = decode(raw, 0.7, **OPTIONS)
    assert (d.row.tolist(), d.col.tolist()) == ([5], [5])
    assert d.prob.item() == pytest.approx(0.95, abs=1e-3)
    p = activate(raw, CHANNELS, SCALING)
    answers = 5 + p.x[0, 5, 5].item(), 6 + p.x[0, 5, 6].item()
    assert answers[0] < d.x.item() < answers[1]
    assert d.x.item() == pytest.approx(0.526 * answers[0] + 0.474 * answers[1], abs=1e-3)


def test_a_neighbour_that_means_another_place_is_not_listened_to():
    raw = empty()
    sure = {"sigma_x": -4.0, "sigma_y": -4.0, "sigma_z": -4.0}  # 0.02 px, 0.02 of z
    say(raw, 0, 5, 5, prob=0.0, x=0.0, **sure)
    say(raw, 0, 5, 6, prob=-0.2, x=0.0, **sure)  # a pixel further on
    d = decode(raw, 0.7, **OPTIONS)
    assert d.x.item() == pytest.approx(5.0, abs=1e-4)


def test_two_certain_neighbours_are_two_molecules_with_places_of_their_own():
    raw = empty()
    sure = {"sigma_x": -2.0, "sigma_y": -2.0, "sigma_z": -2.0}  # 0.13 px, 90 nm
    say(raw, 0, 5, 5, prob=4.0, x=-0.3, **sure)
    say(raw, 0, 5, 6, prob=3.0, x=0.3, **sure)
    d = decode(raw, 0.5, **OPTIONS)
    assert d.x.tolist() == pytest.approx([4.7, 6.3], abs=5e-3)


@pytest.mark.parametrize(("axis", "found"), [("same", 1), ("x", 2), ("y", 2), ("z", 2)])
def test_certain_neighbours_that_say_the_same_place_are_one_molecule(axis, found):
    """Found twice it would be two rows of a table for one molecule."""
    raw = empty()
    sure = {"sigma_x": -2.0, "sigma_y": -2.0, "sigma_z": -2.0}  # together 0.19 px, 130 nm
    place = {"x": -0.45, "y": 0.05, "z": 0.02}
    place |= {"x": {"x": 0.05}, "y": {"y": 0.55}, "z": {"z": 0.5}}.get(axis, {})
    say(raw, 1, 5, 5, prob=4.0, x=0.52, **sure)
    say(raw, 1, 5, 6, prob=1.0, **place, **sure)
    d = decode(raw, 0.5, **OPTIONS)
    assert len(d.x) == found
    assert (d.frame[0].item(), d.row[0].item(), d.col[0].item()) == (1, 5, 5)


def test_of_two_that_are_as_likely_the_first_stays():
    raw = empty()
    for col in (5, 6):
        say(raw, 0, 5, col, prob=4.0, x=5.5 - col)
    assert decode(raw, 0.5, **OPTIONS).col.tolist() == [5]


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


def one_by_one(raw, channels, threshold, calibration):
    """Rows (frame, row, col, x, y, z, sigma_z, photons, prob), by loops and the definition."""
    p = activate(raw, channels, SCALING)
    whole = aggregated(p.logit)
    prob = torch.where(whole > 0, torch.zeros(()), p.prob)  # molecules do not share
    height, width = whole.shape[1:]
    rows = []
    for n, r, c in torch.nonzero(whole > threshold).tolist():
        total, sums, doubled = 0.0, [0.0, 0.0, 0.0], False
        own = [v[n, r, c].item() for v in (p.x, p.y, p.z_nm)]
        for i in range(max(r - 1, 0), min(r + 2, height)):
            for j in range(max(c - 1, 0), min(c + 2, width)):
                said = (p.x[n, i, j] + j - c, p.y[n, i, j] + i - r, p.z_nm[n, i, j])
                weight = p.prob[n, r, c] if (i, j) == (r, c) else prob[n, i, j]
                apart = sum(
                    (value - mean) ** 2 / (sigma[n, i, j] ** 2 + sigma[n, r, c] ** 2)
                    for value, mean, sigma in zip(
                        said, own, (p.sigma_x, p.sigma_y, p.sigma_z_nm), strict=True
                    )
                )
                doubled |= bool(p.logit[n, i, j] > p.logit[n, r, c]) and bool(apart < SAME**2)
                weight = weight * torch.exp(-apart / (2 * AGREEING**2))
                total += weight
                sums = [s + weight * v for s, v in zip(sums, said, strict=True)]
        if doubled:
            continue
        x, y, z = (s / total for s in sums)
        pull_x, pull_y = (
            (calibration.pull_per_px2 * s[n, r, c] ** 2).clamp(-0.9, 0.9) / (2 * torch.pi)
            for s in (p.sigma_x, p.sigma_y)
        )
        turn_x, turn_y, ripple = 2 * torch.pi * x, 2 * torch.pi * y, calibration.ripple
        x = x + pull_x * turn_x.sin() + ripple * (2 * turn_x).sin() / (4 * torch.pi)
        y = y + pull_y * turn_y.sin() + ripple * (2 * turn_y).sin() / (4 * torch.pi)
        sigma_z, photons = p.sigma_z_nm[n, r, c], p.photons[n, r, c]
        rest = calibration.sigma_z * sigma_z, calibration.photons * photons, whole[n, r, c]
        rows.append([n, r, c, c + x, r + y, z, *rest])
    return torch.tensor(rows)


@pytest.mark.parametrize("channels", [CHANNELS, CHANNELS[:-1]])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_localizations_are_those_of_the_definition(channels, layout):
    raw = torch.randn(4, len(channels), 23, 31, generator=torch.Generator().manual_seed(1)) * 2
    raw[:, channels.index("prob")] = crowded(5, n=4)
    calibration = CalibrationConfig(
        sigma_x=1.5,
        sigma_y=0.7,
        sigma_z=2,
        sigma_photons=3,
        photons=1.1,
        pull_per_px2=0.4,
        ripple=-0.05,
    )
    options = {"channels": channels, "scaling": SCALING, "calibration": calibration}
    d = decode(raw.contiguous(memory_format=layout), 0.3, **options)
    got = (d.frame, d.row, d.col, d.x, d.y, d.z_nm, d.sigma_z_nm, d.photons, d.prob)
    want = one_by_one(raw, channels, 0.3, calibration)
    assert 100 < len(want) < (aggregated(raw[:, channels.index("prob")]) > 0.3).sum()
    torch.testing.assert_close(torch.stack([v.float() for v in got], 1), want, rtol=1e-4, atol=1e-4)
    at = (d.frame, d.row, d.col)
    maps = calibrate(activate(raw, channels, SCALING), calibration)
    for name in ("sigma_x", "sigma_y", "sigma_photons", "bg"):
        torch.testing.assert_close(getattr(d, name), getattr(maps, name)[at], equal_nan=True)


def test_maps_that_are_part_of_an_image_count_its_pixels():
    raw = torch.randn(2, len(CHANNELS), 23, 31, generator=torch.Generator().manual_seed(1))
    raw[:, 0] = crowded(5, n=2)
    here = decode(raw, 0.3, **OPTIONS)
    there = decode(raw, 0.3, **OPTIONS, origin=(2000, 400))
    assert torch.equal(there.row, here.row + 2000)
    assert torch.equal(there.col, here.col + 400)
    # float32: 0.0001 px at 2000 px, half of it by one rounding
    assert (there.y.double() - 2000 - here.y.double()).abs().max() <= 2**-14 + 2**-20
    assert torch.equal(there.z_nm, here.z_nm)


def test_a_network_that_gives_no_numbers_finds_nothing():
    raw = torch.full((1, len(CHANNELS), 8, 8), torch.nan)
    assert len(decode(raw, 0.5, **OPTIONS).frame) == 0


def test_nothing_found_is_an_empty_result():
    d = decode(empty(), 0.5, **OPTIONS)
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
