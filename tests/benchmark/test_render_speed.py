"""The rendering benchmark gives all its rows; how fast this machine is, is not asked."""

import json

from napari_dilatedloc.benchmark.rendering import (
    RenderBenchmark,
    benchmark_render,
    count_rows,
    uniform_table,
)

TINY = RenderBenchmark(localizations=(300, 500), field_um=4.0, pixel_nm=50.0, repeats=1)


def test_rows():
    rows = list(benchmark_render(TINY))
    assert len(rows) == count_rows(TINY) == 12
    names = ["histogram", "gaussian", "gaussian-xy", "z", "index", "region"]
    assert [row.name for row in rows] == 2 * names
    assert all(row.value > 0 for row in rows)
    values = [row.to_dict() for row in rows]
    assert [row["localizations"] for row in values] == 6 * [300] + 6 * [500]
    assert all(row["peak_mb"] > 0 for row in values)
    assert json.loads(json.dumps(values)) == values


def test_the_table_fills_its_field():
    table = uniform_table(2000, 40.0)
    for place in (table.y, table.x):
        assert -0.5 <= place.min() < 0.5
        assert 38.5 < place.max() <= 39.5
