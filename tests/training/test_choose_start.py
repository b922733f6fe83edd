import pytest

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.network.shipped import ModelFileError, find_model, read_info
from napari_dilatedloc.training.start import choose_start

NETWORK = "dilatedloc"


def test_nothing_is_a_choice():
    assert choose_start("none", GaussianPSFConfig(), NETWORK) is None


def test_a_model_by_name_or_path_whatever_the_psf_is():
    tiny = GaussianPSFConfig(z_range_nm=(-50.0, 50.0), roi_size=9)
    assert choose_start("astigmatism", tiny, NETWORK).name == "astigmatism"
    path = str(find_model("astigmatism"))
    assert choose_start(path, tiny, NETWORK).name == path
    with pytest.raises(ModelFileError, match="no shipped model named 'nonsense'"):
        choose_start("nonsense", tiny, NETWORK)


def test_auto_takes_the_nearest_shipped_one_or_none():
    shipped = read_info("astigmatism")
    found = choose_start("auto", shipped.psf, NETWORK)
    assert found.info.psf.z_range_nm == shipped.psf.z_range_nm
    assert found.info.network == NETWORK
    assert choose_start("auto", shipped.psf, "another network") is None
    tiny = GaussianPSFConfig(z_range_nm=(-50.0, 50.0), roi_size=9)
    assert choose_start("auto", tiny, NETWORK) is None
