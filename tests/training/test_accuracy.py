"""The standard test: what it consists of, and what it says of networks that know the truth."""

import json

import numpy as np
import pytest

from napari_dilatedloc.config import GaussianPSFConfig, ModelInfo, SCMOSConfig, SimulationConfig
from napari_dilatedloc.network.checkpoint import load_model, save_model
from napari_dilatedloc.network.output import scaling_for
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.training import accuracy
from napari_dilatedloc.training.accuracy import (
    field_frames,
    judge,
    model_psf,
    run_test,
    standard_density,
    standard_test,
)
from napari_dilatedloc.training.finish import finish_model


def info(psf=None, **simulation):
    config = SimulationConfig(**simulation)
    return ModelInfo(
        network="dilatedloc",
        scaling=scaling_for(config, (-700, 700)),
        camera=SCMOSConfig(),
        psf=psf or GaussianPSFConfig(),
        simulation=config,
    )


@pytest.mark.parametrize(
    ("preset", "density"),
    [("astigmatism", 0.2), ("saddle-point", 0.2), ("tetrapod-3um", 0.06), ("tetrapod-6um", 0.03)],
)
def test_density_goes_by_depth(preset, density):
    assert standard_density(PRESETS[preset].z_range_nm) == density
    trained = {"photons": (500, 10000), "density_per_um2": (0.01, 1.0)}
    test = standard_test(info(PRESETS[preset], **trained))
    area_um2 = (128 * PRESETS[preset].pixel_size_nm / 1000) ** 2
    assert test.frames * area_um2 * density > 5000
    assert test.simulation.photons == (3000, 7000)
    assert test.simulation.bg == (50, 50)
    assert test.min_photons == 500
    assert f"{density:g} molecules on per um2" in test.text


@pytest.mark.parametrize(
    ("emitters", "density", "frames"),
    [
        (6000, 0.2, 190),  # 32.8 a frame of 12.8 um
        (10, 0.2, 10),
        (6000, 0.001, 1000),
        (6000, 0.0, 1000),
        (60_000, 0.2, 1840),
        (60_000, 0.001, 10_000),
    ],
)
def test_frames_hold_the_emitters_asked_for(emitters, density, frames):
    assert field_frames(emitters, density, 100.0) == frames


def test_the_test_stays_within_the_training():
    trained = {"photons": (300, 1400), "bg": (5, 20), "min_photons": 50}
    test = standard_test(info(**trained, density_per_um2=(0.01, 0.1)), emitters=100)
    assert test.simulation.density_per_um2 == (0.1, 0.1)
    assert test.simulation.photons == (1400, 1400)
    assert test.simulation.bg == (20, 20)
    assert test.min_photons == 100
    assert test.isolated_bg == 20
    assert standard_test(info(), density_per_um2=0.75).simulation.density_per_um2 == (0.75, 0.75)
    with pytest.raises(ValueError, match="emitters"):
        standard_test(info(), emitters=0)


def report_of(model, simulators, monkeypatch):
    """Standard test of an oracle; it is told the isolated molecules too."""
    test = standard_test(model.info, emitters=400, per_plane=20)
    monkeypatch.setattr(accuracy, "Simulator", simulators)
    make = accuracy.make_isolated_set

    def told(*args, **kwargs):
        data = make(*args, **kwargs)
        model.network.announce_isolated(data)
        return data

    monkeypatch.setattr(accuracy, "make_isolated_set", told)
    psf = model_psf(model)
    return judge(model, psf, test, list(run_test(model, psf, test)))


def test_an_honest_network_is_said_to_be_one(oracle_model, monkeypatch):
    report = report_of(*oracle_model(sigma_px=0.08, sigma_z_nm=30), monkeypatch)
    a = report.accuracy
    assert a.jaccard > 0.97  # two molecules in one pixel cannot be told apart
    assert a.rmse_lateral_nm == pytest.approx(8 * 2**0.5, rel=0.1)
    assert a.rmse_axial_nm == pytest.approx(30, rel=0.15)
    for axis in "xyz":
        assert getattr(a, f"z_variance_{axis}") == pytest.approx(1.0, abs=0.2)
    assert abs(a.photons_bias) < 0.02
    assert a.n_emitters == len(report.pairs)
    expected = np.hypot(report.isolated.crlb_x_nm, report.isolated.crlb_y_nm)
    ratio = (8 * 2**0.5 / expected)[report.isolated.central].mean()
    assert a.rmse_over_crlb_lateral == pytest.approx(ratio, rel=0.1)
    values = a.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert "test_set" not in values


def test_faults_show(oracle_model, monkeypatch):
    a = report_of(*oracle_model(claim=0.5, photons=0.8), monkeypatch).accuracy
    assert a.z_variance_x == pytest.approx(4.0, rel=0.2)
    assert a.photons_bias == pytest.approx(-0.2, abs=0.02)
    assert a.z_outliers < 0.03


def test_a_finished_model_holds_its_figures(tmp_path):
    path = tmp_path / "m.safetensors"
    start = load_model("astigmatism")
    save_model(path, start.network, start.info, start.psf_tensors)
    told = []
    report = finish_model(
        path, emitters=150, per_plane=2, progress=lambda what, share: told.append((what, share))
    )
    model = load_model(path)
    assert model.info.metrics == report.accuracy.to_dict()
    assert model.info.metrics["jaccard"] > 0.7
    assert model.info.test_set == report.accuracy.test_set
    assert model.info.calibration.sigma_x != 1
    kept = {"metrics", "test_set", "calibration", "threshold"}
    assert model.info.model_dump(exclude=kept) == start.info.model_dump(exclude=kept)
    assert [what for what, share in told if share == 1] == [
        "calibrating",
        "testing",
        "isolated molecules",
    ]
    weights = zip(
        model.network.state_dict().values(), start.network.state_dict().values(), strict=True
    )
    assert all(bool((a == b).all()) for a, b in weights)


def test_who_stops_leaves_the_file_alone(tmp_path):
    path = tmp_path / "m.safetensors"
    start = load_model("astigmatism")
    save_model(path, start.network, start.info, start.psf_tensors)
    before = path.read_bytes()

    def stop(what, share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish_model(path, emitters=50, per_plane=1, progress=stop)
    assert path.read_bytes() == before
