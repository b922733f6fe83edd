"""The peers' networks: published sizes, locality, training and localization as all others."""

import json
import sys
import threading

import numpy as np
import pytest
import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.cli import main
from napari_dilatedloc.config import (
    GaussianPSFConfig,
    LocalizeConfig,
    SCMOSConfig,
    SimulationConfig,
    TrainingConfig,
    save_yaml,
)
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.network.baselines.decode import DECODE
from napari_dilatedloc.network.baselines.fd_deeploc import FDDeepLoc
from napari_dilatedloc.network.baselines.layers import HeadOutput, windows
from napari_dilatedloc.network.baselines.liteloc import LiteLoc
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.network.output import activate, scaling_for
from napari_dilatedloc.network.registry import (
    as_network,
    build_network,
    count_macs,
    count_parameters,
)
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.table import Localizations
from napari_dilatedloc.training.start import adapted, fresh_network
from napari_dilatedloc.training.trainer import train

BASELINES = ("fd-deeploc", "decode", "liteloc")


def test_sizes_are_the_published_ones():
    assert count_parameters(LiteLoc()) == 1_332_299  # LiteLoc's authors, and their repository
    assert count_parameters(FDDeepLoc(window=1)) == 2_522_746  # Luo 2024, Table 3


def test_three_frames_widen_the_second_u_net_only():
    one, three = FDDeepLoc(window=1), FDDeepLoc()
    added = 9 * 2 * 48 * 48  # 3x3 weights from 48 features of two more frames to 48
    assert count_parameters(three) - count_parameters(one) == added
    coordinates = 9 * 2 * 48  # of CoordConv, which DECODE does not have
    assert count_parameters(three) - count_parameters(DECODE()) == coordinates


def test_liteloc_needs_the_published_operations():
    """71.08 G for ten frames of 128 x 128 px with a neighbour on either side (its README)."""
    network = LiteLoc()
    size = 32  # operations are proportional to the area
    each = count_macs(network, size)
    counts = []
    for layer in network.modules():
        layer.register_forward_hook(lambda layer, _, output: counts.append(macs(layer, output)))
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, size, size))
    assert round((sum(counts) + 9 * each) * (128 / size) ** 2 / 1e9, 2) == 71.08


def macs(layer, output):
    if isinstance(layer, torch.nn.Conv2d):
        return output.numel() * layer.weight[0].numel()
    return 4 * output.numel() if isinstance(layer, torch.nn.BatchNorm2d) else 0


def test_fd_deeploc_takes_one_or_three_frames():
    with pytest.raises(ValueError, match="1 or 3 frames, got a window of 5"):
        FDDeepLoc(window=5)
    raw = FDDeepLoc(window=1).eval()(torch.zeros(1, 2, 16, 16))
    assert raw.shape == (1, 2, 10, 16, 16)


@pytest.mark.parametrize("name", BASELINES)
def test_a_perturbed_pixel_changes_what_the_halo_covers(name):
    """With positive weights and no biases nothing cancels and a dark frame gives zeros."""
    network = build_network(name).double().eval().requires_grad_(False)
    for kind, weights in network.named_parameters():
        share = 1 / weights[0].numel() if weights.ndim > 1 else 1.0
        weights.fill_(share if kind.endswith("weight") else 0.0)
    typed = as_network(network)
    side, step = 2 * typed.halo + 2 * typed.multiple, typed.multiple
    middle = side // 2 // step * step
    lit = torch.zeros(step, 3, side, 4, dtype=torch.float64)
    for phase in range(step):
        lit[phase, 1, middle + phase] = 1.0
    phases, rows = torch.nonzero(network(lit).amax((1, 2, 4)), as_tuple=True)
    reach = int((rows - middle - phases).abs().max())
    assert typed.halo == -(-reach // step) * step


@pytest.mark.parametrize("name", BASELINES)
def test_frames_are_looked_at_once(name):
    """What depends on one frame alone runs once per frame, not once per window."""
    network = build_network(name).eval()
    single = network.stem if name == "liteloc" else network.frame
    seen = []
    single.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    with torch.inference_mode():
        network(torch.zeros(2, 6, 8, 8))
    assert seen == [12]


def test_windows_put_neighbours_in_order_of_time():
    features = torch.arange(5.0)[None, :, None, None, None]
    assert windows(features, 3)[:, :, 0, 0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_each_head_sees_its_own_features():
    out = HeadOutput(2, (1, 3)).requires_grad_(False)
    x = torch.randn(1, 4, 5, 5)
    weight = torch.zeros(4, 4, 1, 1)  # the same as one convolution with blocks of zeros
    weight[:1, :2], weight[1:, 2:] = out.weight[:1], out.weight[1:]
    expected = torch.nn.functional.conv2d(x, weight, out.bias)
    assert torch.allclose(out(x), expected, atol=1e-6)


def test_positions_keep_full_precision_under_autocast():
    network = LiteLoc().eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert network(torch.zeros(1, 3, 8, 8)).dtype == torch.float32


def test_liteloc_has_no_background_and_the_others_do():
    scaling = scaling_for(SimulationConfig(), (-700, 700))
    for name in BASELINES:
        network = build_network(name).eval()
        with torch.inference_mode():
            raw = network(torch.zeros(1, 3, 8, 8))[0]
        bg = activate(raw, as_network(network).channels, scaling).bg
        assert bool(torch.isnan(bg).all()) == (name == "liteloc")


@pytest.mark.parametrize("name", BASELINES)
def test_weights_say_the_same_heights_over_another_range(name):
    network = build_network(name).eval().requires_grad_(False)
    network.out.weight.mul_(0.02)  # near zero, where the output is linear
    scaling = scaling_for(SimulationConfig(), (-700, 700))
    wider, new = adapted(network, scaling, (-1200, 1600))
    frames = torch.randn(1, 3, 16, 16)
    channels = as_network(network).channels
    before = activate(network(frames)[0], channels, scaling)
    after = activate(wider(frames)[0], channels, new)
    assert before.z_nm.std() > 1
    near = before.z_nm.abs() < 30
    assert near.sum() > 20
    assert torch.allclose(after.z_nm[near], before.z_nm[near], atol=2)
    assert torch.equal(after.photons, before.photons)


PSF = GaussianPSFConfig(roi_size=15)
SHORT = TrainingConfig(
    simulation=SimulationConfig(density_per_um2=(0.3, 0.6), photons=(3000, 6000), bg=(10, 20)),
    steps=3,
    batch=1,
    frames=3,
    patch=16,
    optimizer="adamw",
    validate_every=3,
    validation_frames=3,
    validation_per_plane=1,
    test_emitters=10,
)


@pytest.mark.parametrize("name", BASELINES)
def test_it_trains_and_localizes_like_any_other(name, tmp_path):
    out, stop = tmp_path / "m.safetensors", threading.Event()
    for step in train(SHORT.replace(network=name), GaussianPSF(PSF), out, stop=stop):
        if step.evaluation:
            stop.set()  # the test of the result is that of all networks
    model = load_model(out)
    assert (model.info.network, model.info.steps) == (name, 3)
    assert all(trained_away(model.network, name, model.info.seed))
    model.network.out.bias[0] += 6  # three steps find nothing; now many pixels are seeds
    whole, tiled = (found(model, tile_size) for tile_size in (1024, 64))
    assert len(whole) > 20
    np.testing.assert_array_equal(tiled.frame, whole.frame)
    for column in ("x", "y", "z_nm", "photons", "sigma_x"):
        got, expected = getattr(tiled, column), getattr(whole, column)
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-2)


def trained_away(network, name, seed):
    """For each layer, whether training moved it from where the seed had put it."""
    then = fresh_network(name, seed).state_dict()
    for key, weights in network.state_dict().items():
        if key.endswith("weight"):
            yield not torch.equal(weights, then[key])


def found(model, tile_size):
    """Localizations of two frames so long that an inner tile of 64 px sees less than all."""
    simulator = Simulator(GaussianPSF(PSF), build_camera(SCMOSConfig()), model.info.simulation)
    size = 2 * model.network.halo + 136, 16
    batch = simulator.draw(1, 2, size, torch.Generator().manual_seed(1))
    config = LocalizeConfig(
        device="cpu", tile_size=tile_size, batch_frames=2, precision="float32", engine="exact"
    )
    blocks = localize(batch.adu[0].numpy(), model, config)
    return Localizations.concatenate([block.localizations for block in blocks])


def test_the_command_line_trains_it_from_settings(tmp_path, monkeypatch, capsys):
    config, psf, out = (tmp_path / n for n in ("train.yaml", "psf.yaml", "m.safetensors"))
    save_yaml(SHORT.replace(network="liteloc", steps=1), config)
    save_yaml(PSF, psf)
    args = ["train", "--psf", psf, "--config", config, "--out", out, "--json"]
    monkeypatch.setattr(sys, "argv", ["dilatedloc", *map(str, args)])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert json.loads(capsys.readouterr().out)["steps"] == 1
    assert load_model(out).info.network == "liteloc"
