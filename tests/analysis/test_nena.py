"""NeNA finds the precision that was simulated."""

import numpy as np
import pytest
from scipy.integrate import quad

from napari_dilatedloc.analysis import nena
from napari_dilatedloc.analysis.nena import nearest_neighbour_precision
from napari_dilatedloc.table import Localizations

PIXEL_NM = 100.0


def blinking(sigma_nm, density_per_um2=0.05, frames=3000, side=64, on=3, seed=0):
    """Molecules that shine some frames running, all over a field."""
    rng = np.random.default_rng(seed)
    field_um2 = (side * PIXEL_NM / 1e3) ** 2
    count = int(density_per_um2 * field_um2 * frames / on)
    place = np.repeat(rng.uniform(0, side, (count, 2)), on, axis=0)
    frame = np.repeat(rng.integers(0, frames, count), on) + np.tile(np.arange(on), count)
    y, x = (place + rng.normal(0, sigma_nm / PIXEL_NM, place.shape)).T
    return Localizations.from_columns(frame=frame, y=y, x=x)


@pytest.mark.parametrize("sigma_nm", [4.0, 10.0, 25.0])
@pytest.mark.parametrize("density_per_um2", [0.05, 0.5])
def test_recovers_the_precision(sigma_nm, density_per_um2):
    frames = round(150 / density_per_um2)
    result = nearest_neighbour_precision(
        blinking(sigma_nm, density_per_um2, frames=frames), PIXEL_NM
    )
    assert result.sigma_nm == pytest.approx(sigma_nm, rel=0.06)
    assert result.error_nm < 0.05 * sigma_nm
    assert result.same > 0.7


def test_the_first_term_is_the_density_of_distances():
    total, _ = quad(lambda d: nena.model(d, 1, 10, 0, 50, 10, 0), 0, 500)
    assert total == pytest.approx(1)
    mean, _ = quad(lambda d: d * nena.model(d, 1, 10, 0, 50, 10, 0), 0, 500)
    rng = np.random.default_rng(0)
    apart = np.hypot(*(rng.normal(0, 10, (2, 100_000)) - rng.normal(0, 10, (2, 100_000))))
    assert mean == pytest.approx(apart.mean(), rel=0.01)


def test_a_large_table_is_sampled(monkeypatch):
    monkeypatch.setattr(nena, "MAX_ROWS", 4000)
    table = blinking(10.0)
    result = nearest_neighbour_precision(table, PIXEL_NM)
    assert 500 < result.pairs < 4000
    assert result.sigma_nm == pytest.approx(10, rel=0.1)


def test_molecules_that_shine_once_give_none():
    once = blinking(10.0, on=1)
    with pytest.raises(ValueError, match=r"no precision found|need 200 pairs"):
        nearest_neighbour_precision(once, PIXEL_NM)
    with pytest.raises(ValueError, match="got 0"):
        nearest_neighbour_precision(Localizations.empty(), PIXEL_NM)
