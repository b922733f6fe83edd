import numpy as np
import pytest

from napari_dilatedloc.gui.colours import ColourBy, colours_of, limits_of, values_of
from napari_dilatedloc.table import Localizations

TABLE = Localizations.from_columns(
    frame=[4, 9],
    x=[1.0, 2.0],
    y=[1.0, 2.0],
    z_nm=[-50.0, 250.0],
    photons=[900.0, 40.0],
    sigma_x=[0.03, 0.1],
    sigma_y=[0.04, 0.1],
)


@pytest.mark.parametrize(
    ("by", "values"),
    [
        (ColourBy.Z, [-50, 250]),
        (ColourBy.PHOTONS, [900, 40]),
        (ColourBy.FRAME, [4, 9]),
        (ColourBy.PRECISION, [3.5355, 10]),  # rms of 3 and 4 nm, of 10 and 10 nm
    ],
)
def test_values(by, values):
    np.testing.assert_allclose(values_of(TABLE, by, 100.0), values, rtol=1e-4)


def test_from_blue_to_red_and_white_for_the_unknown():
    colours = colours_of(np.array([-1.0, 0.0, 5.0, 10.0, 99.0, np.nan]), (0.0, 10.0))
    np.testing.assert_array_equal(colours[0], colours[1])  # beyond the ends the ends hold
    np.testing.assert_array_equal(colours[3], colours[4])
    assert colours[1, 2] > 0.9 > colours[1, 0]
    assert colours[3, 0] > 0.9 > colours[3, 2]
    assert colours[2, 1] > 0.9
    assert colours[5].tolist() == [1, 1, 1, 1]
    assert colours_of(np.zeros(0), (0.0, 1.0)).shape == (0, 4)


def test_limits_are_never_equal():
    assert limits_of(np.zeros(0)) == (0.0, 1.0)
    assert limits_of(np.full(5, np.nan)) == (0.0, 1.0)
    assert limits_of(np.full(5, 7.0)) == (7.0, 8.0)
    low, high = limits_of(np.arange(1001.0))
    assert (low, high) == (10.0, 990.0)
