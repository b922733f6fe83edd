"""Ring correlation against what theory says of molecules of known precision."""

import numpy as np
import pytest

from napari_dilatedloc.analysis.frc import crossing_nm, densest_square, ring_correlation
from napari_dilatedloc.table import Localizations

PIXEL_NM = 100.0


def molecules(count=1500, times=20, sigma_nm=10.0, side=40, frames=4000, seed=0):
    """Molecules found many times each, at random times."""
    rng = np.random.default_rng(seed)
    place = np.repeat(rng.uniform(0, side, (count, 2)), times, axis=0)
    y, x = (place + rng.normal(0, sigma_nm / PIXEL_NM, place.shape)).T
    sigma = np.full(len(y), sigma_nm / PIXEL_NM)
    frame = rng.integers(0, frames, len(y))
    return Localizations.from_columns(frame=frame, y=y, x=x, sigma_y=sigma, sigma_x=sigma)


@pytest.mark.parametrize(("sigma_nm", "times"), [(8.0, 20), (15.0, 40)])
def test_resolution_of_molecules_found_many_times(sigma_nm, times):
    """Each half holds n/2 positions of a molecule, so both agree by a signal g n/2 over a noise
    of 1, with g = exp(-4 pi^2 q^2 sigma^2): the correlation is 1/7 where g n/2 = 1/6."""
    result = ring_correlation(molecules(times=times, sigma_nm=sigma_nm), PIXEL_NM, repeats=3)
    theory = 2 * np.pi * sigma_nm / np.sqrt(np.log(3 * times))
    assert result.resolution_nm == pytest.approx(theory, rel=0.05)
    assert 0 < result.spread_nm < 0.05 * theory
    signal = times / 2 * np.exp(-((2 * np.pi * result.frequency * sigma_nm) ** 2))
    inner = slice(10, len(signal) // 2)
    assert np.abs(result.correlation - signal / (signal + 1))[inner].max() < 0.06


def test_each_molecule_once_has_no_resolution():
    """Nothing is found twice: halves agree on the outline of the field alone (4 um)."""
    once = molecules(count=20_000, times=1)
    result = ring_correlation(once, PIXEL_NM, repeats=2)
    assert not result.resolution_nm < 1000
    assert np.abs(result.correlation[10:]).max() < 0.1


def test_blinks_in_running_frames_count_once():
    """All positions of a molecule in one block: both halves share no molecule."""
    rng = np.random.default_rng(3)
    table = molecules(count=4000, times=5)
    start = np.repeat(rng.integers(0, 40_000, 4000), 5)
    table = table.replace(frame=start + np.tile(np.arange(5), 4000))
    result = ring_correlation(table, PIXEL_NM, repeats=2)
    assert not result.resolution_nm < 100


def test_a_large_field_is_judged_at_its_densest_part():
    rng = np.random.default_rng(4)
    y, x = rng.uniform(0, 1000, (2, 3000))
    y[:2000], x[:2000] = rng.uniform(700, 750, (2, 2000))
    table = Localizations.from_columns(frame=np.zeros(3000), y=y, x=x)
    (top, left), side = densest_square(table, 200.0)
    assert side == 200
    assert 550 <= top <= 701
    assert 550 <= left <= 701
    (top, left), side = densest_square(table, 5000.0)
    assert side == pytest.approx(1000, abs=3)
    assert abs(top) < 3


def test_crossing_is_interpolated():
    frequency = np.array([0.01, 0.02, 0.03])
    assert crossing_nm(frequency, np.array([1, 2 / 7, 0.0])) == pytest.approx(1 / 0.025)
    assert np.isnan(crossing_nm(frequency, np.ones(3)))
    assert np.isnan(crossing_nm(frequency, np.zeros(3)))


def test_too_few():
    with pytest.raises(ValueError, match="200 localizations"):
        ring_correlation(molecules(count=5), PIXEL_NM)
    with pytest.raises(ValueError, match="several frames"):
        ring_correlation(molecules(frames=1), PIXEL_NM)


@pytest.mark.parametrize("frames", [2, 5])
def test_a_short_movie_is_halved_all_the_same(frames):
    long, short = (ring_correlation(molecules(frames=n), PIXEL_NM) for n in (4000, frames))
    assert short.resolution_nm == pytest.approx(long.resolution_nm, rel=0.1)


def test_a_row_far_outside_does_not_matter():
    table = molecules()
    far = Localizations.from_columns(
        frame=[0, 7], y=[1e7, np.nan], x=[-1e7, 3], sigma_y=[0.1, 0.1], sigma_x=[0.1, 0.1]
    )
    result = ring_correlation(Localizations.concatenate([table, far]), PIXEL_NM)
    assert result.used == len(table)
    assert result.resolution_nm == pytest.approx(
        ring_correlation(table, PIXEL_NM).resolution_nm, rel=0.05
    )


def test_a_single_place_is_no_field():
    one = Localizations.from_columns(frame=np.arange(300), y=np.full(300, 4.0), x=np.full(300, 5.0))
    with pytest.raises(
        ValueError, match=r"needs a field of 8 image pixels of 10\.0 nm, got 0\.1 nm"
    ):
        ring_correlation(one, PIXEL_NM)
