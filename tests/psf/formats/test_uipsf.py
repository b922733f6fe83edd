"""uiPSF's files against its own model, written out here."""

from __future__ import annotations

import json
from math import factorial, pi, sqrt
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_dilatedloc.psf.field import FieldPSF
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.uipsf import (
    read_uipsf_field,
    read_uipsf_volume,
    read_uipsf_zernike,
)
from napari_dilatedloc.psf.vectorial import VectorialPSF

Array = NDArray[np.float64]
SIDE, SLICES, STEP_UM, PIXEL_UM, NA, WAVE_UM = 27, 21, 0.05, 0.11, 1.1, 0.68


def params(**changes: Any) -> dict[str, Any]:
    index = changes.pop("RI", {"imm": 1.518, "med": 1.518, "cov": 1.518})
    return {
        "PSFtype": "zernike_vector",
        "datatype": "bead",
        "swapxy": False,
        "pixel_size": {"x": PIXEL_UM, "y": PIXEL_UM, "z": STEP_UM},
        "option": {
            "imaging": {"emission_wavelength": WAVE_UM, "NA": NA, "RI": index},
            "model": {"pupilsize": 64},
        },
        **changes,
    }


def write(path: Path, settings: dict[str, Any], **groups: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["params"] = json.dumps(settings)
        for name, values in groups.items():
            group = file.create_group(name)
            for key, value in values.items():
                group[key] = value
    return path


def noll(index: int) -> tuple[int, int]:
    """Their noll2nl, from 1."""
    n = int(np.ceil((-3 + sqrt(1 + 8 * index)) / 2))
    m = index - n * (n + 1) // 2 - 1
    m += n % 2 != m % 2
    return n, -m if index % 2 else m


def polynomial(n: int, m: int, rho: Array, phi: Array) -> Array:
    size = abs(m)
    radial = sum(
        (-1) ** k * factorial(n - k) * rho ** (n - 2 * k)
        / (factorial(k) * factorial((n + size) // 2 - k) * factorial((n - size) // 2 - k))
        for k in range((n - size) // 2 + 1)
    )  # fmt: skip
    norm = sqrt(n + 1) if m == 0 else sqrt(2 * n + 2)
    return norm * radial * (np.sin(size * phi) if m < 0 else np.cos(size * phi))


def images(phases: Array, kz_um: list[tuple[float, float]], indices: tuple[float, float]) -> Array:
    """(len(kz_um), SIDE, SIDE): sum of exp(i phase) exp(i (kz_med a + kz_imm b)) exp(+i k.r) for
    (a, b) in um; x of the pupil along columns. The magnitude is apodization only."""
    count = 64
    grid = (np.arange(count) - (count - 1) / 2) * 2 / count
    x, y = np.meshgrid(grid, grid)
    rho, phi = np.hypot(x, y), np.arctan2(y, x)
    phase = sum(c * polynomial(*noll(i + 1), rho, phi) for i, c in enumerate(phases))
    k = 2 * pi / WAVE_UM
    cos_med, cos_imm = (np.sqrt(1 - (rho * NA / n) ** 2 + 0j) for n in indices)
    p = np.array([cos_med * np.cos(phi), cos_med * np.sin(phi), -rho * NA / indices[0] + 0j])
    s = np.array([-np.sin(phi), np.cos(phi), 0 * phi])
    fields = np.concatenate([np.cos(phi) * p - np.sin(phi) * s, np.sin(phi) * p + np.cos(phi) * s])
    pupil = (rho < 1) / np.sqrt(cos_med) * np.exp(1j * phase) * fields
    pixels = (np.arange(5 * SIDE) - (5 * SIDE - 1) / 2) / 5 * PIXEL_UM  # 5 samples along a pixel
    wave = np.exp(1j * k * NA * pixels[:, None] * grid)
    made = []
    for medium, immersion in kz_um:
        defocus = k * (indices[0] * cos_med * medium + indices[1] * cos_imm * immersion)
        image = np.sum(np.abs(wave @ (pupil * np.exp(1j * defocus)) @ wave.T) ** 2, axis=0)
        made.append(image.reshape(SIDE, 5, SIDE, 5).mean(axis=(1, 3)))
    return np.array(made)


PHASES = np.zeros(21)
PHASES[[4, 5, 6, 7, 8, 10, 13, 15]] = 0.4, -0.5, 0.3, 0.2, -0.25, 0.15, 0.2, 0.1
MAGNITUDE = np.eye(1, 21)[0]


def bead_model(phases: Array = PHASES) -> Array:
    """I_model as uiPSF makes it: phase +kz for growing slices."""
    heights = (np.arange(SLICES) - (SLICES - 1) / 2) * STEP_UM
    return images(phases, [(0.0, height) for height in heights], (1.518, 1.518))


def unit(values: Array) -> Array:
    return values / values.sum(axis=(-1, -2), keepdims=True)


def rois(psf: Any, z_nm: Array, place: Any = None) -> Array:
    z = torch.as_tensor(z_nm, dtype=torch.float64)
    return psf.rois(z, 0 * z, 0 * z, place).numpy()


@pytest.fixture
def bead(tmp_path: Path) -> Path:
    res = {
        "I_model": bead_model(),
        "zernike_coeff": np.stack([MAGNITUDE, PHASES]),
        "sigma": np.array([0.0, 0.0]),
    }
    return write(tmp_path / "psf.h5", params(), res=res)


def test_bead_coefficients_give_the_learned_volume(bead: Path) -> None:
    config = read_uipsf_zernike(bead)
    assert config.roi_size == SIDE
    assert config.z_range_nm == pytest.approx((-500, 500))
    assert (config.na, config.n_pupil, config.pixel_size_nm) == (NA, 64, pytest.approx(110))
    z_nm = -(np.arange(SLICES) - 10) * 50.0  # z falls with the slices of a bead stack
    expected = unit(bead_model())
    got = unit(rois(VectorialPSF(config), z_nm))
    np.testing.assert_allclose(got, expected, atol=0.02 * expected.max(), rtol=0)
    turned = unit(rois(VectorialPSF(config), -z_nm))
    assert np.abs(turned - expected).max() > 0.2 * expected.max()


def test_volume_and_coefficients_agree(bead: Path) -> None:
    z_nm = np.linspace(-400, 400, 9)
    for direction in ("up", "down"):
        spline = unit(rois(read_uipsf_volume(bead, z_direction=direction), z_nm))
        vector = VectorialPSF(read_uipsf_zernike(bead, z_direction=direction))
        expected = unit(rois(vector, z_nm)[:, 2:-2, 2:-2])
        np.testing.assert_allclose(spline, expected, atol=0.03 * expected.max(), rtol=0)


def test_transposed_images_are_turned_back(tmp_path: Path) -> None:
    res = {
        "I_model": bead_model(),
        "zernike_coeff": np.stack([MAGNITUDE, PHASES]),
        "sigma": np.array([0.3, 0.6]),
    }
    path = write(tmp_path / "psf.h5", params(swapxy=True), res=res)
    config = read_uipsf_zernike(path)
    assert (config.blur_y_px, config.blur_x_px) == (0.6, 0.3)
    z_nm = -(np.arange(SLICES) - 10) * 50.0
    expected = unit(bead_model().transpose(0, 2, 1))
    sharp = config.replace(blur_y_px=0, blur_x_px=0)
    got = unit(rois(VectorialPSF(sharp), z_nm))
    np.testing.assert_allclose(got, expected, atol=0.02 * expected.max(), rtol=0)
    volume = unit(rois(read_uipsf_volume(path), z_nm[2:-2]))
    cut = unit(expected[2:-2, 2:-2, 2:-2])
    np.testing.assert_allclose(volume, cut, atol=0.02 * cut.max(), rtol=0)


def test_in_situ_model_counts_from_the_cover_slip(tmp_path: Path) -> None:
    medium, immersion, stage_um, first = 1.35, 1.518, 0.9, 6
    heights = [((first + k) * STEP_UM, -stage_um) for k in range(SLICES)]
    model = images(PHASES, heights, (medium, immersion))
    res = {
        "I_model": model,
        "zernike_coeff": np.stack([MAGNITUDE, PHASES]),
        "sigma": np.array([0.0, 0.0]),
        "stagepos": np.array([stage_um]),
        "zoffset": np.array([[first + 0j]]),
    }
    settings = params(
        PSFtype="insitu_zernike",
        datatype="smlm",
        RI={"imm": immersion, "med": medium, "cov": immersion},
    )
    path = write(tmp_path / "insitu.h5", settings, res=res)
    config = read_uipsf_zernike(path)
    assert config.depth_nm == pytest.approx(900 * medium / immersion)
    z_nm = (first + np.arange(SLICES)) * 50.0 - config.depth_nm
    expected = unit(model)
    got = unit(rois(VectorialPSF(config), z_nm))
    # their reference leaves out the layers' transmission here, ours has it
    np.testing.assert_allclose(got, expected, atol=0.04 * expected.max(), rtol=0)
    spline = read_uipsf_volume(path)
    assert spline.config.z_min_nm == pytest.approx(z_nm[0])
    cut = unit(expected[:, 2:-2, 2:-2])
    np.testing.assert_allclose(unit(rois(spline, z_nm)), cut, atol=0.01 * cut.max(), rtol=0)


def test_map_over_the_chip(tmp_path: Path) -> None:
    rows, columns = 3, 4
    table = np.zeros((2, 21, rows, columns))
    table[0, 0] = 1
    table[1] = PHASES[:, None, None]
    table[1, 7] += 0.1 * np.arange(rows)[:, None]  # coma along x grows down the chip
    table[1, 5] += 0.05 * np.arange(columns)
    res = {"zernike_map": table, "I_model_bead": np.zeros((3, 5, 5))}
    path = write(
        tmp_path / "fd.h5",
        params(PSFtype="zernike_vector_FD"),
        res=res,
        rois={"image_size": np.array([2, 51, 300, 450])},
    )
    config, values = read_uipsf_field(path)
    assert config.rows_px == (0, 150, 300)
    assert config.columns_px == (0, 150, 300, 450)
    psf = FieldPSF(config, values)
    node = torch.tensor([[300.0, 150.0]], dtype=torch.float64)
    z_nm = np.array([250.0])
    got = unit(rois(psf, z_nm, node))[0]
    local = table[1, :, 2, 1]
    side = (config.roi_size - SIDE) // 2
    height = -z_nm[0] / 1000  # slices grow while z falls
    expected = unit(images(local, [(0.0, height)], (1.518, 1.518)))[0]
    got = got[side : side + SIDE, side : side + SIDE] if side else got
    blurred = read_uipsf_field(path)[0].optics
    assert (blurred.blur_y_px, blurred.blur_x_px) == (0.5, 0.5)
    sharp = FieldPSF(config.replace(optics=config.optics.replace(blur_y_px=0, blur_x_px=0)), values)
    got = unit(rois(sharp, z_nm, node)[0][side : side + SIDE, side : side + SIDE])
    np.testing.assert_allclose(got, expected, atol=0.02 * expected.max(), rtol=0)


def test_spline_pieces_stand_in_for_the_volume(layouts: Any, tmp_path: Path) -> None:
    z_nm = -(np.arange(SLICES) - (SLICES - 1) / 2) * 50.0
    pieces = layouts.pieces(layouts.volume(z_nm, SIDE, (13, 13)))
    coeff = np.empty((64, *pieces.shape[:3]), dtype=np.float32)
    for pz in range(4):
        for py in range(4):
            for px in range(4):
                coeff[16 * pz + 4 * py + px] = pieces[..., pz, py, px]
    path = write(
        tmp_path / "voxel.h5", params(PSFtype="voxel"), res={"bg": 1.0}, locres={"coeff": coeff}
    )
    layouts.assert_is_spot(read_uipsf_volume(path))


def test_volume_is_scaled_to_photons(layouts: Any, tmp_path: Path) -> None:
    z_nm = -(np.arange(SLICES) - (SLICES - 1) / 2) * 50.0
    model = 7000 * layouts.volume(z_nm, SIDE, (13, 13)) + 12
    path = write(tmp_path / "voxel.h5", params(PSFtype="voxel"), res={"I_model": model})
    layouts.assert_is_spot(read_uipsf_volume(path), tolerance=5e-3)


def test_one_sentence_for_each_broken_file(bead: Path, tmp_path: Path) -> None:
    with pytest.raises(PSFFileError, match=r"res/zernike_map .* it is not field-dependent"):
        read_uipsf_field(bead)
    path = tmp_path / "broken.h5"
    write(path, params(), res={"I_model": np.ones((3, 4))})
    with pytest.raises(PSFFileError, match=r"res/I_model \(Z, Y, X\) or locres/coeff"):
        read_uipsf_volume(path)
    with pytest.raises(PSFFileError, match=r"res/zernike_coeff of shape \(2, N\), got None"):
        read_uipsf_zernike(path)
    write(path, params(), res={"channel0": 1.0, "channel1": 2.0})
    with pytest.raises(PSFFileError, match="a PSF of one channel, got channel0, channel1"):
        read_uipsf_volume(path)
    write(path, params(), other={})
    with pytest.raises(PSFFileError, match="uiPSF's group res and attribute params, got groups ot"):
        read_uipsf_volume(path)
    size = {"x": 0.127, "y": 0.116, "z": 0.05}
    write(path, params(pixel_size=size), res={"I_model": bead_model()})
    with pytest.raises(PSFFileError, match="expected square pixels, got 127 x 116 nm"):
        read_uipsf_volume(path)
    write(path, params(pixel_size={"x": 0.1, "y": 0.1}), res={"I_model": bead_model()})
    with pytest.raises(PSFFileError, match=r"the number pixel_size.z in params, got None"):
        read_uipsf_volume(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(PSFFileError, match="is not a readable HDF5 file"):
        read_uipsf_volume(path)


def test_uneven_magnitude_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    uneven = MAGNITUDE.copy()
    uneven[10] = 0.2
    res = {"zernike_coeff": np.stack([uneven, PHASES])}
    read_uipsf_zernike(write(tmp_path / "psf.h5", params(), res=res))
    assert "magnitude varies by 20%; left out" in caplog.text
