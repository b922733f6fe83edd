import numpy as np
import pytest

from napari_dilatedloc.analysis.density import has_neighbours
from napari_dilatedloc.analysis.duplicates import not_duplicated
from napari_dilatedloc.analysis.filters import filter_mask, filter_table
from napari_dilatedloc.analysis.quantities import positions_nm, quantity, quantity_names
from napari_dilatedloc.config import ConfigError, load_yaml, parse_config, save_yaml
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(120.0, (60, 80), 100)


def scattered(n, seed=0, size=(60, 80), frames=20):
    rng = np.random.default_rng(seed)
    return Localizations.from_columns(
        frame=rng.integers(0, frames, n),
        y=rng.uniform(-0.5, size[0] - 0.5, n),
        x=rng.uniform(-0.5, size[1] - 0.5, n),
        z_nm=rng.uniform(-500, 500, n),
        photons=rng.exponential(800, n),
        bg=rng.uniform(5, 20, n),
        prob=rng.choice([0.6, 0.8, 1.0], n),
        sigma_x=rng.uniform(0.05, 0.3, n),
        sigma_y=rng.uniform(0.05, 0.3, n),
        sigma_z_nm=rng.uniform(10, 60, n),
        sigma_photons=rng.uniform(10, 60, n),
        extra={"cluster": rng.integers(-1, 5, n), "rel chi": rng.uniform(0, 2, n)},
    )


def zyx_nm(table):
    columns = (table.z_nm, table.y * np.float64(120), table.x * np.float64(120))
    return np.stack(columns, axis=1)


def test_columns_in_the_units_in_which_people_speak():
    table = scattered(50)
    np.testing.assert_allclose(quantity(table, "x_nm", 120.0), table.x * 120)
    np.testing.assert_allclose(quantity(table, "sigma_y_nm", 120.0), table.sigma_y * 120)
    lateral = np.hypot(table.sigma_x, table.sigma_y) / np.sqrt(2) * 120
    np.testing.assert_allclose(quantity(table, "sigma_lateral_nm", 120.0), lateral, rtol=1e-6)
    assert quantity(table, "rel chi", 120.0) is table.extra["rel chi"]
    for name in quantity_names(table):
        assert quantity(table, name, 120.0).shape == (50,)


def test_a_column_that_is_not_there():
    with pytest.raises(ValueError, match=r"no column 'phot'; there are photons, .*, cluster, rel"):
        filter_mask(scattered(5), INFO, FilterConfig(where="phot > 3"))


def test_expression_ranges_and_edge_together():
    table = scattered(2000)
    config = FilterConfig(
        where="photons > 500 & sigma_x_nm < 20",
        ranges={"z_nm": (-200, 300), "cluster": (0, None), "rel chi": (None, 1.5)},
        edge_px=4,
    )
    kept, info = filter_table(table, INFO, config)
    y, x = table.y, table.x
    expected = (table.photons > 500) & (table.sigma_x * 120 < 20)
    expected &= (table.z_nm >= -200) & (table.z_nm <= 300)
    expected &= (table.extra["cluster"] >= 0) & (table.extra["rel chi"] <= 1.5)
    expected &= (y >= 3.5) & (y <= 55.5) & (x >= 3.5) & (x <= 75.5)
    assert 20 < expected.sum() < 1500
    np.testing.assert_array_equal(kept.photons, table.photons[expected])
    np.testing.assert_array_equal(kept.extra["cluster"], table.extra["cluster"][expected])
    step = info.recipe[-1]
    assert (step.name, step.rows) == ("filter", expected.sum())
    assert parse_config(FilterConfig, step.settings, "recipe") == config  # the recipe can be redone


def test_unknown_values_are_in_no_range():
    table = scattered(3).replace(z_nm=[np.nan, 0, 100])
    assert filter_mask(table, INFO, FilterConfig(ranges={"z_nm": (-50, None)})).tolist() == [
        False,
        True,
        True,
    ]
    assert filter_mask(table, INFO, FilterConfig()).all()


def test_an_edge_needs_the_size_of_the_movie():
    with pytest.raises(ValueError, match="does not say the size of its movie"):
        filter_mask(scattered(5), TableInfo(120.0), FilterConfig(edge_px=2))


@pytest.mark.parametrize("z_weight", [0.0, 1.0, 0.4])
@pytest.mark.parametrize("least", [1, 4, 25])
def test_neighbours_are_those_of_loops(z_weight, least):
    table = scattered(900, seed=2)
    clump = scattered(300, seed=3, size=(4, 4)).replace(z_nm=np.linspace(-100, 100, 300))
    table = Localizations.concatenate([table, clump])
    places = zyx_nm(table) * [z_weight, 1, 1]
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    expected = (apart <= 150).sum(axis=1) - 1 >= least
    found = has_neighbours(positions_nm(table, 120.0, z_weight), least, 150)
    assert 0 < expected.sum() < len(table)
    np.testing.assert_array_equal(found, expected)


def test_neighbours_of_rows_without_a_place():
    table = Localizations.from_columns(frame=[0, 5, 9], x=[1.0, 1.1, np.nan], y=[1.0, 1.0, 1.0])
    found = has_neighbours(positions_nm(table, 120.0), 1, 20)
    assert found.tolist() == [True, True, False]
    with pytest.raises(ValueError, match="has no z, but z_weight is 1; set it to 0"):
        positions_nm(table, 120.0, z_weight=1.0)
    assert not has_neighbours(positions_nm(table[:0], 120.0), 1, 20).any()


def without_duplicates(table, distance_nm, axial_nm=np.inf):
    """By loops: the best row, then the best that is not close to one that stays."""
    places, stay = zyx_nm(table), []
    for row in np.lexsort((-table.photons, -table.prob)):
        near = [
            other
            for other in stay
            if table.frame[other] == table.frame[row]
            and np.linalg.norm((places[other] - places[row])[1:]) < distance_nm
            and abs(table.z_nm[other] - table.z_nm[row]) <= axial_nm
        ]
        if not near:
            stay.append(row)
    return np.isin(np.arange(len(table)), stay)


@pytest.mark.parametrize("axial_nm", [None, 300.0])
@pytest.mark.parametrize("distance_nm", [200.0, 1500.0])
def test_duplicates_are_those_of_loops(distance_nm, axial_nm):
    table = scattered(800, seed=4, frames=8)
    found = not_duplicated(table, 120.0, distance_nm, axial_nm=axial_nm)
    expected = without_duplicates(table, distance_nm, axial_nm or np.inf)
    assert (~expected).sum() > 5
    np.testing.assert_array_equal(found, expected)


def test_what_is_dropped_supports_nobody():
    table = Localizations.from_columns(
        frame=[0, 1, 2, 2], x=[5.0, 5.1, 5.2, 5.25], y=[5.0] * 4, photons=[900, 100, 900, 800]
    )
    crowd = FilterConfig(min_neighbours=2, radius_nm=100)
    assert filter_mask(table, INFO, crowd).sum() == 4
    assert filter_mask(table, INFO, crowd.replace(where="photons > 500")).sum() == 3
    assert filter_mask(table, INFO, crowd.replace(where="photons>500", duplicates_nm=30)).sum() == 0


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"ranges": {"photons": (5, 3)}}, "range of photons must run upwards, got 5 to 3"),
        ({"ranges": {"photons": (float("nan"), 3)}}, "range of photons must be numbers"),
        ({"min_neighbours": 3}, "min_neighbours and radius_nm go together"),
        ({"edge_px": -1}, "edge_px"),
        ({"wher": "photons>3"}, "wher"),
    ],
)
def test_settings_that_make_no_sense(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        parse_config(FilterConfig, values, "filter")


def test_filter_settings_as_yaml(tmp_path):
    config = FilterConfig(where="photons>3", ranges={"z_nm": (None, 5.5)}, edge_px=2)
    save_yaml(config, tmp_path / "filter.yaml")
    assert load_yaml(FilterConfig, tmp_path / "filter.yaml") == config
    assert config.with_range("z_nm", None, None).ranges == {}
    assert config.with_range("bg", 1, 2).ranges == {"z_nm": (None, 5.5), "bg": (1, 2)}
    assert config.stated() == {
        "where": "photons>3",
        "ranges": {"z_nm": [None, 5.5]},
        "edge_px": 2.0,
    }
