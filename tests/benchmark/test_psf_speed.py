"""The PSF benchmark gives all its rows; how fast this machine is, is not asked."""

import json

import pytest

from napari_dilatedloc.benchmark import psf as psf_benchmark
from napari_dilatedloc.benchmark.machine import describe_machine
from napari_dilatedloc.benchmark.psf import PSFBenchmark, benchmark_psf, count_rows
from napari_dilatedloc.benchmark.rows import median_seconds
from napari_dilatedloc.config import VectorialPSFConfig

TINY = PSFBenchmark(
    roi_sizes=(11,),
    fit_sizes=(9,),
    rois=32,
    exact_rois=4,
    fits=20,
    chunks=(8, 32),
    repeats=1,
    presets=("astigmatism",),
)


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
    monkeypatch.setattr(psf_benchmark, "PRESETS", {"astigmatism": small})


@pytest.mark.usefixtures("small_preset")
def test_rows():
    rows = list(benchmark_psf(TINY))
    assert len(rows) == count_rows(TINY)
    assert [row.name for row in rows] == [
        "compiled",
        "exact",
        "exact",
        "compile",
        "compiled against exact",
        "fit",
    ]
    assert all(row.value > 0 for row in rows)
    values = [row.to_dict() for row in rows]
    assert [row["dtype"] for row in values[:3]] == ["float32", "float32", "float64"]
    assert values[0]["roi_size"] == 11
    assert rows[4].value < 1  # compiled agrees within 1% of the peak
    assert values[5]["converged"] > 0.8
    assert json.loads(json.dumps(values)) == values


def test_machine():
    machine = describe_machine()
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert json.loads(json.dumps(machine)) == machine


def test_median_leaves_out_the_first_run():
    calls = []
    assert median_seconds(lambda: calls.append(1), 3) >= 0
    assert len(calls) == 4
