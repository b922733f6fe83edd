"""MATLAB files of both kinds as plain dicts, lists and arrays.

A file up to version 7 is read by scipy, a file of version 7.3 is HDF5 with all axes reversed (h5py
sees MATLAB's first axis last); both come out alike, in MATLAB's axis order. Structs become dicts,
struct arrays lists of dicts, cells lists, text str; what is none of these (function handles,
objects) becomes None.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError, mat_struct

from napari_dilatedloc.psf.formats.errors import PSFFileError

Value: TypeAlias = Any
"""dict, list, array, str or None."""

_UNREADABLE = (
    MatReadError,
    NotImplementedError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    zlib.error,
)
"""What scipy raises for files that are none of MATLAB's, or cut off."""


def load_mat(path: str | Path) -> dict[str, Value]:
    """All variables of a MATLAB file by name.

    Raises
    ------
    PSFFileError
        If the file is not a MATLAB file.
    """
    path = Path(path)
    if not path.is_file():
        raise PSFFileError(f"no such file: {path}; check the path")
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            return {name: _from_h5(file, file[name]) for name in file if not name.startswith("#")}
    try:
        variables = loadmat(path, struct_as_record=False, squeeze_me=False)
    except _UNREADABLE as error:
        raise PSFFileError(
            f"{path} is not a MATLAB file ({error}); save it again with save(...)"
        ) from error
    return {name: _plain(v) for name, v in variables.items() if not name.startswith("__")}


def _plain(value: Any) -> Value:
    """One value as scipy gives it."""
    if isinstance(value, mat_struct):
        return {name: _plain(getattr(value, name)) for name in vars(value) if name != "_fieldnames"}
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype.kind in "US":
        return str(value.ravel()[0]) if value.size else ""
    if value.dtype.kind != "O":
        return value if value.dtype.names is None else None
    items = [_plain(item) for item in value.ravel(order="F")]
    is_struct = value.size > 0 and isinstance(value.ravel()[0], mat_struct)
    return items[0] if is_struct and len(items) == 1 else items


def _from_h5(file: h5py.File, item: h5py.Group | h5py.Dataset) -> Value:
    """One value of a version 7.3 file."""
    if isinstance(item, h5py.Group):
        return _struct(file, item)
    kind = _kind(item)
    if item.attrs.get("MATLAB_empty", 0):
        return {"char": "", "cell": []}.get(kind, np.empty(tuple(item[()].ravel().astype(int))))
    if item.dtype == h5py.ref_dtype:
        return [_from_h5(file, file[ref]) for ref in item[()].ravel()]
    if kind == "char":
        return "".join(chr(code) for code in item[()].T.ravel(order="F"))
    return np.transpose(item[()]) if item.dtype.kind in "biuf" else None


def _struct(file: h5py.File, group: h5py.Group) -> Value:
    """Struct, or list of structs if every field is a list of references that is no cell."""
    fields = {name: group[name] for name in group}
    is_array = bool(fields) and all(
        isinstance(item, h5py.Dataset) and item.dtype == h5py.ref_dtype and not _kind(item)
        for item in fields.values()
    )
    values = {name: _from_h5(file, item) for name, item in fields.items()}
    if not is_array:
        return values
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _kind(item: h5py.Dataset) -> str:
    """MATLAB class of a value, empty if it has none (the references of a struct array)."""
    kind = item.attrs.get("MATLAB_class", b"")
    return kind.decode() if isinstance(kind, bytes) else str(kind)


def number(value: Value) -> float | None:
    """First number of a value; None if there is none."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "biuf":
        return float(value.ravel()[0])
    return None


def array(value: Value) -> NDArray[np.float64] | None:
    """A numeric array as float64; None if the value is something else or empty."""
    if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "biuf":
        return np.asarray(value, dtype=np.float64)
    return None


def child(value: Value, *names: str) -> Value:
    """Field of a struct by its path; None where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
