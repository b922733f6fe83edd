import pytest
import torch

from napari_dilatedloc.config import ScalingConfig
from napari_dilatedloc.network.decode import aggregate, decode
from napari_dilatedloc.network.output import CHANNELS, Prediction, activate, normalize

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
    assert aggregate(logit).max().item() == pytest.approx(0.4, abs=1e-3)


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
