import h5py
import pytest
import torch

from napari_dilatedloc.config import GaussianPSFConfig, save_yaml
from napari_dilatedloc.psf.build import (
    PSFFileError,
    available_psfs,
    build_psf,
    load_psf,
    save_psf,
)
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.spline import SplinePSF, spline_from_volume


@pytest.fixture
def spline():
    volume = torch.rand(4, 11, 11, generator=torch.Generator().manual_seed(1))
    return spline_from_volume(
        volume.numpy(), pixel_size_nm=80, z_min_nm=-20, z_step_nm=10, z_range_nm=(-15, 5)
    )


@pytest.mark.parametrize("name", available_psfs())
def test_built_in_psfs_load_by_name(name):
    roi = load_psf(name).rois(torch.zeros(1), torch.zeros(1), torch.zeros(1))
    assert 0.7 < roi.sum().item() <= 1.0001


def test_config_and_tensors_rebuild(spline):
    for psf in (spline, GaussianPSF(GaussianPSFConfig(sigma_nm=99.0))):
        again = build_psf(psf.config, psf.tensors())
        assert type(again) is type(psf)
        places = torch.tensor([[3.0], [0.2], [-0.4]])
        torch.testing.assert_close(again.rois(*places), psf.rois(*places))


def test_file_round_trip(tmp_path, spline):
    path = save_psf(tmp_path / "bead.psf.h5", spline)
    again = load_psf(path)
    assert isinstance(again, SplinePSF)
    assert again.config == spline.config
    assert torch.equal(again.coefficients, spline.coefficients)
    assert [file.name for file in tmp_path.iterdir()] == ["bead.psf.h5"]

    config = GaussianPSFConfig(depth_nm=321.0)
    assert load_psf(save_psf(path, GaussianPSF(config))).config == config


def test_failed_write_keeps_the_old_file(tmp_path, spline, monkeypatch):
    path = save_psf(tmp_path / "bead.psf.h5", spline)

    def broken():
        raise RuntimeError("no tensors")

    monkeypatch.setattr(spline, "tensors", broken)
    with pytest.raises(RuntimeError, match="no tensors"):
        save_psf(path, spline)
    assert [file.name for file in tmp_path.iterdir()] == ["bead.psf.h5"]
    assert isinstance(load_psf(path), SplinePSF)


def test_missing_folder_and_file(tmp_path, spline):
    with pytest.raises(PSFFileError, match="no such folder"):
        save_psf(tmp_path / "nowhere" / "a.h5", spline)
    with pytest.raises(PSFFileError, match=r"no such file; use .* astigmatism"):
        load_psf(tmp_path / "a.h5")


def test_foreign_and_damaged_files(tmp_path, spline):
    path = tmp_path / "a.h5"
    path.write_text("hello")
    with pytest.raises(PSFFileError, match="not a readable HDF5 file"):
        load_psf(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("locs", data=[1.0])
    with pytest.raises(PSFFileError, match="Picasso's coefficients, got locs"):
        load_psf(path)
    save_psf(path, spline)
    with h5py.File(path, "a") as file:
        del file["tensors/coefficients"]
    with pytest.raises(PSFFileError, match="needs the tensor coefficients"):
        load_psf(path)
    save_psf(path, spline)
    with h5py.File(path, "a") as file:
        file.attrs["config"] = '{"kind": "spline"}'
    with pytest.raises(PSFFileError, match="pixel_size_nm"):
        load_psf(path)
    with h5py.File(path, "a") as file:
        del file.attrs["config"]
    with pytest.raises(PSFFileError, match="damaged"):
        load_psf(path)


def test_settings_alone_are_a_psf(tmp_path):
    config = PRESETS["tetrapod-3um"].replace(na=1.3)
    save_yaml(config, tmp_path / "mine.yaml")
    assert load_psf(tmp_path / "mine.yaml").config == config
    (tmp_path / "mine.yaml").write_text("kind: vectorial\nna: 9\n")
    with pytest.raises(PSFFileError, match="na must be smaller"):
        load_psf(tmp_path / "mine.yaml")
