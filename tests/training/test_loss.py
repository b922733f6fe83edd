"""Each term against a plain loop over pixels and emitters."""

import math

import pytest
import torch

from napari_dilatedloc.network.output import Prediction
from napari_dilatedloc.training.loss import (
    background_loss,
    count_loss,
    cross_entropy_loss,
    localization_loss,
    loss_terms,
)
from napari_dilatedloc.training.targets import Targets

N, H, W = 2, 8, 9


@pytest.fixture
def prediction():
    g = torch.Generator().manual_seed(0)

    def noise(low, high):
        return low + (high - low) * torch.rand(N, H, W, generator=g)

    return Prediction(
        logit=noise(-4, 2),
        x=noise(-1, 1),
        y=noise(-1, 1),
        z_nm=noise(-500, 500),
        photons=noise(100, 3000),
        bg=noise(10, 60),
        sigma_x=noise(0.2, 1),
        sigma_y=noise(0.2, 1),
        sigma_z_nm=noise(50, 300),
        sigma_photons=noise(100, 500),
    )


@pytest.fixture
def targets():
    g = torch.Generator().manual_seed(1)
    image = torch.tensor([0, 0, 1, 1, 1])
    y = torch.tensor([0.2, 4.4, 6.9, 3.0, 2.6])
    x = torch.tensor([8.3, 3.7, 0.1, 5.2, 5.4])
    return Targets(
        image=image,
        row=y.round().long(),
        col=x.round().long(),
        y=y,
        x=x,
        z_nm=torch.rand(5, generator=g) * 800 - 400,
        photons=torch.rand(5, generator=g) * 2000 + 300,
        bg=torch.full((N, H, W), 40.0),
    )


def log_normal(value, mean, sigma):
    return -0.5 * ((value - mean) / sigma) ** 2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)


def test_count(prediction, targets):
    got = count_loss(prediction.logit, targets.counts())
    for n, count in enumerate((2, 3)):
        p = prediction.prob[n].flatten().tolist()
        mean, variance = sum(p), sum(v * (1 - v) for v in p) + 1e-2
        assert got[n].item() == pytest.approx(
            -log_normal(count, mean, math.sqrt(variance)), rel=1e-4
        )


def test_localization(prediction, targets):
    got = localization_loss(prediction, targets, window=5)
    q, t = prediction, targets
    for m in range(5):
        n = int(t.image[m])
        total = float(q.prob[n].sum())
        density = 0.0
        for r in range(H):
            for c in range(W):
                if abs(r - int(t.row[m])) > 2 or abs(c - int(t.col[m])) > 2:
                    continue
                at = (n, r, c)
                density += (
                    float(q.prob[at])
                    / total
                    * math.exp(
                        log_normal(float(t.x[m]), c + float(q.x[at]), float(q.sigma_x[at]))
                        + log_normal(float(t.y[m]), r + float(q.y[at]), float(q.sigma_y[at]))
                        + log_normal(float(t.z_nm[m]), float(q.z_nm[at]), float(q.sigma_z_nm[at]))
                        + log_normal(
                            float(t.photons[m]), float(q.photons[at]), float(q.sigma_photons[at])
                        )
                    )
                )
        assert got[m].item() == pytest.approx(-math.log(density), rel=1e-3)


def test_localization_is_best_where_the_emitter_is(prediction, targets):
    def loss_with_offset(dx):
        p = Prediction(**vars(prediction))
        p.logit[:] = -10.0
        for name in ("x", "y"):
            getattr(p, name).zero_()
        p.logit[0, 4, 4] = 5.0
        p.x[0, 4, 4], p.y[0, 4, 4] = -0.3 + dx, 0.4
        one = Targets(**{k: v[1:2] if k != "bg" else v for k, v in vars(targets).items()})
        return localization_loss(p, one).item()

    assert loss_with_offset(0.0) < loss_with_offset(0.2)
    assert loss_with_offset(0.0) < loss_with_offset(-0.2)


def test_cross_entropy(prediction, targets):
    got = cross_entropy_loss(prediction.logit, targets.occupancy())
    wanted = [0.0, 0.0]
    for n in range(N):
        pixels = {
            (int(r), int(c))
            for i, r, c in zip(targets.image, targets.row, targets.col, strict=True)
            if i == n
        }
        for r in range(H):
            for c in range(W):
                p = float(prediction.prob[n, r, c])
                wanted[n] -= math.log(p) if (r, c) in pixels else math.log(1 - p)
    assert got.tolist() == pytest.approx(wanted, rel=1e-4)


def test_background(prediction, targets):
    got = background_loss(prediction.bg, targets.bg, 10.0)
    wanted = sum((float(v) - 40) ** 2 for v in prediction.bg[0].flatten()) / (H * W) / 100
    assert got[0].item() == pytest.approx(wanted, rel=1e-4)


def test_terms_of_an_empty_batch_are_finite(prediction, targets):
    none = Targets(**{k: v[:0] if k != "bg" else v for k, v in vars(targets).items()})
    terms = loss_terms(prediction, none, 100.0)
    assert set(terms) == {"count", "localization", "cross_entropy", "background"}
    assert all(math.isfinite(float(v)) for v in terms.values())


def test_a_network_without_background_has_no_such_term(prediction, targets):
    p = Prediction(**{**vars(prediction), "bg": torch.full((N, H, W), torch.nan)})
    assert "background" not in loss_terms(p, targets, 100.0)
