"""Picasso HDF5 with its YAML: px from the centre of the first pixel, z in nm, frames from 0."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.lib.recfunctions import repack_fields
from numpy.typing import NDArray

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io.columns import TableError
from napari_dilatedloc.io.rows import PIECE_ROWS, append, extendable
from napari_dilatedloc.table import Localizations, TableInfo

log = logging.getLogger(__name__)

OURS_TO_PICASSO = {
    "frame": "frame",
    "x": "x",
    "y": "y",
    "z_nm": "z",
    "photons": "photons",
    "bg": "bg",
    "sigma_x": "lpx",
    "sigma_y": "lpy",
    "sigma_z_nm": "lpz",
    "prob": "prob",  # ours, as is the next; Picasso keeps and filters any further column
    "sigma_photons": "sigma_photons",
}
REQUIRED = ("frame", "x", "y", "lpx", "lpy")
_UNKNOWN_PRECISION_PX = 1.0


class _Loader(yaml.SafeLoader):
    """Safe loader that reads the Python tags of old Picasso files as nothing."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def is_file(file: h5py.File) -> bool:
    """Tell Picasso's file by its table `locs`."""
    locs = file.get("locs")
    return isinstance(locs, h5py.Dataset) and {"frame", "x", "y"} <= set(locs.dtype.names or ())


def read(path: Path, pixel_size_nm: float | None) -> tuple[Localizations, TableInfo]:
    """Read ``/locs``; the metadata come from the YAML beside it or from ``/metadata``."""
    with h5py.File(path, "r") as file:
        if not is_file(file):
            raise TableError(f"{path.name} has no table /locs with frame, x and y; open another")
        locs = file["locs"][()]
        embedded = file["metadata"][()] if "metadata" in file else None
    columns = {
        ours: locs[foreign]
        for ours, foreign in OURS_TO_PICASSO.items()
        if foreign in locs.dtype.names
    }
    metadata = _metadata(path, embedded)
    size = metadata.get("Pixelsize") if pixel_size_nm is None else pixel_size_nm
    try:
        size = float(size)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise TableError(
            f"{path.name} has no Pixelsize in its metadata (is its .yaml beside it?); give "
            "pixel_size_nm, the camera pixel in nm"
        ) from error
    shape = (metadata.get("Height"), metadata.get("Width"))
    frames = metadata.get("Frames")
    return Localizations.from_columns(**columns), TableInfo(
        pixel_size_nm=size,
        shape=None if None in shape else (int(shape[0]), int(shape[1])),  # type: ignore[arg-type]
        n_frames=None if frames is None else int(frames),
    )


def files(path: Path) -> list[Path]:
    """Files of a table: HDF5 and the YAML beside it."""
    return [path, path.with_suffix(".yaml")]


@contextmanager
def writing(path: Path, info: TableInfo) -> Iterator[_Writer]:
    """Write HDF5 and YAML; Picasso up to 0.10 needs the latter, later ones read ``/metadata``.

    Columns with unknown values are left out, since Picasso drops rows with NaN. It cannot do
    without `lpx` and `lpy`: unknown ones are written as 1 px, with a warning.
    """
    locs, sidecar = files(path)
    with replacing(locs) as temporary, replacing(sidecar) as temporary_yaml:
        with h5py.File(temporary, "w") as file:
            writer = _Writer(file)
            yield writer
            documents = [writer.document(info)]
            file.create_dataset("metadata", data=json.dumps(documents))
        if writer.spoilt:
            _leave_out(temporary, writer.spoilt)
        temporary_yaml.write_text(
            yaml.safe_dump_all(documents, default_flow_style=False), encoding="utf-8"
        )
    if writer.imprecise:
        log.warning(
            "%s: %d localizations without precision get lpx = lpy = %g px",
            path.name,
            writer.imprecise,
            _UNKNOWN_PRECISION_PX,
        )


class _Writer:
    """Begins with the columns known in the first piece; a later one may spoil some of them.

    Attributes
    ----------
    spoilt : set of str
        Columns written that turned out to have unknown values.
    imprecise : int
        Rows without precision.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._locs: h5py.Dataset | None = None
        self._extent = {"y": 1, "x": 1, "frame": 1}
        self.spoilt: set[str] = set()
        self.imprecise = 0

    def add(self, piece: Localizations, *, last: bool) -> None:
        table = self._with_precision(piece)
        for name, extent in self._extent.items():
            self._extent[name] = max(extent, _extent(getattr(table, name)))
        known = [
            foreign
            for ours, foreign in OURS_TO_PICASSO.items()
            if foreign in REQUIRED or np.isfinite(getattr(table, ours)).all()
        ]
        if self._locs is None:
            self._locs = extendable(self._file, "locs", _records(table, known), last=last)
            return
        names = list(self._locs.dtype.names)
        self.spoilt |= set(names) - set(known)
        append(self._locs, _records(table, names))

    def document(self, info: TableInfo) -> dict[str, Any]:
        """Metadata Picasso requires; what we do not know is taken from the outermost rows."""
        height, width = info.shape or (self._extent["y"], self._extent["x"])
        return {
            "Generated by": f"napari-dilatedloc {version('napari-dilatedloc')}",
            "Width": int(width),
            "Height": int(height),
            "Frames": int(self._extent["frame"] if info.n_frames is None else info.n_frames),
            "Pixelsize": float(info.pixel_size_nm),
        }

    def _with_precision(self, table: Localizations) -> Localizations:
        unknown = ~(np.isfinite(table.sigma_x) & np.isfinite(table.sigma_y))
        self.imprecise += int(unknown.sum())
        if not unknown.any():
            return table
        return table.replace(
            sigma_x=np.where(unknown, _UNKNOWN_PRECISION_PX, table.sigma_x),
            sigma_y=np.where(unknown, _UNKNOWN_PRECISION_PX, table.sigma_y),
        )


def _records(table: Localizations, names: Sequence[str]) -> NDArray[np.void]:
    """Rows of Picasso's compound type, with these of its columns."""
    records = np.empty(
        len(table), dtype=[(name, "u4" if name == "frame" else "f4") for name in names]
    )
    for ours, foreign in OURS_TO_PICASSO.items():
        if foreign in names:
            records[foreign] = getattr(table, ours)
    return records


def _leave_out(path: Path, names: set[str]) -> None:
    """Write the file again without these columns."""
    with (
        replacing(path) as narrower,
        h5py.File(path, "r") as old,
        h5py.File(narrower, "w") as new,
    ):
        locs = old["locs"]
        kept = [name for name in locs.dtype.names if name not in names]
        narrow: h5py.Dataset | None = None
        for start in range(0, len(locs), PIECE_ROWS):
            rows = repack_fields(locs[start : start + PIECE_ROWS][kept])
            if narrow is None:
                narrow = extendable(new, "locs", rows, last=False)
            else:
                append(narrow, rows)
        new.create_dataset("metadata", data=old["metadata"][()])


def _extent(values: NDArray[Any]) -> int:
    return int(np.floor(np.nanmax(values) + 0.5)) + 1 if len(values) else 1


def _metadata(path: Path, embedded: Any) -> dict[str, Any]:
    """Merge the documents, each a processing step; later ones overrule earlier ones."""
    sidecar = path.with_suffix(".yaml")
    try:
        if sidecar.is_file():
            text = sidecar.read_text(encoding="utf-8")
            documents = list(yaml.load_all(text, Loader=_Loader))
        else:
            documents = [] if embedded is None else json.loads(embedded)
    except (yaml.YAMLError, ValueError) as error:
        raise TableError(f"the metadata of {path.name} cannot be read: {error}") from error
    merged: dict[str, Any] = {}
    for document in documents if isinstance(documents, list) else [documents]:
        if isinstance(document, dict):
            merged |= document
    return merged
