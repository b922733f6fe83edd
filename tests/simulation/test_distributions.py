import pytest
import torch
from scipy import stats

from napari_dilatedloc.simulation.distributions import (
    draw_between,
    draw_on_times,
    gamma_parameters,
)

N = 200_000


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("distribution", ["gamma", "lognormal"])
@pytest.mark.parametrize("bounds", [(500.0, 8000.0), (0.01, 1.0), (999.0, 1001.0)])
def test_bounds_are_the_5th_and_95th_percentiles(distribution, bounds):
    drawn = draw_between(N, bounds, distribution, seeded())
    low, high = torch.quantile(drawn, torch.tensor([0.05, 0.95])).tolist()
    spread = bounds[1] - bounds[0]
    # the lower percentile of a wide gamma lies where its density is steep
    assert low == pytest.approx(bounds[0], rel=0.05, abs=0.01 * spread)
    assert high == pytest.approx(bounds[1], rel=0.02)
    assert drawn.min() > 0


def test_uniform_fills_its_range_evenly():
    drawn = draw_between(N, (500.0, 8000.0), "uniform", seeded())
    assert stats.kstest(drawn.numpy(), "uniform", (500, 7500)).pvalue > 0.001


def test_gamma_is_what_scipy_calls_gamma():
    shape, scale = gamma_parameters(500.0, 8000.0)
    assert stats.gamma.cdf([500, 8000], shape, scale=scale) == pytest.approx([0.05, 0.95], abs=1e-6)
    drawn = draw_between(N, (500.0, 8000.0), "gamma", seeded())
    assert stats.kstest(drawn.numpy(), "gamma", (shape, 0, scale)).pvalue > 0.001


@pytest.mark.parametrize("distribution", ["uniform", "gamma", "lognormal"])
def test_equal_bounds_give_one_number(distribution):
    drawn = draw_between(10, (300.0, 300.0), distribution, seeded())
    assert torch.all(drawn == 300)


@pytest.mark.parametrize("distribution", ["exponential", "uniform", "gamma", "lognormal"])
def test_on_times_have_their_mean_and_long_ones_are_met_more_often(distribution):
    times = draw_on_times(N, 3.0, distribution, seeded())
    assert times.mean().item() == pytest.approx(3.0, rel=0.02)
    assert times.min() >= 0
    met = draw_on_times(N, 3.0, distribution, seeded(1), already_on=True)
    # a moment falls into an on-time with a chance in proportion to its length
    weighted = torch.multinomial(times, N, replacement=True, generator=seeded(2))
    assert met.mean().item() == pytest.approx(times[weighted].mean().item(), rel=0.03)
    assert met.median().item() == pytest.approx(times[weighted].median().item(), rel=0.03)


def test_on_times_follow_their_shapes():
    exponential = draw_on_times(N, 2.0, "exponential", seeded())
    assert stats.kstest(exponential.numpy(), "expon", (0, 2)).pvalue > 0.001
    gamma = draw_on_times(N, 2.0, "gamma", seeded())
    assert stats.kstest(gamma.numpy(), "gamma", (2, 0, 1)).pvalue > 0.001
    even = draw_on_times(N, 2.0, "uniform", seeded())
    assert stats.kstest(even.numpy(), "uniform", (0, 4)).pvalue > 0.001
    logarithms = draw_on_times(N, 2.0, "lognormal", seeded()).log()
    assert logarithms.std().item() == pytest.approx(0.8, rel=0.01)
