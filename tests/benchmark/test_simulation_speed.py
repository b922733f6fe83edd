"""The simulation benchmark gives all its rows; how fast this machine is, is not asked."""

import json

import pytest

from napari_dilatedloc.benchmark import simulation as simulation_benchmark
from napari_dilatedloc.benchmark.simulation import (
    SimulationBenchmark,
    benchmark_simulation,
    count_rows,
)
from napari_dilatedloc.config import VectorialPSFConfig

TINY = SimulationBenchmark(presets=("astigmatism",), batch=2, repeats=1)


@pytest.fixture
def small_preset(monkeypatch):
    """A preset that compiles at once."""
    small = VectorialPSFConfig(
        na=1.2,
        n_medium=1.33,
        roi_size=11,
        z_range_nm=(-300.0, 300.0),
        zernike_nm=((2, 2, 60.0),),
        n_pupil=24,
        pixel_size_nm=100.0,
    )
    monkeypatch.setattr(simulation_benchmark, "PRESETS", {"astigmatism": small})
    monkeypatch.setattr(simulation_benchmark, "PATCH_PX", {"astigmatism": 16})


@pytest.mark.usefixtures("small_preset")
def test_rows():
    rows = list(benchmark_simulation(TINY))
    assert len(rows) == count_rows(TINY) == 8
    names = ["patches", "emitters", "pixels", "share of a step"]
    assert [row.name for row in rows] == 2 * names
    assert all(row.value > 0 for row in rows)
    values = [row.to_dict() for row in rows]
    assert [row["camera"] for row in values] == 4 * ["scmos"] + 4 * ["emccd"]
    # 16 x 16 px and 3 frames a patch
    assert values[2]["value"] == pytest.approx(values[0]["value"] * 3 * 256 / 1e6)
    share = values[3]
    whole = share["simulation_ms"] + share["network_ms"]
    assert share["value"] == pytest.approx(100 * share["simulation_ms"] / whole)
    assert json.loads(json.dumps(values)) == values
