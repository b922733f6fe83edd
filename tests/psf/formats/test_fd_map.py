"""FD-DeepLoc's map of aberrations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.fd_map import read_fd_map
from napari_dilatedloc.psf.formats.vectorfit import from_li_lab
from napari_dilatedloc.psf.zernike import MODES_21

OPTICS = VectorialPSFConfig(wavelength_nm=680, zernike_nm=((2, 2, 70.0),))


@pytest.mark.parametrize("kind", ["old", "v7.3"])
def test_block_means_in_our_axes(layouts: Any, tmp_path: Path, kind: str) -> None:
    rows, columns = 100, 130
    y, x = np.mgrid[:rows, :columns].astype(float)
    table = np.zeros((rows, columns, 23))
    table[..., :21] = 0.01 * (1 + np.arange(21)) + 1e-4 * y[..., None] + 2e-4 * x[..., None]
    table[..., 21], table[..., 22] = 0.7, 0.6
    path = tmp_path / "aber_map.mat"
    if kind == "old":
        savemat(path, {"aber_map": table})
    else:
        layouts.write_v73(path, {"aber_map": table})
    config, values = read_fd_map(path, OPTICS, block_px=64)
    assert config.rows_px == (31.5, (64 + 99) / 2)
    assert config.columns_px == (31.5, 95.5, (128 + 129) / 2)
    assert config.optics.zernike_nm == ()
    assert (config.optics.blur_y_px, config.optics.blur_x_px) == pytest.approx((0.6, 0.7))
    # a map linear in y and x: a block's mean is its value in the middle
    for i, row in enumerate(config.rows_px):
        for j, column in enumerate(config.columns_px):
            waves = 0.01 * (1 + np.arange(21)) + 1e-4 * row + 2e-4 * column
            expected = from_li_lab(
                (n, m, 680 * w) for (n, m), w in zip(MODES_21, waves, strict=True)
            )
            assert config.modes == tuple((n, m) for n, m, _ in expected)
            np.testing.assert_allclose(values[i, j], [nm for *_, nm in expected], rtol=1e-5)


def test_one_sentence_for_broken_maps(tmp_path: Path) -> None:
    path = tmp_path / "aber_map.mat"
    savemat(path, {"aber_map": np.ones((4, 4, 21))})
    with pytest.raises(PSFFileError, match=r"shape \(rows, columns, 23\), got \(4, 4, 21\)"):
        read_fd_map(path, OPTICS)
    savemat(path, {"aber_map": np.ones((4, 4, 23))})
    with pytest.raises(PSFFileError, match="block_px must be at least 1, got 0"):
        read_fd_map(path, OPTICS, block_px=0)
