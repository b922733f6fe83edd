import time
from itertools import pairwise

import numpy as np
import pytest

from napari_dilatedloc.config import (
    GaussianPSFConfig,
    ModelInfo,
    ScalingConfig,
    SCMOSConfig,
    SimulationConfig,
)
from napari_dilatedloc.inference.afterwards import RunCheck, TableSample
from napari_dilatedloc.table import Localizations

SIDE = 64
FRAMES = 200
PIXEL_UM = 0.1


@pytest.fixture
def info():
    return ModelInfo(
        network="fake",
        scaling=ScalingConfig(
            input_offset=0, input_scale=1, z_scale_nm=1, z_centre_nm=0, photon_scale=1, bg_scale=1
        ),
        camera=SCMOSConfig(),
        psf=GaussianPSFConfig(pixel_size_nm=1000 * PIXEL_UM, z_range_nm=(-700, 700)),
        simulation=SimulationConfig(
            density_per_um2=(0.1, 1.0),
            photons=(500, 8000),
            bg=(10, 150),
            bg_structure=0.2,
            min_photons=100,
        ),
    )


def found(density_per_um2=0.2, frames=FRAMES, seed=0, side=SIDE, **columns):
    """Table of molecules spread evenly over everything that was trained."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(density_per_um2 * (side * PIXEL_UM) ** 2 * frames)
    usual = {
        "photons": rng.uniform(500, 8000, n),
        "bg": rng.uniform(10, 150, n),
        "z_nm": rng.uniform(-700, 700, n),
        "sigma_x": np.full(n, 0.1),
        "sigma_y": np.full(n, 0.1),
        "sigma_z_nm": np.full(n, 30.0),
    }
    changed = {name: np.broadcast_to(values, n) for name, values in columns.items()}
    return Localizations.from_columns(
        frame=np.sort(rng.integers(0, frames, n)),
        x=rng.uniform(-0.5, side - 0.5, n),
        y=rng.uniform(-0.5, side - 0.5, n),
        **{**usual, **changed},
    )


def checked(info, table, frames=FRAMES, blocks=4, region=(0, 0, SIDE, SIDE)):
    """The check after a table came in blocks."""
    check = RunCheck(info, region)
    ends = np.linspace(0, frames, blocks + 1).astype(int)
    for start, stop in pairwise(ends):
        part = table[(table.frame >= start) & (table.frame < stop)]
        check.add(int(start), int(stop), part)
    return check


def only(doubts):
    (sentence,) = doubts
    assert sentence.endswith(".")
    return sentence


def test_a_run_as_trained_raises_no_doubt(info):
    assert checked(info, found()).doubts == []


def test_the_densest_trained_raises_no_doubt(info):
    assert checked(info, found(density_per_um2=1.0)).doubts == []


def test_nothing_depends_on_the_blocks(info):
    table = found(density_per_um2=2.0, photons=60.0)
    whole, parts = checked(info, table, blocks=1), checked(info, table, blocks=50)
    assert whole.doubts == parts.doubts
    assert len(whole.doubts) == 2


def test_dim_molecules(info):
    # 200 to 500 photons: some are found that look brighter than they are
    photons = np.random.default_rng(1).choice([400.0, 600.0], len(found()), p=(0.6, 0.4))
    said = only(checked(info, found(photons=photons)).doubts)
    assert "of the localizations have fewer than 500 photons" in said
    assert said.startswith(("59%", "60%", "61%"))
    assert "500 to 8,000" in said
    assert "dilatedloc match" in said


def test_parts_of_a_blink_are_not_called_dim(info):
    # with short on-times up to half of the localizations are of molecules on for part of a frame
    photons = np.random.default_rng(1).choice([200.0, 600.0], len(found()), p=(0.45, 0.55))
    assert checked(info, found(photons=photons)).doubts == []


def test_bright_molecules(info):
    said = only(checked(info, found(photons=20_000.0)).doubts)
    assert "more than 8,400 photons" in said
    assert "gain of the camera" in said


@pytest.mark.parametrize(("bg", "said"), [(3.0, "less than 6.4"), (300.0, "more than 216")])
def test_foreign_background(info, bg, said):
    sentence = only(checked(info, found(bg=bg)).doubts)
    assert said in sentence
    assert "10 to 150 photons a pixel" in sentence


def test_more_density_than_trained(info):
    said = only(checked(info, found(density_per_um2=2.0)).doubts)
    assert "more than 1 molecules per um2" in said
    assert "fewer molecules on" in said


def test_dense_where_the_molecules_are(info):
    # all in a part of the field, so that the field as a whole is sparse enough
    table = found(density_per_um2=0.8)
    narrow = table.replace(x=(table.x + 0.5) / 2)
    assert checked(info, table).doubts == []
    assert "per um2" in only(checked(info, narrow).doubts)


def test_a_region_has_its_own_density(info):
    # the same molecules in a quarter of the field
    table = found(density_per_um2=0.5, side=SIDE)
    corner = table.replace(x=32 + (table.x + 0.5) / 2, y=16 + (table.y + 0.5) / 2)
    assert checked(info, table).doubts == []
    assert "per um2" in only(checked(info, corner, region=(16, 32, 48, 64)).doubts)


def test_z_piled_up_at_one_end(info):
    table = found()
    z_nm = table.z_nm.copy()
    z_nm[::10] = -695.0
    said = only(checked(info, table.replace(z_nm=z_nm)).doubts)
    assert "lower end (-700 nm)" in said
    assert "move the focus" in said


def test_a_network_that_knows_nothing(info):
    said = only(checked(info, found(sigma_z_nm=200.0)).doubts)
    assert "50 nm laterally or 112 nm in z" in said


def test_errors_far_above_those_of_the_models_own_test(info):
    good = info.replace(metrics={"rmse_lateral_nm": 5.0, "rmse_axial_nm": 8.0})
    assert checked(info, found(sigma_x=0.3)).doubts == []
    assert "25 nm laterally or 40 nm" in only(checked(good, found(sigma_x=0.3)).doubts)


def test_unknown_values_are_no_reason_to_doubt(info):
    table = found(bg=np.nan, sigma_x=np.nan, sigma_y=np.nan, sigma_z_nm=np.nan)
    assert checked(info, table).doubts == []


@pytest.mark.parametrize("n", [0, 5])
def test_hardly_any_molecules(info, n):
    said = only(checked(info, found()[:n]).doubts)
    assert f"Only {n} molecules were found in 200 frames" in said


def test_a_run_that_was_stopped_at_once(info):
    assert RunCheck(info, (0, 0, SIDE, SIDE)).doubts == []


def test_millions_of_rows_take_no_memory(info):
    table = found(density_per_um2=1.0, frames=2000)
    check = RunCheck(info, (0, 0, SIDE, SIDE))
    began = time.perf_counter()
    for _ in range(20):
        check.add(0, 2000, table)
    assert time.perf_counter() - began < 5  # 1.6 million rows; 0.3 s alone
    assert check.doubts == []
    assert set(vars(check)) == {"_info", "_region", "_frames", "_found", "_counts"}


def test_sample_keeps_whole_frames_spread_over_the_run():
    frame = np.repeat(np.arange(100, 1100), 3)
    table = Localizations.from_columns(frame=frame, x=frame, y=frame)
    sample = TableSample(100, 1100, frames=50)
    for start in range(0, len(table), 64 * 3):
        sample.add(table[start : start + 64 * 3])
    kept, counts = np.unique(sample.table.frame, return_counts=True)
    assert len(kept) == 50
    assert (counts == 3).all()
    assert kept[0] == 100
    assert kept[-1] == 1099
    assert np.diff(kept).max() <= 21
    assert len(TableSample(0, 10).table) == 0
