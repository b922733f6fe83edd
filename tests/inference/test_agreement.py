import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.agreement import Agreement, agreement, compare
from napari_dilatedloc.inference.engine import build_engine
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.table import Localizations
from napari_dilatedloc.training.accuracy import model_psf, standard_test

CPU = torch.device("cpu")


def table(n=200, seed=0):
    """Localizations so far apart that pairs are beyond doubt."""
    rng = np.random.default_rng(seed)
    return Localizations.from_columns(
        frame=np.arange(n) // 10,
        x=10.0 * (np.arange(n) % 10) + rng.uniform(0, 1, n),
        y=rng.uniform(0, 60, n),
        z_nm=rng.uniform(-500, 500, n),
    )


def test_distances_are_those_put_in():
    exact = table()
    sign = np.where(np.arange(len(exact)) % 2, 1, -1)
    moved = exact.replace(x=exact.x + 0.03 * sign, y=exact.y - 0.04, z_nm=exact.z_nm + 7 * sign)
    result = compare(moved, exact, pixel_size_nm=100.0)
    assert result.rms_x_nm == pytest.approx(3, rel=1e-3)
    assert result.rms_y_nm == pytest.approx(4, rel=1e-3)
    assert result.rms_z_nm == pytest.approx(7, rel=1e-3)
    assert (result.jaccard, result.pairs) == (1.0, 200)


def test_missing_and_added_localizations_count_once_each():
    exact = table()
    extra = table(3, seed=1).replace(frame=np.full(3, 99))
    found = Localizations.concatenate([exact[5:], extra])
    result = compare(found, exact, pixel_size_nm=100.0)
    assert (result.pairs, result.jaccard) == (195, pytest.approx(195 / 203))
    assert not result.holds


def test_nothing_found_by_both_is_agreement():
    none = compare(Localizations.empty(), Localizations.empty(), 100.0)
    assert none.holds
    assert math.isnan(none.rms_x_nm)
    assert not compare(Localizations.empty(), table(), 100.0).holds


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"rms_x_nm": 1.01}, False),
        ({"rms_y_nm": 1.01}, False),
        ({"rms_z_nm": 1.01}, False),
        ({"jaccard": 0.9979}, False),
        ({"rms_z_nm": math.nan}, True),
    ],
)
def test_what_holds(changed, holds):
    values = {"rms_x_nm": 0.99, "rms_y_nm": 0.99, "rms_z_nm": 0.99, "jaccard": 0.9981, "pairs": 9}
    assert Agreement(**{**values, **changed}).holds is holds


@pytest.fixture(scope="module")
def crowd():
    """A shipped model and a movie of its standard test in photons, (T, Y, X)."""
    model = load_model("astigmatism")
    camera = build_camera(model.info.camera).typical
    simulator = Simulator(model_psf(model), camera, standard_test(model.info).simulation)
    batch = simulator.draw(1, 14, (96, 96), torch.Generator().manual_seed(3))
    return model, camera.to_photons(batch.adu)[0]


def engines(model, **settings):
    configs = (LocalizeConfig(device="cpu", **settings), LocalizeConfig(engine="exact"))
    return (build_engine(model.network, CPU, config) for config in configs)


@pytest.mark.parametrize("name", ["auto", "torch", "openvino"])
def test_fast_engines_agree_with_the_exact_one(crowd, name):
    if name == "openvino" and find_spec("openvino") is None:
        pytest.skip("OpenVINO (extra 'openvino') is not installed")
    model, photons = crowd
    fast, exact = engines(model, engine=name)
    result = agreement(fast, exact, photons, model.info, model.network.channels)
    assert result.pairs > 150
    assert result.holds


def test_a_coarse_engine_does_not(crowd):
    model, photons = crowd
    _, exact = engines(model)
    generator = torch.Generator().manual_seed(0)

    def coarse(x):
        raw = exact(x)
        return raw + 0.05 * torch.randn(raw.shape, generator=generator)

    result = agreement(coarse, exact, photons, model.info, model.network.channels)
    assert result.rms_x_nm > 1
    assert not result.holds
