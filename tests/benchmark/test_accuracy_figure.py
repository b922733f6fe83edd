"""Deciles of error bars, and cards of any PSF and camera."""

import numpy as np
import pytest

from napari_dilatedloc.benchmark.accuracy_figure import reliability
from napari_dilatedloc.benchmark.card import model_card
from napari_dilatedloc.config import EMCCDConfig
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.training.accuracy import ModelAccuracy

NUMBERS = dict.fromkeys(ModelAccuracy.__dataclass_fields__, 0.5)
ACCURACY = ModelAccuracy(**{**NUMBERS, "n_emitters": 7, "test_set": "Some set."})


def test_true_error_bars_lie_on_the_diagonal():
    rng = np.random.default_rng(0)
    sigma = rng.uniform(2, 50, 20000)
    error = rng.normal(0, 1.5 * sigma)
    predicted, actual = reliability(sigma, error)
    assert len(predicted) == 10
    assert (np.diff(predicted) > 0).all()
    assert actual == pytest.approx(1.5 * predicted, rel=0.06)
    error[::1000] = 1e4  # wrong pairings
    assert reliability(sigma, error)[1] == pytest.approx(actual, rel=0.1)


@pytest.mark.parametrize("preset", ["saddle-point", "tetrapod-6um"])
def test_a_card_says_what_the_model_is_for(preset):
    model = load_model("astigmatism")
    info = model.info.replace(psf=PRESETS[preset], camera=EMCCDConfig())
    card = model_card(preset, type(model)(model.network, info, {}, preset, ""), ACCURACY)
    assert "Some set." in card
    assert "EM gain 300" in card
    assert f"NA {PRESETS[preset].na:g}" in card
    assert "Zernike in nm rms: (" in card
    assert "Remake" not in card
    assert card.endswith("\n")


@pytest.mark.parametrize(("gpu_hours", "said"), [(0.0, "2.00 CPU hours;"), (0.12, "and 0.12 GPU")])
def test_a_card_says_how_long_the_training_took(gpu_hours, said):
    model = load_model("astigmatism")
    info = model.info.replace(cpu_hours=2.0, gpu_hours=gpu_hours)
    assert said in model_card("some", type(model)(model.network, info, {}, "some", ""), ACCURACY)
