"""What a model file says of itself, read without its weights."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from napari_dilatedloc.network.checkpoint import load_model, save_model
from napari_dilatedloc.network.shipped import ModelFileError, available_models, read_info


def test_the_header_alone_says_what_the_whole_file_says():
    for name in available_models():
        assert read_info(name) == load_model(name).info


def test_figures_survive(tmp_path):
    model = load_model("astigmatism")
    path = tmp_path / "m.safetensors"
    info = model.info.replace(
        metrics={"jaccard": 0.9}, test_set="a set", calibration={"sigma_x": 1.3, "photons": 0.9}
    )
    save_model(path, model.network, info, model.psf_tensors)
    assert read_info(path) == info == load_model(path).info


def test_a_file_without_weights_is_still_described(tmp_path):
    path = tmp_path / "cut.safetensors"
    source = load_model("astigmatism")
    save_model(path, source.network, source.info, {})
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        file.truncate(8 + length)
    assert read_info(path) == source.info


@pytest.mark.parametrize("content", [b"", b"\x00" * 40, b"PK\x03\x04 not a model", b"\x02" * 7])
def test_junk_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "junk.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"junk\.safetensors is not a model file"):
        read_info(path)


@pytest.mark.parametrize("header", [[], {"__metadata__": {"dilatedloc": "{}"}}, {"a": 1}])
def test_foreign_headers_are_refused(tmp_path, header):
    path = tmp_path / "odd.safetensors"
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ModelFileError, match=r"odd\.safetensors"):
        read_info(path)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign)
    with pytest.raises(ModelFileError, match="no DilatedLoc settings"):
        read_info(foreign)


def test_listing_needs_no_torch():
    code = (
        "import sys\n"
        "from napari_dilatedloc.network.shipped import available_models, read_info\n"
        "print([read_info(name).network for name in available_models()])\n"
        "raise SystemExit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == 0
