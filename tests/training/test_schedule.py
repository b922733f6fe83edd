import pytest
import torch

from napari_dilatedloc.config import GaussianPSFConfig, TrainingConfig
from napari_dilatedloc.psf.extent import spot_diameter_px
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.training.schedule import (
    CUDA_STEPS,
    STEP_PIXELS,
    batch_size,
    learning_rate,
    patch_px,
)

CONFIG = TrainingConfig(warmup_steps=10, learning_rate=1.0)


def test_learning_rate_rises_then_falls_to_zero():
    assert learning_rate(0.0, 0, CONFIG) == pytest.approx(0.1)
    assert learning_rate(0.0, 9, CONFIG) == pytest.approx(1.0)
    assert learning_rate(0.5, 500, CONFIG) == pytest.approx(0.5)
    assert learning_rate(1.0, 1000, CONFIG) == pytest.approx(0.0)


def test_diameter_of_a_round_gaussian_is_known():
    config = GaussianPSFConfig(focus_x_nm=0.0, focus_y_nm=0.0, sigma_nm=200.0, z_range_nm=(0, 0.1))
    radius = 2.0 * (2 * torch.log(torch.tensor(5.0))) ** 0.5  # px; 80% of the light
    assert spot_diameter_px(GaussianPSF(config)) == pytest.approx(2 * float(radius), abs=1.0)


def test_wide_spots_get_larger_and_fewer_patches():
    narrow = GaussianPSF(GaussianPSFConfig(z_range_nm=(-200.0, 200.0)))
    wide = GaussianPSF(GaussianPSFConfig(roi_size=61, z_range_nm=(-2000.0, 2000.0)))
    small, large = (patch_px(TrainingConfig(), psf, 8) for psf in (narrow, wide))
    assert small == 40
    assert large > 2 * spot_diameter_px(wide) - 8
    assert large % 8 == 0
    for side in (small, large):
        pixels = batch_size(TrainingConfig(), side) * side**2
        assert 0.5 * STEP_PIXELS < pixels < 2 * STEP_PIXELS


def test_what_is_stated_counts():
    config = TrainingConfig(patch=50, batch=3)
    assert patch_px(config, GaussianPSF(GaussianPSFConfig()), 8) == 56
    assert batch_size(config, 56) == 3
    assert batch_size(config, 56, "cuda") == 3


def test_a_cuda_card_gets_larger_batches():
    config = TrainingConfig()
    assert batch_size(config, 40, "cuda") == CUDA_STEPS * batch_size(config, 40) == 128
    assert batch_size(config, 40, "mps") == batch_size(config, 40)  # not measured there
