"""Picasso's width polynomials and splines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml

from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.picasso import read_picasso_gaussian, read_picasso_spline

FRAMES, STEP_NM, FACTOR = 61, 20.0, 0.79


def widths(focus_nm: float, z_nm: Any) -> Any:
    return 1.1 * np.sqrt(1 + ((z_nm - focus_nm) / 350) ** 2)


def calibration(**changes: Any) -> dict[str, Any]:
    """As calibrate_z writes it: z of the stage falls from frame to frame."""
    z_nm = -(np.arange(FRAMES) * STEP_NM - (FRAMES - 1) * STEP_NM / 2)
    values = {
        "X Coefficients": np.polyfit(z_nm, widths(200, z_nm), 6).tolist(),
        "Y Coefficients": np.polyfit(z_nm, widths(-250, z_nm), 6).tolist(),
        "Number of frames": FRAMES,
        "Step size in nm": STEP_NM,
        "Magnification factor": FACTOR,
    }
    return {name: v for name, v in {**values, **changes}.items() if v is not None}


def write(path: Path, values: Any) -> Path:
    path.write_text(yaml.dump(values, default_flow_style=False), encoding="utf-8")
    return path


def test_gaussian_has_picassos_widths(tmp_path: Path) -> None:
    psf = read_picasso_gaussian(write(tmp_path / "c.yaml", calibration()), pixel_size_nm=130)
    assert psf.config.focus_x_nm == pytest.approx(200 * FACTOR, abs=3)
    assert psf.config.focus_y_nm == pytest.approx(-250 * FACTOR, abs=3)
    assert psf.config.depth_nm == pytest.approx(350 * FACTOR, rel=0.02)
    assert psf.config.sigma_nm == pytest.approx(1.1 * 130, rel=0.01)
    assert psf.config.z_range_nm == pytest.approx((-600 * FACTOR, 600 * FACTOR))
    z_nm = torch.linspace(-500 * FACTOR, 500 * FACTOR, 11, dtype=torch.float64)
    width_y, width_x = psf.widths(z_nm)
    np.testing.assert_allclose(width_x, widths(200, z_nm.numpy() / FACTOR), rtol=0.02)
    np.testing.assert_allclose(width_y, widths(-250, z_nm.numpy() / FACTOR), rtol=0.02)


def test_direction_and_repeated_frames(tmp_path: Path) -> None:
    values = calibration(**{"Number of frames": 2 * FRAMES, "Frames per step": 2})
    path = write(tmp_path / "c.yaml", values)
    psf = read_picasso_gaussian(path, pixel_size_nm=130, z_direction="down")
    assert psf.config.z_range_nm == pytest.approx((-600 * FACTOR, 600 * FACTOR))
    assert psf.config.focus_x_nm == pytest.approx(-200 * FACTOR, abs=3)


def test_old_files_without_the_stack(tmp_path: Path) -> None:
    names = ("Number of frames", "Step size in nm", "Magnification factor")
    path = write(tmp_path / "c.yaml", calibration(**dict.fromkeys(names)))
    psf = read_picasso_gaussian(path, pixel_size_nm=130)
    assert psf.config.z_range_nm == pytest.approx((-500, 500))
    assert psf.config.focus_x_nm == pytest.approx(200, abs=5)


def test_one_sentence_for_each_broken_calibration(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    bent = [0, 0, 0, 3e-8, 0, -0.01, 3.0]  # no waist
    cases = [
        (calibration(**{"X Coefficients": "none"}), "expected X Coefficients as a list"),
        (calibration(**{"Y Coefficients": bent}), r"misses by \d+% rms"),
        (calibration(**{"Y Coefficients": [0.0, 0, 0, 0, 0, 0, -1]}), "expected positive widths"),
        ([1, 2], "expected a calibration as one mapping, got list"),
    ]
    for values, message in cases:
        write(path, values)
        with pytest.raises(PSFFileError, match=message):
            read_picasso_gaussian(path, pixel_size_nm=130)
    write(path, calibration())
    with pytest.raises(PSFFileError, match="does not say how large a camera pixel is"):
        read_picasso_gaussian(path)
    path.write_text("a: [1", encoding="utf-8")
    with pytest.raises(PSFFileError, match="is not a readable YAML file"):
        read_picasso_gaussian(path, pixel_size_nm=130)


SIDE, SLICES, CENTRE = 27, 45, 20


def spline_file(path: Path, layouts: Any, **changes: Any) -> Path:
    """As calibrate_spline writes it: natural splines, x along the first axis of n_data, peak 1."""
    z_nm = -(np.arange(SLICES) - CENTRE) * 25.0 * FACTOR
    template = layouts.volume(z_nm, SIDE, (13, 13))
    peak = template[CENTRE].max()
    pieces = layouts.pieces(template / peak, ends="natural")  # z, y, x, pz, py, px
    metadata = {
        "model": "spline-3d",
        "n_data": [SIDE, SIDE, SLICES],
        "z_center": float(CENTRE),
        "z_step_nm": 25.0,
        "magnification_factor": FACTOR,
        "pixelsize": 117.0,
        "photon_scale": float(template[CENTRE].sum() / peak),
        **changes,
    }
    with h5py.File(path, "w") as file:
        nominal = (64, SIDE - 1, SIDE - 1, SLICES - 1)
        file["coefficients"] = pieces.astype(np.float32).reshape(nominal)
        file.attrs["metadata"] = json.dumps(metadata)
    return path


def test_spline_is_the_spot(layouts: Any, tmp_path: Path) -> None:
    path = spline_file(tmp_path / "c_spline_calib.hdf5", layouts)
    psf = read_picasso_spline(path)
    assert psf.config.pixel_size_nm == 117
    assert psf.config.z_step_nm == pytest.approx(25 * FACTOR)
    layouts.assert_is_spot(psf)
    layouts.assert_is_spot(read_picasso_spline(path, z_direction="down"), z_sign=-1)


def test_one_sentence_for_each_broken_spline(layouts: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.hdf5"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"model": "spline-3d-multichannel"}, "expected the model spline-3d .* calibrate one"),
        ({"n_data": [SIDE, SIDE, 9]}, r"expected \d+ coefficients for n_data"),
        ({"z_step_nm": 0.0}, "expected a positive z_step_nm, got 0.0"),
    ]
    for changes, message in cases:
        spline_file(path, layouts, **changes)
        with pytest.raises(PSFFileError, match=message):
            read_picasso_spline(path)
    with h5py.File(path, "w") as file:
        file["locs"] = 1
    with pytest.raises(PSFFileError, match=r"Picasso's dataset coefficients .* got locs"):
        read_picasso_spline(path)
    with h5py.File(path, "w") as file:
        file["coefficients"] = np.ones(3)
        file.attrs["metadata"] = "{broken"
    with pytest.raises(PSFFileError, match="expected JSON in metadata"):
        read_picasso_spline(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(PSFFileError, match="is not a readable HDF5 file"):
        read_picasso_spline(path)
