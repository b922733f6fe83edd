import pytest
import torch
from safetensors.torch import save_file

from napari_dilatedloc.config import (
    EMCCDConfig,
    GaussianPSFConfig,
    ModelInfo,
    SCMOSConfig,
    SimulationConfig,
)
from napari_dilatedloc.network.checkpoint import load_model, save_model
from napari_dilatedloc.network.output import scaling_for
from napari_dilatedloc.network.registry import build_network
from napari_dilatedloc.network.shipped import ModelFileError, available_models


@pytest.fixture
def info():
    simulation = SimulationConfig()
    return ModelInfo(
        network="dilatedloc",
        scaling=scaling_for(simulation, (-700, 700)),
        camera=SCMOSConfig(),
        psf=GaussianPSFConfig(),
        simulation=simulation,
        steps=3,
        metrics={"jaccard": 0.5},
    )


def test_round_trip(tmp_path, info):
    network = build_network("dilatedloc").eval()
    path = tmp_path / "m.safetensors"
    save_model(path, network, info, {"coefficients": torch.arange(3.0)})
    model = load_model(path)
    assert model.info == info
    assert model.psf_tensors["coefficients"].tolist() == [0, 1, 2]
    frames = torch.randn(1, 3, 32, 32)
    assert torch.equal(model.network(frames), network(frames))
    assert not model.network.training
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_another_camera_changes_nothing_else(tmp_path, info):
    save_model(tmp_path / "m.safetensors", build_network("dilatedloc"), info, {})
    model = load_model(tmp_path / "m.safetensors")
    other = model.with_camera(EMCCDConfig(baseline=200))
    assert other.info.camera == EMCCDConfig(baseline=200)
    assert other.info.replace(camera=info.camera.model_dump()) == info


def test_a_shipped_model_loads_by_name():
    assert "astigmatism" in available_models()
    model = load_model("astigmatism")
    assert model.info.network == "dilatedloc"
    assert model.info.metrics["jaccard"] > 0.8


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-model", "no shipped model named"),
        ("missing.safetensors", "no model file"),
    ],
)
def test_unknown_names_say_what_there_is(name, message):
    with pytest.raises(ModelFileError, match=message):
        load_model(name)


def test_foreign_files_are_refused_in_a_sentence(tmp_path):
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ModelFileError, match="not a model file"):
        load_model(junk)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign)
    with pytest.raises(ModelFileError, match="no DilatedLoc settings"):
        load_model(foreign)


def test_weights_of_another_network_are_refused(tmp_path, info):
    path = tmp_path / "m.safetensors"
    save_model(path, build_network("dilatedloc-2024"), info, {})
    with pytest.raises(ModelFileError, match="do not fit the network"):
        load_model(path)


def test_a_wrong_suffix_is_refused_before_writing(tmp_path, info):
    with pytest.raises(ModelFileError, match="safetensors"):
        save_model(tmp_path / "m.pt", build_network("dilatedloc"), info, {})
    assert list(tmp_path.iterdir()) == []
