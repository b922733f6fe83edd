"""The part of MATLAB's version 7.3 files that tables need: HDF5 with a name and classes.

Axes are reversed: a column of n numbers is a dataset (1, n). Each dataset says its class; a struct
is a group; text is uint16, one letter a row; what is empty holds its sides instead. Settled from
files that MATLAB wrote.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

USER_BLOCK = 512
"""Bytes before the HDF5, where the file says what it is."""

_CLASSES = {"float64": "double", "float32": "single"}
_TITLE = "MATLAB 7.3 MAT-file, Platform: napari-dilatedloc, HDF5 schema 1.00 ."


def sign(path: Path) -> None:
    """Fill the user block of a closed file with what MATLAB looks for."""
    with path.open("r+b") as file:
        file.write(_TITLE.ljust(116).encode("ascii") + bytes(8) + b"\x00\x02IM")


def struct(parent: h5py.Group, name: str) -> h5py.Group:
    """New struct; `close_struct` ends it."""
    group = parent.create_group(name)
    group.attrs["MATLAB_class"] = np.bytes_("struct")
    return group


def close_struct(group: h5py.Group, fields: list[str]) -> None:
    """Say in which order a struct has its fields."""
    names = np.empty(len(fields), dtype=object)
    for number, field in enumerate(fields):
        names[number] = np.array(list(field), dtype="S1")
    letters = h5py.vlen_dtype(np.dtype("S1"))
    group.attrs.create("MATLAB_fields", names, dtype=letters)


def put_text(group: h5py.Group, name: str, text: str) -> None:
    """Write a row of letters."""
    letters = np.frombuffer(text.encode("utf-16-le"), dtype="<u2")
    dataset = group.create_dataset(name, data=letters.reshape(-1, 1))
    dataset.attrs["MATLAB_class"] = np.bytes_("char")
    dataset.attrs["MATLAB_int_decode"] = np.int32(2)


def put_row(group: h5py.Group, name: str, values: ArrayLike) -> None:
    """Write a row of doubles."""
    dataset = group.create_dataset(name, data=np.reshape(np.asarray(values, np.float64), (-1, 1)))
    mark(dataset)


def put_empty(group: h5py.Group, name: str) -> None:
    """Write a column without rows."""
    dataset = group.create_dataset(name, data=np.array([0, 1], dtype=np.uint64))
    dataset.attrs["MATLAB_class"] = np.bytes_("double")
    dataset.attrs["MATLAB_empty"] = np.uint8(1)


def mark(dataset: h5py.Dataset) -> None:
    """Say of which class the numbers of a dataset are."""
    name = dataset.dtype.name
    dataset.attrs["MATLAB_class"] = np.bytes_(_CLASSES.get(name, name))


def is_empty(dataset: h5py.Dataset) -> bool:
    """Tell what holds its sides instead of its numbers."""
    return "MATLAB_empty" in dataset.attrs


def text_of(dataset: h5py.Dataset) -> str:
    """Text of letters."""
    letters: NDArray[Any] = dataset[()].ravel().astype("<u2")
    return letters.tobytes().decode("utf-16-le", errors="replace")
