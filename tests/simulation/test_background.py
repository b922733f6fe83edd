import pytest
import torch

from napari_dilatedloc.config import SimulationConfig
from napari_dilatedloc.simulation.background import sample_background, smooth_noise


def noise(size, feature_px=32.0, octaves=1, movies=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return smooth_noise(movies, size, feature_px, octaves, generator)


def background(**changes):
    config = SimulationConfig(bg=(50, 50)).replace(**changes)
    return sample_background(config, 300, (32, 40), torch.Generator().manual_seed(1))


def correlation(maps, lag):
    near, far = maps[..., :-lag].flatten(), maps[..., lag:].flatten()
    return (near * far).mean().item() / maps.square().mean().item()


def test_level_is_kept_and_the_field_varies_within_the_limit():
    bg = background(bg_structure=0.3)
    assert bg.shape == (300, 32, 40)
    assert bg.mean().item() == pytest.approx(50, rel=0.01)
    assert bg.std(dim=(1, 2)).max() > 3
    assert (bg - 50).abs().max() <= 0.3 * 50 + 1e-3


def test_even_where_no_structure_is_asked_for():
    assert torch.all(background(bg_structure=0) == 50)


def test_never_negative_however_strong():
    bg = background(bg_structure=1, bg_octaves=1, bg_feature_px=4)
    assert bg.min() >= 0
    assert bg.min() < 5


def test_each_movie_has_its_own_level():
    levels = background(bg=(10, 150), bg_structure=0).mean((1, 2))
    assert levels.min() < 20
    assert levels.max() > 140


def test_features_have_a_size_in_pixels_whatever_the_patch():
    small, large = noise((40, 40), movies=3000), noise((200, 200))
    assert small.std().item() == pytest.approx(large.std().item(), rel=0.1)
    for lag in (8, 16):
        # neighbours closer than the feature agree, and alike in both
        assert correlation(small, lag) == pytest.approx(correlation(large, lag), abs=0.05)
    assert correlation(large, 8) > 0.7
    assert abs(correlation(large, 64)) < 0.05


def test_smaller_features_decay_faster():
    assert correlation(noise((64, 64), feature_px=8.0), 8) < 0.3
    assert correlation(noise((64, 64), feature_px=64.0), 8) > 0.9


def test_octaves_add_fine_structure_within_the_same_bounds():
    plain, rich = noise((64, 64), octaves=1), noise((64, 64), octaves=4)

    def roughness(maps):
        return (maps.diff(dim=2).diff(dim=2).std() / maps.std()).item()

    assert roughness(rich) > 3 * roughness(plain)
    assert rich.abs().max() <= 1


def test_noise_is_smooth_along_both_axes():
    maps = noise((64, 64), feature_px=16.0)
    for axis in (1, 2):
        assert maps.diff(dim=axis).abs().max() < 2 * 2 / 16  # the fade curve's slope is 1.875
