"""Examples in docstrings are run."""

import doctest
import importlib

import pytest

MODULES = ("files", "evaluation", "render", "io.movie", "io.tables", "inference.store")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"napari_dilatedloc.{name}"))
    assert result.attempted > 2
    assert result.failed == 0
