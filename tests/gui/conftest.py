"""A tiny model file, a movie, and no GUI test where there is no display."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest


def pytest_collection_modifyitems(items):
    """Without a display Qt would abort the whole test session."""
    headless = sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if headless:
        here = Path(__file__).parent
        for item in items:
            if here in Path(item.path).parents:
                item.add_marker(pytest.mark.skip(reason="no display: use xvfb-run -a pytest"))


@pytest.fixture(autouse=True)
def _main_thread_only(monkeypatch):
    """Napari's own check that nobody sets a layer's attributes from a worker thread."""
    monkeypatch.setenv("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "1")


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch, tmp_path_factory):
    """Presets and preferences of a test are its own, not those of who runs it."""
    from napari import settings

    folder = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    monkeypatch.setattr(settings, "_CFG_PATH", str(folder / "napari.yaml"))
    monkeypatch.setattr(settings, "_PLUGIN_SETTINGS", {})


@pytest.fixture(scope="session")
def model_path(tmp_path_factory) -> Path:
    """Model file of the default network with random weights: it detects where the noise peaks."""
    import torch

    from napari_dilatedloc.config import (
        GaussianPSFConfig,
        ModelInfo,
        SCMOSConfig,
        SimulationConfig,
    )
    from napari_dilatedloc.network.checkpoint import save_model
    from napari_dilatedloc.network.output import scaling_for
    from napari_dilatedloc.network.registry import build_network

    torch.manual_seed(0)
    network = build_network("dilatedloc")
    torch.nn.init.normal_(network.out.weight, std=1.0)
    with torch.no_grad():
        network.out.bias[network.channels.index("prob")] = -1.5
    simulation = SimulationConfig()
    psf = GaussianPSFConfig()
    info = ModelInfo(
        network="dilatedloc",
        scaling=scaling_for(simulation, psf.z_range_nm),
        camera=SCMOSConfig(),
        psf=psf,
        simulation=simulation,
        threshold=0.3,
    )
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, network, info, {})
    return path


@pytest.fixture
def movie() -> np.ndarray:
    """150 frames of 24 x 32 px: noise on the baseline, with two bright spots."""
    generator = np.random.default_rng(7)
    frames = generator.poisson(130, (150, 24, 32)).astype(np.uint16)
    frames[:, 10:13, 20:23] += 300
    frames[:, 18:21, 4:7] += 400
    return frames


@pytest.fixture
def movie_viewer(make_napari_viewer_proxy):
    """Viewer with a layer "movie": 20 empty frames of 20 x 30 px of 100 nm."""
    made = make_napari_viewer_proxy()
    made.add_image(
        np.zeros((20, 20, 30), np.uint16),
        name="movie",
        scale=(1, 100, 100),
        units=("pixel", "nm", "nm"),
    )
    return made
