"""What a ``_sml.mat`` holds, whichever version of MATLAB wrote it."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError, mat_struct

from napari_dilatedloc.io import matlab_hdf5, smap_columns
from napari_dilatedloc.io.columns import TableError

log = logging.getLogger(__name__)

NOTE = "dilatedloc"
"""Variable of ours: a text that SMAP does not look at."""

_V5 = b"MATLAB 5.0 MAT-file"
_UNREADABLE = (MatReadError, NotImplementedError, ValueError, TypeError, LookupError, zlib.error)
_MOVIE = ("cam_pixelsize_um", "roi", "Width", "Height", "numberOfFrames")


@dataclass(frozen=True)
class Found:
    """Content of a file that is open.

    Attributes
    ----------
    names : tuple of str
        Columns of numbers, one for each row.
    rows : int
        Number of rows.
    column : callable
        Values of a column in a slice of rows.
    movie : mapping
        Rows of numbers about the movie.
    note : mapping
        What this program wrote beside them.
    """

    names: tuple[str, ...]
    rows: int
    column: Callable[[str, slice], NDArray[Any]]
    movie: Mapping[str, NDArray[np.float64]]
    note: Mapping[str, Any]


def is_version_7(file: h5py.File) -> bool:
    """Tell a file of version 7.3 by the positions in it."""
    return all(f"saveloc/loc/{name}" in file for name in smap_columns.REQUIRED)


def is_version_5(path: Path) -> bool:
    """Tell an older file by its first bytes and the names of its variables."""
    with path.open("rb") as file:
        if file.read(len(_V5)) != _V5:
            return False
    try:
        return any(name == "saveloc" for name, *_ in whosmat(path))
    except _UNREADABLE:
        return False


@contextmanager
def opened(path: Path) -> Iterator[Found]:
    """Open a file of either version; an older one is read into memory at once."""
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            yield _in_hdf5(file, path)
    else:
        yield _in_version_5(path)


def _in_hdf5(file: h5py.File, path: Path) -> Found:
    loc = file["saveloc/loc"]
    if not is_version_7(file):
        raise TableError(f"{path.name} has no positions in saveloc.loc; save it again from SMAP")
    rows = _rows(loc["frame"])
    names = [name for name in loc if _is_column(loc[name], rows)]
    _tell(path, set(loc) - set(names))
    info = _first(file, file.get("saveloc/file"), "info")
    if info is None:  # as Picasso's export has it
        info = file.get("saveloc/info")
    movie = {
        name: np.asarray(info[name][()], np.float64).ravel()
        for name in _MOVIE
        if info is not None and name in info and not matlab_hdf5.is_empty(info[name])
    }
    note = matlab_hdf5.text_of(file[NOTE]) if NOTE in file else ""

    def column(name: str, part: slice) -> NDArray[Any]:
        dataset = loc[name]
        if not rows:
            return np.zeros(0)
        across = int(np.argmax(dataset.shape))
        return np.asarray(dataset[(0,) * across + (part,) + (0,) * (dataset.ndim - across - 1)])

    return Found(tuple(names), rows, column, movie, _said(note, path))


def _rows(dataset: h5py.Dataset) -> int:
    return 0 if matlab_hdf5.is_empty(dataset) else int(dataset.size)


def _is_column(item: Any, rows: int) -> bool:
    """Tell a column with a number for each row."""
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biuf":
        return False
    return _rows(item) == rows and (not rows or max(item.shape) == rows)


def _first(file: h5py.File, group: Any, name: str) -> Any:
    """Struct in a field, or the first of several."""
    item = None if group is None or name not in group else group[name]
    if isinstance(item, h5py.Dataset):
        item = file[item[()].ravel()[0]] if item.dtype == object else None
    return item


def _in_version_5(path: Path) -> Found:
    try:
        variables = loadmat(
            path, variable_names=["saveloc", NOTE], struct_as_record=False, squeeze_me=True
        )
        loc = variables["saveloc"].loc
        fields = {name: np.atleast_1d(getattr(loc, name)) for name in loc._fieldnames}
        rows = fields["frame"].size
    except (*_UNREADABLE, AttributeError) as error:
        raise TableError(
            f"{path.name} has no localizations of SMAP ({error}); save it again from SMAP"
        ) from error
    columns = {n: v.ravel() for n, v in fields.items() if v.dtype.kind in "biuf" and v.size == rows}
    _tell(path, set(fields) - set(columns))
    saveloc = variables["saveloc"]
    info = _field(_field(saveloc, "file"), "info")
    if info is None:  # as Picasso's export has it
        info = _field(saveloc, "info")
    movie = {}
    for name in _MOVIE:
        values = np.atleast_1d(_field(info, name))
        if values.dtype.kind in "biuf" and values.size:
            movie[name] = values.astype(np.float64).ravel()
    note = str(variables.get(NOTE, ""))
    return Found(
        tuple(columns), rows, lambda name, part: columns[name][part], movie, _said(note, path)
    )


def _field(holder: Any, name: str) -> Any:
    """Field of a struct, or of the first of several; None if there is none."""
    if isinstance(holder, np.ndarray) and holder.dtype == object and holder.size:
        holder = holder.ravel()[0]
    return getattr(holder, name, None) if isinstance(holder, mat_struct) else None


def _tell(path: Path, names: set[str]) -> None:
    for name in sorted(names):
        log.warning("%s: %s holds no number for each row and is left out", path.name, name)


def _said(note: str, path: Path) -> dict[str, Any]:
    try:
        said = json.loads(note or "{}")
    except ValueError:
        said = None
    if not isinstance(said, dict):
        log.warning("%s: the variable %s is not ours and is left out", path.name, NOTE)
        return {}
    return said
