"""A PSF with no symmetry at all, and files laid out as other programs lay them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Array = NDArray[np.float64]
Spot = Callable[[Any, Any, Any], Array]


def spot(z_nm: Any, y: Any, x: Any) -> Array:
    """Density at (y, x) px from the emitter: narrow in x above the focus, in y below it, with a
    lobe below and to the left that wanders down with z; one photon in all."""
    z_nm, y, x = np.broadcast_arrays(z_nm, y, x)
    width_y = 1.6 * np.sqrt(1 + ((z_nm + 200) / 400) ** 2)
    width_x = 1.6 * np.sqrt(1 + ((z_nm - 200) / 400) ** 2)
    main = np.exp(-0.5 * ((y / width_y) ** 2 + (x / width_x) ** 2)) / (
        2 * np.pi * width_y * width_x
    )
    lobe_y, lobe_x = y - 2.5 - z_nm / 400, x + 1.5
    lobe = np.exp(-0.5 * (lobe_y**2 + lobe_x**2) / 1.5**2) / (2 * np.pi * 1.5**2)
    return 0.8 * main + 0.2 * lobe


def volume(z_nm: Array, side: int, centre: tuple[int, int]) -> Array:
    """(Z, side, side) images of an emitter at `centre`."""
    pixels = np.arange(side, dtype=float)
    return spot(
        z_nm[:, None, None], pixels[:, None] - centre[0], (pixels - centre[1])[None, None, :]
    )


def pieces(values: Array, ends: str = "not-a-knot") -> Array:
    """Cubic pieces (Z - 1, Y - 1, X - 1, pz, py, px) through knots, by scipy's splines."""
    for axis in range(3):
        spline = CubicSpline(np.arange(values.shape[axis]), values, axis=axis, bc_type=ends)
        powers = spline.c[::-1]  # power of t, interval, the other axes
        values = np.moveaxis(powers, (1, 0), (axis, -1))
    return values


def assert_is_spot(psf: Any, z_sign: int = 1, tolerance: float = 2e-3) -> None:
    """The ROI of random emitters is the spot there, within `tolerance` of its peak."""
    random = np.random.default_rng(1)
    half_z = 300.0
    z_nm = random.uniform(-half_z, half_z, 30)
    y, x = random.uniform(-0.5, 0.5, (2, 30))
    rois = psf.rois(*(torch.from_numpy(value) for value in (z_nm, y, x))).numpy()
    pixels = np.arange(psf.config.roi_size) - psf.config.roi_size // 2
    expected = spot(
        z_sign * z_nm[:, None, None],
        pixels[:, None] - y[:, None, None],
        pixels - x[:, None, None],
    )
    np.testing.assert_allclose(rois, expected, atol=tolerance * expected.max(), rtol=0)


def write_v73(path: Path, variables: dict[str, Any]) -> Path:
    """MATLAB file of version 7.3: HDF5 with a user block, axes reversed, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            _put(file, file, name, value)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + b"\0" * 8 + b"\x00\x02IM")
    return path


def _put(file: h5py.File, group: h5py.Group, name: str, value: Any) -> None:
    if isinstance(value, dict):
        made = group.create_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, item in value.items():
            _put(file, made, key, item)
        return
    if isinstance(value, tuple):  # struct array: each field a list of references without class
        made = group.create_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        for key in value[0]:
            made.create_dataset(key, data=_references(file, [item[key] for item in value]))
        return
    if isinstance(value, list):
        kind, data = "cell", _references(file, value)
    elif isinstance(value, str):
        kind, data = "char", np.array([[ord(letter)] for letter in value], dtype=np.uint16)
    else:
        data = np.atleast_2d(value).T
        kind = "single" if data.dtype == np.float32 else "double"
    dataset = group.create_dataset(name, data=data)
    dataset.attrs["MATLAB_class"] = np.bytes_(kind)


def _references(file: h5py.File, values: list[Any]) -> NDArray[Any]:
    refs = file.require_group("#refs#")
    made = np.empty((len(values), 1), dtype=h5py.ref_dtype)
    for index, value in enumerate(values):
        name = f"r{len(refs)}"
        _put(file, refs, name, value)
        made[index, 0] = refs[name].ref
    return made


def cell(*values: Any) -> NDArray[Any]:
    """MATLAB cell for scipy's savemat."""
    made = np.empty((1, len(values)), dtype=object)
    for index, value in enumerate(values):
        made[0, index] = value
    return made


class Layouts:
    """The helpers of this file, since test modules cannot import each other's files."""

    spot = staticmethod(spot)
    volume = staticmethod(volume)
    pieces = staticmethod(pieces)
    assert_is_spot = staticmethod(assert_is_spot)
    write_v73 = staticmethod(write_v73)
    cell = staticmethod(cell)


@pytest.fixture(scope="session")
def layouts() -> type[Layouts]:
    return Layouts
