import pytest

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.network.shipped import ModelFileError, find_model
from napari_dilatedloc.psf.build import build_psf
from napari_dilatedloc.psf.compile import compile_psf
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.training.start import choose_start, nearest

NETWORK = "dilatedloc"
GAUSSIAN = GaussianPSFConfig()


def test_nothing_is_a_choice():
    assert choose_start("none", build_psf(GAUSSIAN), NETWORK) is None


def test_a_model_by_name_or_path_whatever_the_psf_is():
    psf = build_psf(PRESETS["tetrapod-6um"])
    assert choose_start("astigmatism", psf, NETWORK).name == "astigmatism"
    path = str(find_model("astigmatism"))
    assert choose_start(path, psf, NETWORK).name == path
    with pytest.raises(ModelFileError, match="no shipped model named 'nonsense'"):
        choose_start("nonsense", psf, NETWORK)


@pytest.mark.parametrize("name", PRESETS)
def test_auto_takes_the_model_of_the_same_psf(name):
    said = []
    depth = tuple(0.8 * z for z in PRESETS[name].z_range_nm)
    psf = build_psf(PRESETS[name].replace(pixel_size_nm=120.0, z_range_nm=depth, n_pupil=48))
    if name == "astigmatism":  # as from beads: no formula
        psf = compile_psf(psf)
    found = choose_start("auto", psf, NETWORK, said.append)
    assert found.name == name
    assert found.info.network == NETWORK
    (sentence,) = said
    assert sentence.startswith(f"starting from the weights of {name}: its PSF is the most like yo")


def test_auto_takes_nothing_where_no_model_can_serve():
    said = []
    assert choose_start("auto", build_psf(GAUSSIAN), "another network", said.append) is None
    deep = build_psf(GAUSSIAN.replace(z_range_nm=(-90000.0, 90000.0), depth_nm=90000.0))
    assert choose_start("auto", deep, NETWORK, said.append) is None
    assert "has the network another network; starting from nothing" in said[0]
    assert "has a PSF like yours (" in said[1]


def test_the_reason_names_what_differs():
    psf = build_psf(GAUSSIAN)
    swapped = GAUSSIAN.replace(focus_x_nm=200.0, focus_y_nm=-200.0, z_range_nm=(-350.0, 350.0))
    found = nearest(psf, {"swapped": build_psf(swapped)})
    assert found.why == (
        "its PSF, turned or mirrored, is the most like yours (1.00 over 50% of the heights)"
    )
    assert nearest(psf, {}) is None
