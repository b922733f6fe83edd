"""Both kinds of MATLAB files come out alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from napari_dilatedloc.psf.formats.mat import child, load_mat, number

TABLE = np.arange(24.0).reshape(2, 3, 4)


@pytest.fixture(params=["old", "v7.3"])
def path(request: pytest.FixtureRequest, layouts: Any, tmp_path: Path) -> Path:
    path = tmp_path / "file.mat"
    if request.param == "v7.3":
        pair = ({"k": 1.0}, {"k": 2.0})
        inner = {"table": TABLE, "names": [TABLE, "text"], "name": "SMAP", "pair": pair}
        return layouts.write_v73(path, {"outer": inner, "scalar": 3.0})
    pair = np.array([[(1.0,), (2.0,)]], dtype=[("k", object)])
    cell = layouts.cell(TABLE, "text")
    inner = {"table": TABLE, "names": cell, "name": "SMAP", "pair": pair}
    savemat(path, {"outer": inner, "scalar": 3.0})
    return path


def test_axes_cells_text_and_struct_arrays(path: Path) -> None:
    variables = load_mat(path)
    assert sorted(variables) == ["outer", "scalar"]
    np.testing.assert_array_equal(child(variables, "outer", "table"), TABLE)
    cell = child(variables, "outer", "names")
    np.testing.assert_array_equal(cell[0], TABLE)
    assert cell[1] == "text"
    assert child(variables, "outer", "name") == "SMAP"
    assert [number(item["k"]) for item in child(variables, "outer", "pair")] == [1, 2]
    assert number(variables["scalar"]) == 3


def test_absent_things_are_none(path: Path) -> None:
    variables = load_mat(path)
    assert child(variables, "outer", "nothing", "here") is None
    assert number("text") is None
    assert number([]) is None
