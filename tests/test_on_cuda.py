"""Whole ways on a CUDA device; skipped where there is none."""

import math

import pytest
import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import (
    GaussianPSFConfig,
    LocalizeConfig,
    SimulationConfig,
    TrainingConfig,
)
from napari_dilatedloc.inference.agreement import agreement, compare
from napari_dilatedloc.inference.engine import build_engine
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.simulator import Simulator, simulate_movie
from napari_dilatedloc.table import Localizations
from napari_dilatedloc.training.accuracy import model_psf, standard_test
from napari_dilatedloc.training.trainer import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(scope="module")
def model():
    return load_model("astigmatism")


def located(movie, model, config):
    return Localizations.concatenate(
        [block.localizations for block in localize(movie, model, config)]
    )


def test_a_movie_is_localized_as_on_the_cpu(model):
    movie, _ = simulate_movie(
        model_psf(model),
        model.info.camera,
        standard_test(model.info).simulation,
        frames=150,
        size=(128, 96),
        seed=2,
    )
    exact = located(movie, model, LocalizeConfig(device="cpu", engine="exact"))
    for tile_size in (None, 64):
        config = LocalizeConfig(device="cuda", tile_size=tile_size)
        found = compare(located(movie, model, config), exact, model.info.pixel_size_nm)
        assert found.pairs > 1000
        assert found.holds


@pytest.mark.parametrize("name", ["torch", "compiled"])
def test_engines_agree_with_the_exact_one_on_the_cpu(model, name):
    camera = build_camera(model.info.camera).typical
    simulator = Simulator(model_psf(model), camera, standard_test(model.info).simulation)
    batch = simulator.draw(1, 14, (96, 96), torch.Generator().manual_seed(3))
    photons = camera.to_photons(batch.adu)[0]
    fast = build_engine(model.network, CUDA, LocalizeConfig(engine=name))
    assert fast.name == name
    exact = build_engine(model.network, CPU, LocalizeConfig(engine="exact"))
    result = agreement(
        lambda x: fast(x.to(CUDA)).cpu(), exact, photons, model.info, model.network.channels
    )
    assert result.pairs > 150
    assert result.holds


def test_movies_are_simulated_on_the_device(model):
    def draw(device):
        camera = build_camera(model.info.camera, device=device)
        simulator = Simulator(model_psf(model), camera, standard_test(model.info).simulation)
        return simulator.draw(8, 20, (64, 64), torch.Generator().manual_seed(1))

    here, there, again = draw(CPU), draw(CUDA), draw(CUDA)
    assert there.adu.device == CUDA
    # spots that overlap are added up in any order, which rounds differently
    assert float((there.adu == again.adu).float().mean()) > 0.999
    assert float(there.adu.mean()) == pytest.approx(float(here.adu.mean()), rel=0.05)
    assert float(there.adu.std()) == pytest.approx(float(here.adu.std()), rel=0.15)


def test_a_run_trains_and_resumes(tmp_path):
    out = tmp_path / "model.safetensors"
    config = TrainingConfig(
        simulation=SimulationConfig(density_per_um2=(0.3, 0.6), photons=(3000, 6000), bg=(10, 20)),
        device="cuda",
        steps=8,
        warmup_steps=2,
        validate_every=4,
        validation_frames=10,
        validation_per_plane=2,
        test_emitters=40,
    )
    psf = GaussianPSF(GaussianPSFConfig(roi_size=15))
    run = train(config, psf, out)
    for _ in range(6):
        next(run)
    run.close()
    steps = list(train(config, psf, out, resume=True))
    assert [s.step for s in steps] == [7, 8, 8]
    assert all(math.isfinite(v) for s in steps for v in s.losses.values())
    assert next(load_model(out).network.parameters()).device == CPU
