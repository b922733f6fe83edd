import pickle

import numpy as np
import pytest

from napari_dilatedloc.table import Localizations, Step, TableInfo


@pytest.fixture
def table():
    at = {"frame": [0, 1, 2], "x": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0]}
    return Localizations.from_columns(**at, extra={"cluster": np.array([7, -1, 8], np.int32)})


def test_extra_columns_go_where_the_rows_go(table):
    assert table[[2, 0]].extra["cluster"].tolist() == [8, 7]
    assert table[table.x > 1.5].extra["cluster"].tolist() == [-1, 8]
    assert table.replace(x=[0, 0, 0]).extra["cluster"].tolist() == [7, -1, 8]
    assert table.replace(extra={}).extra == {}
    assert table.extra["cluster"].dtype == np.int32
    again = pickle.loads(pickle.dumps(table))
    assert again.extra["cluster"].tolist() == [7, -1, 8]


def test_an_extra_column_that_a_part_lacks_is_nan_there(table):
    plain = Localizations.from_columns(frame=[5], x=[0.0], y=[0.0])
    joined = Localizations.concatenate([table, plain, Localizations.empty()])
    np.testing.assert_array_equal(joined.extra["cluster"], [7, -1, 8, np.nan])
    whole = Localizations.concatenate([Localizations.empty(), table, table])
    assert whole.extra["cluster"].dtype == np.int32
    assert Localizations.concatenate([]).extra == {}


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"x": [1, 2, 3]}, "x is a column of its own"),
        ({"cluster": [1, 2]}, "cluster must hold 3 numbers"),
        ({"cluster": ["a", "b", "c"]}, "cluster must hold 3 numbers"),
    ],
)
def test_extra_columns_that_do_not_fit_are_refused(table, extra, sentence):
    with pytest.raises(ValueError, match=sentence):
        table.replace(extra=extra)


def test_a_recipe_grows_at_its_end():
    info = TableInfo(100.0).after("filter", {"where": "photons>500"}, 12).after("drift", {}, 12)
    assert [step.name for step in info.recipe] == ["filter", "drift"]
    assert info.recipe[0] == Step("filter", {"where": "photons>500"}, 12)
    assert info.pixel_size_nm == 100.0
