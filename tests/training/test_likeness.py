import numpy as np
import pytest
import torch

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.psf.build import build_psf
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.training.likeness import PLANES, Likeness, likeness

ASTIGMATISM = PRESETS["astigmatism"]
GAUSSIAN = GaussianPSFConfig()


def alike(config, other):
    return likeness(build_psf(config), build_psf(other))


@pytest.mark.parametrize("name", PRESETS)
def test_a_psf_is_like_itself(name):
    same = alike(PRESETS[name], PRESETS[name])
    assert same.shape == pytest.approx(1, abs=1e-6)
    assert (same.depth, same.turned) == (1.0, False)
    assert same.score == pytest.approx(1, abs=1e-6)


def test_shape_is_the_correlation_of_images_at_the_same_heights():
    one, other = (
        build_psf(ASTIGMATISM),
        build_psf(PRESETS["saddle-point"].replace(pixel_size_nm=100)),
    )
    z_nm = torch.linspace(-700, 700, PLANES)
    a, b = (psf.rois(z_nm, 0 * z_nm, 0 * z_nm).flatten(1).double() for psf in (one, other))
    expected = torch.nn.functional.cosine_similarity(a, b, dim=1).mean()
    found = likeness(one, other)
    assert not found.turned
    assert found.shape == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("pixel_size_nm", [80.0, 130.0])
def test_another_pixel_size_is_no_other_shape(pixel_size_nm):
    fine = GAUSSIAN.replace(roi_size=41)
    found = alike(fine, fine.replace(pixel_size_nm=pixel_size_nm))
    assert found.shape > 0.995
    assert not found.turned


def test_a_turned_psf_is_found_but_counts_less():
    # astigmatism with the foci exchanged is the same spot turned by a quarter
    turned = GAUSSIAN.replace(focus_x_nm=GAUSSIAN.focus_y_nm, focus_y_nm=GAUSSIAN.focus_x_nm)
    found = alike(GAUSSIAN, turned)
    assert found.turned
    assert found.shape == pytest.approx(1, abs=1e-6)
    assert found.score == pytest.approx(0.95, abs=1e-6)
    assert alike(GAUSSIAN, GAUSSIAN.replace(focus_x_nm=-180.0)).score > found.score


def test_a_mirrored_psf_is_found():
    coma = ASTIGMATISM.replace(zernike_nm=((2, 2, 70.0), (3, 1, 40.0), (3, -1, 25.0)))
    mirror = ASTIGMATISM.replace(zernike_nm=((2, 2, 70.0), (3, 1, 40.0), (3, -1, -25.0)))
    found = alike(coma, mirror)
    assert found.turned
    assert found.shape == pytest.approx(1, abs=1e-3)


def test_depth_is_the_part_of_the_heights_that_is_known():
    shallow, deep = (GAUSSIAN.replace(z_range_nm=(-z, z)) for z in (350.0, 700.0))
    assert alike(shallow, deep).depth == 1.0
    found = alike(deep, shallow)
    assert (found.depth, found.shape) == (pytest.approx(0.5), pytest.approx(1, abs=1e-6))
    assert found.score == pytest.approx(0.5, abs=1e-6)


def test_heights_may_count_from_anywhere():
    foci = {"focus_x_nm": 2800.0, "focus_y_nm": 3200.0}
    found = alike(GAUSSIAN.replace(z_range_nm=(2300.0, 3700.0), **foci), GAUSSIAN)
    assert (found.depth, found.shape) == (pytest.approx(1.0), pytest.approx(1, abs=1e-6))


def test_a_psf_of_one_height():
    flat = GAUSSIAN.replace(z_range_nm=(0.0, 0.0))
    assert alike(flat, flat) == Likeness(pytest.approx(1, abs=1e-6), 1.0, turned=False)
    assert np.isfinite(alike(GAUSSIAN, flat).score)
