"""Phase masks, with the real tetrapod mask of DeepSTORM3D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.mask import pupil_of_mask, read_phase_mask

RANDOM = np.random.default_rng(0).uniform(-3, 3, (40, 40))


def test_real_mask_has_its_rim_where_light_ends(data_dir: Path) -> None:
    phase = read_phase_mask(data_dir / "tetrapod-real" / "mask_tetrapod_printed.mat")
    assert phase.shape == (203, 203)
    assert np.abs(phase).max() <= np.pi
    radius = np.hypot(*(np.mgrid[:203, :203] - 101))
    # the mask ends at the light of water (n 1.33) of an objective of NA 1.45
    rim = 203 * 1.33 * 110 / 670
    assert np.all(phase[radius > rim + 1] == 0)
    assert np.mean(phase[radius < rim - 1] == 0) < 0.01
    pupil = pupil_of_mask(phase, na=1.33, wavelength_nm=670, pixel_size_nm=110, n_pupil=64)
    assert pupil.shape == (2, 64, 64)
    y, x = (np.mgrid[:64, :64] - 31.5) / 32
    inside = np.hypot(y, x) < 1
    assert np.mean(pupil[1].numpy()[inside] == 0) < 0.01
    # the phase at the same place of the pupil, up to the samples' distance
    row, column = 101 + round(y[40, 20] * rim), 101 + round(x[40, 20] * rim)
    nearest = phase[row - 1 : row + 2, column - 1 : column + 2]
    assert np.abs(np.exp(1j * nearest) - np.exp(1j * float(pupil[1, 40, 20]))).min() < 0.3


def test_takes_the_square_matrix_and_turns_it(tmp_path: Path) -> None:
    path = tmp_path / "mask.mat"
    savemat(path, {"first": 1.0, "name": "text", "flat": np.ones((40, 30)), "mask": RANDOM})
    np.testing.assert_array_equal(read_phase_mask(path), RANDOM[::-1, ::-1])
    savemat(path, {"mask": np.exp(1j * RANDOM)})
    np.testing.assert_allclose(read_phase_mask(path), RANDOM[::-1, ::-1], atol=1e-12)


def test_pupil_is_cut_at_the_rim() -> None:
    side = 101
    y, x = np.mgrid[:side, :side] - 50.0
    radius = side * 1.2 * 100 / 500
    ramp = 2 * x / radius + 1 * y / radius
    wrapped = np.angle(np.exp(1j * ramp))
    pupil = pupil_of_mask(wrapped, na=1.2, wavelength_nm=500, pixel_size_nm=100, n_pupil=32)
    places = (np.arange(32) - 15.5) / 16
    expected = 2 * places[None, :] + places[:, None]
    np.testing.assert_allclose(np.exp(1j * pupil[1].numpy()), np.exp(1j * expected), atol=0.01)
    assert np.all(pupil[0].numpy() == 1)


def test_one_sentence_for_each_broken_mask(tmp_path: Path) -> None:
    path = tmp_path / "mask.mat"
    savemat(path, {"a": RANDOM, "b": RANDOM})
    with pytest.raises(PSFFileError, match=r"one square matrix of phases, got a \(40, 40\), b"):
        read_phase_mask(path)
    np.testing.assert_array_equal(read_phase_mask(path, name="b"), RANDOM[::-1, ::-1])
    with pytest.raises(PSFFileError, match="the square matrix c, got a"):
        read_phase_mask(path, name="c")
    savemat(path, {"a": 1.0})
    with pytest.raises(PSFFileError, match="got none; give the name"):
        read_phase_mask(path)
    with pytest.raises(PSFFileError, match=r"got a radius of 58.0 samples"):
        pupil_of_mask(RANDOM, na=1.45, wavelength_nm=500, pixel_size_nm=500, n_pupil=32)
