"""FD-DeepLoc's ``aber_map``: aberrations of every pixel of the chip.

A MATLAB file holds ``aber_map`` (rows, columns, 23): 21 Zernike coefficients in waves rms, in the
order of `zernike.MODES_21` and with the Li lab's axes (see `vectorfit`), and the blur along x and
along y, px. The optics are not in the file.

Settled from fd_deeploc_core/data_simulator.py and PSF_vector_gpu/_PSF_vector_gpu.py in
https://github.com/Li-Lab-SUSTech/FD-DeepLoc: the map is cut as [y, x] and shown as map * lambda
with the titles of its modes, its last two planes as IsigmaX and IsigmaY. That its simulator, a
compiled library, has the axes of the MATLAB code it comes from is assumed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_dilatedloc.config import FieldPSFConfig, VectorialPSFConfig
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.mat import array, load_mat
from napari_dilatedloc.psf.formats.vectorfit import from_li_lab
from napari_dilatedloc.psf.zernike import MODES_21

BLOCK_PX = 64


def read_fd_map(
    path: str | Path, optics: VectorialPSFConfig, *, block_px: int = BLOCK_PX
) -> tuple[FieldPSFConfig, Tensor]:
    """Coarse grid of a map, for `build.build_psf`.

    Parameters
    ----------
    path : str or Path
        MATLAB file with ``aber_map``.
    optics : VectorialPSFConfig
        The optics the map was fitted with; its coefficients and blur are replaced, the blur by the
        map's mean.
    block_px : int
        Side of the squares whose mean becomes a node, px.

    Returns
    -------
    config : FieldPSFConfig
        Nodes in the middle of the squares, chip px.
    zernike_nm : Tensor (rows, columns, 21)
        Coefficients, nm rms, float32.
    """
    variables = load_mat(path)
    table = array(variables.get("aber_map"))
    if table is None or table.ndim != 3 or table.shape[2] != len(MODES_21) + 2:
        raise PSFFileError(
            f"{path}: expected aber_map of shape (rows, columns, 23), got "
            f"{None if table is None else table.shape} among {', '.join(variables) or 'nothing'}; "
            "choose another file"
        )
    if block_px < 1:
        raise PSFFileError(f"block_px must be at least 1, got {block_px}; use 64")
    nodes, rows, columns = _block_means(table, block_px)
    turned = from_li_lab((n, m, 1.0) for n, m in MODES_21)
    signs = np.array([size for _, _, size in turned])
    values = nodes[..., : len(MODES_21)] * (signs * optics.wavelength_nm)
    blur_x_px, blur_y_px = nodes[..., -2:].mean(axis=(0, 1))
    config = FieldPSFConfig(
        optics=optics.replace(
            zernike_nm=(), blur_y_px=float(blur_y_px), blur_x_px=float(blur_x_px)
        ),
        modes=tuple((n, m) for n, m, _ in turned),
        rows_px=tuple(rows),
        columns_px=tuple(columns),
    )
    return config, torch.from_numpy(values.astype(np.float32))


def _block_means(
    table: NDArray[np.float64], block_px: int
) -> tuple[NDArray[np.float64], list[float], list[float]]:
    """Means over squares, and where their middles are; the last ones may be smaller."""
    sides = table.shape[:2]
    starts = [np.arange(0, side, block_px) for side in sides]
    ends = [np.append(first[1:], side) for first, side in zip(starts, sides, strict=True)]
    middles = [((a + b - 1) / 2).tolist() for a, b in zip(starts, ends, strict=True)]
    sums = np.add.reduceat(np.add.reduceat(table, starts[0], axis=0), starts[1], axis=1)
    counts = np.outer(ends[0] - starts[0], ends[1] - starts[1])
    return sums / counts[..., None], middles[0], middles[1]
