"""Fixtures every room shares."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no fault, and a test that fails must fail again on the same code.
settings.register_profile("dilatedloc", deadline=None, derandomize=True)
settings.load_profile("dilatedloc")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Third-party movies and tables; they are not part of the project."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DILATEDLOC_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"third-party data absent: {folder}; set DILATEDLOC_DATA")
    return folder
