"""The right reader for each file, and one sentence for files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from scipy.io import savemat

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.read import read_foreign_psf
from napari_dilatedloc.psf.formats.smap import write_smap
from napari_dilatedloc.psf.gaussian import GaussianPSF

FIT = {
    "NA": 1.35, "refmed": 1.406, "refcov": 1.525, "refimm": 1.406, "lambda": 680.0,
    "pixelSizeX": 110.0, "pixelSizeY": 110.0, "sizeX": 27.0, "Npupil": 64.0, "psfrescale": 0.5,
    "aberrations": np.array([[2.0, 2.0, 70.0]]),
}  # fmt: skip
UIPSF = {
    "pixel_size": {"x": 0.11, "y": 0.11, "z": 0.05},
    "option": {
        "imaging": {
            "emission_wavelength": 0.68,
            "NA": 1.3,
            "RI": {"imm": 1.518, "med": 1.4, "cov": 1.52},
        },
        "model": {"pupilsize": 32},
    },
}


def smap(path: Path) -> None:
    write_smap(path, GaussianPSF(GaussianPSFConfig(roi_size=17, z_range_nm=(-200, 200))))


def vectorfit(path: Path) -> None:
    savemat(path, {"SXY": {"zernikefit": FIT}})


def picasso(path: Path) -> None:
    z_nm = np.linspace(-500, 500, 51)
    curves = [
        np.polyfit(z_nm, np.sqrt(1 + ((z_nm - f) / 400) ** 2), 6).tolist() for f in (200, -200)
    ]
    values = {"X Coefficients": curves[0], "Y Coefficients": curves[1]}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def decode(path: Path) -> None:
    smap(path.with_suffix(".mat"))
    values = {
        "Camera": {"baseline": 1, "e_per_adu": 1, "px_size": [100, 100]},
        "InOut": {"calibration_file": path.with_suffix(".mat").name},
    }
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def uipsf(path: Path, **res: Any) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["params"] = json.dumps(UIPSF)
        group = file.create_group("res")
        for name, value in res.items():
            group[name] = value
        file["rois/image_size"] = np.array([1, 10, 100, 120])


def uipsf_volume(path: Path) -> None:
    y, x = np.mgrid[:21, :21] - 10
    uipsf(path, I_model=np.tile(np.exp(-(y**2 + x**2) / 8), (9, 1, 1)))


def uipsf_zernike(path: Path) -> None:
    uipsf(path, zernike_coeff=np.eye(2, 21))


def uipsf_field(path: Path) -> None:
    uipsf(path, zernike_map=np.zeros((2, 21, 2, 2)))


@pytest.mark.parametrize(
    ("writer", "suffix", "kind"),
    [
        (smap, ".mat", "spline"),
        (vectorfit, ".mat", "vectorial"),
        (picasso, ".yaml", "gaussian"),
        (decode, ".yml", "spline"),
        (uipsf_volume, ".h5", "spline"),
        (uipsf_zernike, ".h5", "vectorial"),
        (uipsf_field, ".hdf5", "field"),
    ],
)
def test_picks_the_reader(tmp_path: Path, writer: Any, suffix: str, kind: str) -> None:
    path = tmp_path / f"file{suffix}"
    writer(path)
    psf = read_foreign_psf(path, pixel_size_nm=123)
    assert psf.config.kind == kind
    assert psf.config.pixel_size_nm == 123
    zero = torch.zeros(1, dtype=torch.float64)
    roi = psf.rois(zero, zero, zero)[0]
    assert 0.4 < float(roi.sum()) < 1.1
    assert int(roi.argmax()) == roi.numel() // 2


def test_a_spline_goes_before_a_fit(tmp_path: Path) -> None:
    path = tmp_path / "both.mat"
    coeff = np.zeros((12, 12, 3, 64))
    coeff[6, 6, :, 0] = 1  # one bright knot
    spline = {"coeff": coeff, "x0": 7.0, "z0": 1.0, "dz": 50.0}
    savemat(path, {"SXY": {"zernikefit": FIT, "cspline": spline}})
    psf = read_foreign_psf(path)
    assert psf.config.kind == "spline"
    assert psf.config.pixel_size_nm == 110


def test_one_sentence_for_unknown_content(tmp_path: Path) -> None:
    mat, h5, text = (tmp_path / f"file{suffix}" for suffix in (".mat", ".h5", ".yaml"))
    savemat(mat, {"saveloc": 1.0, "other": 2.0})
    with pytest.raises(PSFFileError, match=r"expected SXY, .* got other, saveloc; choose"):
        read_foreign_psf(mat)
    savemat(mat, {"mask": np.ones((40, 40))})
    with pytest.raises(PSFFileError, match=r"got a phase mask without optics \(mask\)"):
        read_foreign_psf(mat)
    savemat(mat, {"aber_map": np.ones((4, 4, 23))})
    with pytest.raises(PSFFileError, match="got a map of aberrations without optics"):
        read_foreign_psf(mat)
    with h5py.File(h5, "w") as file:
        file["locs"] = 1
        file.attrs["made"] = "elsewhere"
    with pytest.raises(PSFFileError, match="uiPSF's res or Picasso's coefficients, got locs, made"):
        read_foreign_psf(h5)
    h5.write_bytes(b"no HDF5")
    with pytest.raises(PSFFileError, match="is not a readable HDF5 file"):
        read_foreign_psf(h5)
    text.write_text("density: 3\n", encoding="utf-8")
    with pytest.raises(PSFFileError, match="X Coefficients or DECODE's Camera, got density"):
        read_foreign_psf(text)
    text.write_text("a: [1", encoding="utf-8")
    with pytest.raises(PSFFileError, match="is not a readable YAML file"):
        read_foreign_psf(text)
    with pytest.raises(PSFFileError, match="no such file"):
        read_foreign_psf(tmp_path / "absent.mat")
    (tmp_path / "psf.txt").touch()
    with pytest.raises(PSFFileError, match=r"ending in .mat, .h5, .hdf5, .yaml, .yml, got .txt"):
        read_foreign_psf(tmp_path / "psf.txt")
