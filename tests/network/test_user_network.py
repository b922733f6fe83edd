"""Networks of others, and the truth of docs/networks.md: table, example and entry point."""

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_dilatedloc.config import (
    GaussianPSFConfig,
    SimulationConfig,
    TrainingConfig,
    save_yaml,
)
from napari_dilatedloc.io.movie import write_movie
from napari_dilatedloc.network import registry
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.network.output import CHANNELS
from napari_dilatedloc.network.registry import (
    ENTRY_POINTS,
    NETWORKS,
    Network,
    NetworkError,
    as_network,
    build_all,
    build_network,
    count_macs,
    count_parameters,
    network_names,
    register_network,
    unregister_network,
)

DOCUMENT = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
DEFINITION, SCRIPT = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)

TINY = TrainingConfig(
    simulation=SimulationConfig(density_per_um2=(0.3, 0.6), photons=(3000, 6000), bg=(10, 20)),
    steps=3,
    batch=1,
    frames=3,
    patch=16,
    validate_every=3,
    validation_frames=3,
    validation_per_plane=1,
    test_emitters=10,
)


@pytest.mark.parametrize("name", NETWORKS)
def test_table_of_networks(name):
    (row,) = re.findall(rf"^\| `{name}` \|(.*)\|$", DOCUMENT, re.MULTILINE)
    window, parameters, macs, halo, background = (cell.strip() for cell in row.split("|"))
    module = build_network(name)
    network = as_network(module)
    assert int(window) == network.window
    assert int(parameters.replace(",", "")) == count_parameters(module)
    quarter = count_macs(module, 64)  # they grow with the area
    assert int(macs.replace(",", "")) == 4 * quarter
    assert int(halo) == network.halo
    assert background == ("yes" if "bg" in network.channels else "no")


def test_table_has_no_other_network():
    assert re.findall(r"^\| `([a-z0-9-]+)` \| \d", DOCUMENT, re.MULTILINE) == list(NETWORKS)


def test_protocol_and_channels_are_told():
    told = re.findall(r"^\| `(\w+)` \| \D", DOCUMENT, re.MULTILINE)
    assert told == list(Network.__annotations__)
    (channels,) = re.findall(r"^\| `channels` \| .*?: (.*)$", DOCUMENT, re.MULTILINE)
    assert re.findall(r"`(\w+)`", channels) == list(CHANNELS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder that Python imports from, with the example in it; its modules are forgotten after."""
    (tmp_path / "my_networks.py").write_text(DEFINITION, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_networks", None)


def test_the_example_trains_and_localizes(folder, capsys):
    save_yaml(TINY, folder / "train.yaml")
    save_yaml(GaussianPSFConfig(roi_size=15), folder / "psf.yaml")
    frames = np.random.default_rng(0).poisson(120, (4, 20, 24)).astype(np.uint16)
    write_movie(folder / "movie.tif", frames, pixel_size_nm=100.0)
    try:
        exec(compile(SCRIPT, "docs/networks.md", "exec"), {"__name__": "example"})
        model = load_model("plain.safetensors")
    finally:
        unregister_network("plain")
    out = capsys.readouterr().out
    assert re.search(r"^3 \d", out, re.MULTILINE)  # the validation
    assert re.search(r"^\d+ localizations$", out, re.MULTILINE)
    assert model.info.network == "plain"
    assert type(model.network).__module__ == "my_networks"
    with pytest.raises(NetworkError, match=r"no network named 'plain'.* install the package"):
        load_model("plain.safetensors")


def install(folder, package, entry_points):
    """What pip leaves of a package, as far as its entry points go."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{ENTRY_POINTS}]", *lines]) + "\n")


def test_the_documented_entry_point_brings_a_network(folder):
    (toml,) = re.findall(r"^```toml\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    (groups,) = tomllib.loads(toml)["project"].values()
    assert list(groups) == [ENTRY_POINTS]
    assert "plain" not in network_names()
    install(folder, "my-networks", groups[ENTRY_POINTS])
    assert network_names() == (*NETWORKS, "plain")
    raw = build_network("plain").eval()(torch.zeros(1, 4, 8, 8))
    assert raw.shape == (1, 2, 10, 8, 8)
    with pytest.raises(NetworkError, match="'plain' is taken by the package my-networks"):
        register_network("plain", NETWORKS["liteloc"])


def test_names_are_listed_without_loading_any(folder):
    install(folder, "my-networks", {"plain": "my_networks:PlainNet"})
    assert "plain" in network_names()
    assert "my_networks" not in sys.modules


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module:Net", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("my_networks:Net", "AttributeError: .*'Net'"),
        ("my_networks:layer", "TypeError: .*channels_in"),
        ("torch.nn:Identity", "does not state window"),
    ],
)
def test_a_package_that_does_not_load_is_named_and_breaks_nothing(folder, caplog, value, message):
    install(folder, "half-done", {"broken": value})
    install(folder, "my-networks", {"plain": "my_networks:PlainNet"})
    expected = rf"'broken' of the package half-done cannot be used \(.*{message}"
    with pytest.raises(NetworkError, match=expected) as caught:
        build_network("broken")
    assert isinstance(caught.value.__cause__, Exception)
    assert list(build_all()) == [*NETWORKS, "plain"]
    (warning,) = caplog.messages
    assert re.search(expected, warning)


def test_two_packages_with_one_name_are_an_error(folder, caplog):
    install(folder, "my-networks", {"plain": "my_networks:PlainNet"})
    install(folder, "other", {"plain": "my_networks:PlainNet"})
    with pytest.raises(NetworkError, match="packages my-networks and other both offer"):
        build_network("plain")
    assert list(build_all()) == list(NETWORKS)
    assert "uninstall one of them" in caplog.text


def test_a_package_cannot_replace_what_is_built_in(folder, caplog, monkeypatch):
    install(folder, "my-networks", {"liteloc": "my_networks:PlainNet"})
    assert type(build_network("liteloc")) is NETWORKS["liteloc"]
    monkeypatch.setattr(registry, "NETWORKS", {"liteloc": NETWORKS["liteloc"]})
    assert list(build_all()) == ["liteloc"]
    assert "'liteloc' of my-networks is hidden by the built-in one" in caplog.text
