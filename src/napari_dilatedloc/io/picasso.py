"""Picasso HDF5 with its YAML: px from the centre of the first pixel, z in nm, frames from 0."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
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
from napari_dilatedloc.io import recipe
from napari_dilatedloc.io.columns import TableError, further, require_pixel_size, written_names
from napari_dilatedloc.io.rows import PIECE_ROWS, append, extendable, outermost
from napari_dilatedloc.table import Localizations, TableInfo

log = logging.getLogger(__name__)

KNOWS_PIXEL_SIZE = True

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
_TAKEN = tuple(OURS_TO_PICASSO.values())
_UNKNOWN_PRECISION_PX = 1.0
_STEP = "dilatedloc step"
_MOVIE = ("Width", "Height", "Frames", "Pixelsize")


class _Loader(yaml.SafeLoader):
    """Safe loader that reads the Python tags of old Picasso files as nothing."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def is_file(file: h5py.File) -> bool:
    """Tell Picasso's file by its table `locs`."""
    locs = file.get("locs")
    return isinstance(locs, h5py.Dataset) and {"frame", "x", "y"} <= set(locs.dtype.names or ())


def info(path: Path, pixel_size_nm: float | None) -> TableInfo:
    """What the YAML beside it, or ``/metadata``, says; its pixel size holds unless given.

    The recipe is that of ``/metadata`` where there is one, for a YAML may be that of another table.
    """
    with h5py.File(path, "r") as file:
        embedded = file["metadata"][()] if "metadata" in file else None
    beside = _beside(path)
    inside = _inside(path, embedded, required=not beside)
    metadata = _joined(beside or inside)
    _tell_unless_alike(path, metadata, _joined(inside))
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
    return TableInfo(
        pixel_size_nm=require_pixel_size(size, path),
        shape=None if None in shape else (int(shape[0]), int(shape[1])),  # type: ignore[arg-type]
        n_frames=None if frames is None else int(frames),
        recipe=recipe.from_plain([d[_STEP] for d in inside or beside if _STEP in d], path),
    )


def parts(path: Path, pixel_size_nm: float | None, rows: int) -> Iterator[Localizations]:
    """Read ``/locs``."""
    with h5py.File(path, "r") as file:
        if not is_file(file):
            raise TableError(f"{path.name} has no table /locs with frame, x and y; open another")
        locs = file["locs"]
        known = {o: f for o, f in OURS_TO_PICASSO.items() if f in locs.dtype.names}
        numbers = [name for name in locs.dtype.names if locs.dtype[name].kind in "biuf"]
        for name in set(locs.dtype.names) - set(numbers):
            log.warning("%s: column %s holds no numbers and is left out", path.name, name)
        for start in range(0, max(len(locs), 1), rows):
            part = locs[start : start + rows]
            extra = further({name: part[name] for name in numbers}, _TAKEN)
            yield Localizations.from_columns(
                **{ours: part[foreign] for ours, foreign in known.items()}
            ).replace(extra=extra)


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
            documents = [writer.document(info), *_steps(info)]
            file.create_dataset("metadata", data=json.dumps(documents))
        if writer.spoilt:
            _leave_out(temporary, writer.spoilt)
        temporary_yaml.write_text(
            yaml.safe_dump_all(documents, default_flow_style=False), encoding="utf-8"
        )
    if writer.lost:
        log.warning(
            "%s: %s left out, for Picasso drops rows with a value that is not finite",
            path.name,
            ", ".join(sorted(writer.lost)),
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
    lost : set of str
        Extra columns that are not in the file for that reason.
    imprecise : int
        Rows without precision.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._locs: h5py.Dataset | None = None
        self._extent = {"y": 1, "x": 1, "frame": 1}
        self.spoilt: set[str] = set()
        self.lost: set[str] = set()
        self.imprecise = 0

    def add(self, piece: Localizations, *, last: bool) -> None:
        table = self._with_precision(piece)
        for name, extent in self._extent.items():
            self._extent[name] = max(extent, outermost(getattr(table, name)))
        columns = _columns(table)
        known = {
            name
            for name, values in columns.items()
            if name in REQUIRED or np.isfinite(values).all()
        }
        self.lost |= set(written_names(table.extra, _TAKEN).values()) - known
        if self._locs is None:
            kept = {name: values for name, values in columns.items() if name in known}
            self._locs = extendable(self._file, "locs", _records(kept), last=last)
            return
        names = self._locs.dtype.names
        self.spoilt |= set(names) - known
        append(self._locs, _records({name: columns[name] for name in names}))

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


def _columns(table: Localizations) -> dict[str, NDArray[Any]]:
    """Columns under Picasso's names, the extra ones last."""
    own = {foreign: getattr(table, ours) for ours, foreign in OURS_TO_PICASSO.items()}
    names = written_names(table.extra, _TAKEN)
    return own | {names[name]: values for name, values in table.extra.items()}


def _records(columns: dict[str, NDArray[Any]]) -> NDArray[np.void]:
    """Rows of Picasso's compound type."""
    types = [(name, "u4" if name == "frame" else v.dtype) for name, v in columns.items()]
    records = np.empty(len(columns["frame"]), dtype=types)
    for name, values in columns.items():
        records[name] = values
    return records


def _steps(info: TableInfo) -> list[dict[str, Any]]:
    """The recipe as Picasso keeps its own: one document a step."""
    program = f"napari-dilatedloc {version('napari-dilatedloc')}"
    return [
        {"Generated by": f"{program}: {step['name']}", _STEP: step}
        for step in recipe.to_plain(info.recipe)
    ]


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


def _beside(path: Path) -> list[dict[str, Any]]:
    """Documents of the YAML beside a table, each a processing step; none if there is no YAML."""
    sidecar = path.with_suffix(".yaml")
    if not sidecar.is_file():
        return []
    try:
        documents = list(yaml.load_all(sidecar.read_text(encoding="utf-8"), Loader=_Loader))
    except (yaml.YAMLError, ValueError) as error:
        raise TableError(f"the metadata of {path.name} cannot be read: {error}") from error
    return [document for document in documents if isinstance(document, dict)]


def _inside(path: Path, embedded: Any, *, required: bool) -> list[dict[str, Any]]:
    """The same of ``/metadata``; one that cannot be read is an error only if it is `required`."""
    try:
        documents = [] if embedded is None else json.loads(embedded)
    except (TypeError, ValueError) as error:
        if required:
            raise TableError(f"the metadata of {path.name} cannot be read: {error}") from error
        return []
    found = documents if isinstance(documents, list) else [documents]
    return [document for document in found if isinstance(document, dict)]


def _joined(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """What all say; later ones overrule earlier ones."""
    joined: dict[str, Any] = {}
    for document in documents:
        joined |= document
    return joined


def _tell_unless_alike(path: Path, taken: dict[str, Any], inside: dict[str, Any]) -> None:
    """Warn of a YAML that tells of another movie than the table beside it."""
    differ = [n for n in _MOVIE if n in taken and n in inside and taken[n] != inside[n]]
    if differ:
        log.warning(
            "%s says %s and %s itself %s; the former holds, delete it if it is not of this table",
            path.with_suffix(".yaml").name,
            ", ".join(f"{name} {taken[name]}" for name in differ),
            path.name,
            ", ".join(f"{name} {inside[name]}" for name in differ),
        )
