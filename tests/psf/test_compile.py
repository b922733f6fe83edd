import pytest
import torch

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.psf.compile import compile_psf, fast_psf, largest_difference
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.vectorial import VectorialPSF


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_within_a_hundredth_of_the_peak(name):
    """On the preset's optics and range, over places other than those the compiler looked at."""
    config = PRESETS[name]
    small = config.replace(roi_size=min(config.roi_size, 31), n_pupil=64)
    exact = VectorialPSF(small)
    compiled = compile_psf(exact)
    assert largest_difference(compiled, exact, probes=200, seed=9) < 0.005
    assert compiled.config.z_range_nm == config.z_range_nm
    assert compiled.config.roi_size == small.roi_size


def test_coarse_pixels_get_more_knots():
    fine = VectorialPSF(PRESETS["astigmatism"].replace(roi_size=11, pixel_size_nm=60.0, n_pupil=32))
    coarse = VectorialPSF(
        PRESETS["astigmatism"].replace(roi_size=11, pixel_size_nm=180.0, n_pupil=32)
    )
    knots = [compile_psf(psf).config.oversampling for psf in (fine, coarse)]
    assert knots[0] < knots[1]
    assert largest_difference(compile_psf(coarse), coarse, seed=2) < 0.01


def test_what_is_fast_already_stays():
    gaussian = GaussianPSF(GaussianPSFConfig(roi_size=13))
    assert fast_psf(gaussian) is gaussian
    compiled = compile_psf(gaussian)
    assert compile_psf(compiled) is compiled
    assert fast_psf(compiled) is compiled
    assert largest_difference(compiled, gaussian, seed=3) < 0.005


def test_gradients_survive_with_several_knots_a_pixel():
    compiled = compile_psf(GaussianPSF(GaussianPSFConfig(roi_size=9)), tolerance=1e-6)
    assert compiled.config.oversampling == 3
    places = [
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in ([-130.0, 220.0], [0.21, -0.4], [-0.13, 0.37])
    ]
    assert torch.autograd.gradcheck(compiled.rois, places)
