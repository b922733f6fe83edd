"""Tables of localizations and of truth: the suffix and the header decide on the format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Literal

import h5py

from napari_dilatedloc.io import challenge, native, parquet, picasso, thunderstorm
from napari_dilatedloc.io.columns import TableError, read_header
from napari_dilatedloc.io.rows import TableWriter
from napari_dilatedloc.table import Emitters, Localizations, TableInfo

__all__ = [
    "TableError",
    "TableWriter",
    "can_read",
    "open_table",
    "read_table",
    "read_truth",
    "table_files",
    "write_table",
    "write_truth",
]

Kind = Literal["thunderstorm", "picasso", "native", "parquet"]

FORMATS: dict[Kind, ModuleType] = {
    "thunderstorm": thunderstorm,
    "picasso": picasso,
    "native": native,
    "parquet": parquet,
}
KIND_OF_SUFFIX: dict[str, Kind] = {
    ".csv": "thunderstorm",
    ".hdf5": "picasso",
    ".h5": "native",
    ".parquet": "parquet",
}


def read_table(
    path: str | Path, *, pixel_size_nm: float | None = None
) -> tuple[Localizations, TableInfo]:
    """Read localizations of any format we know.

    Parameters
    ----------
    path : str or Path
        ThunderSTORM or Challenge CSV, Picasso HDF5, or our own HDF5 or Parquet.
    pixel_size_nm : float, optional
        Camera pixel, nm; a CSV does not know it, elsewhere it overrules the file.

    Raises
    ------
    TableError
        One sentence: no such file, unknown format, missing columns, missing pixel size.

    Examples
    --------
    >>> import tempfile
    >>> from napari_dilatedloc.table import Localizations, TableInfo
    >>> table = Localizations.from_columns(frame=[0, 1], x=[3.0, 4.5], y=[7.0, 1.25])
    >>> path = Path(tempfile.mkdtemp()) / "locs.csv"
    >>> _ = write_table(path, table, TableInfo(pixel_size_nm=100.0))
    >>> print(path.read_text().splitlines()[1])
    1,1,350.00000,750.00000,1.00000
    >>> again, info = read_table(path, pixel_size_nm=100.0)
    >>> again.frame.tolist(), again.x.tolist(), again.y.tolist()
    ([0, 1], [3.0, 4.5], [7.0, 1.25])
    """
    path = Path(path)
    module = _format(path)
    if module is None:
        raise TableError(_unknown(path))
    try:
        table: tuple[Localizations, TableInfo] = module.read(path, pixel_size_nm)
    except (OSError, KeyError) as error:
        raise TableError(f"{path.name} cannot be read ({error}); it is damaged") from error
    return table


def write_table(
    path: str | Path, localizations: Localizations, info: TableInfo, *, kind: Kind | None = None
) -> list[Path]:
    """Write localizations at hand, as `open_table` does.

    Returns
    -------
    list of Path
        The files written; Picasso's are two.
    """
    with open_table(path, info, kind=kind) as writer:
        writer.write(localizations)
    return writer.files


@contextmanager
def open_table(
    path: str | Path, info: TableInfo, *, kind: Kind | None = None
) -> Iterator[TableWriter]:
    """Write localizations part by part, in constant memory.

    Each file appears whole when the block ends; if an error ends it, all stays as it was. What is
    written does not depend on the parts in which it came.

    Parameters
    ----------
    path : str or Path
        The suffix decides: ``.csv`` ThunderSTORM, ``.hdf5`` Picasso, ``.h5`` and ``.parquet``
        our own.
    info : TableInfo
        Pixel size, shape and number of frames of the movie.
    kind : {"thunderstorm", "picasso", "native", "parquet"}, optional
        Overrules the suffix.

    Yields
    ------
    TableWriter
        Its `write` takes localizations, whose order is kept; `files` are those that will be there.

    Examples
    --------
    >>> import tempfile
    >>> from napari_dilatedloc.table import Localizations, TableInfo
    >>> path = Path(tempfile.mkdtemp()) / "locs.parquet"
    >>> with open_table(path, TableInfo(pixel_size_nm=100.0)) as writer:
    ...     for frame in range(3):
    ...         writer.write(Localizations.from_columns(frame=[frame], x=[3.0], y=[7.0]))
    >>> read_table(path)[0].frame.tolist()
    [0, 1, 2]
    """
    path = Path(path)
    module = _written_by(path, kind)
    if not info.pixel_size_nm > 0:
        raise TableError(f"pixel_size_nm must be positive, got {info.pixel_size_nm}; give it in nm")
    with module.writing(path, info) as sink:
        writer = TableWriter(sink, module.files(path))
        yield writer
        writer.close()


def table_files(path: str | Path, *, kind: Kind | None = None) -> list[Path]:
    """Files that a table of this name will have; `TableError` if it cannot be written so."""
    files: list[Path] = _written_by(Path(path), kind).files(Path(path))
    return files


def read_truth(path: str | Path, *, pixel_size_nm: float | None) -> Emitters:
    """Read a truth from Challenge CSV, or from the columns of ThunderSTORM.

    Rows at one position get one `id`. Raises `TableError` (one sentence) as `read_table` does.

    Examples
    --------
    >>> import tempfile
    >>> from napari_dilatedloc.table import Emitters
    >>> place = {"x": [3, 3], "y": [7, 7], "z_nm": [50, 50]}
    >>> truth = Emitters(frame=[0, 1], photons=[900, 80], id=[5, 5], **place)
    >>> path = Path(tempfile.mkdtemp()) / "truth.csv"
    >>> write_truth(path, truth, pixel_size_nm=100.0)
    >>> print(path.read_text().splitlines()[2])
    2,2,350.00000,750.00000,50.00000,80.00000
    >>> read_truth(path, pixel_size_nm=100.0).id.tolist()
    [0, 0]
    """
    path = Path(path)
    module = _format(path)
    if module is None or module not in (challenge, thunderstorm):
        raise TableError(
            f"{path.name} is no ground truth; expected a CSV with the header {challenge.HEADER!r}"
        )
    emitters: Emitters = module.read_truth(path, pixel_size_nm)
    return emitters


def write_truth(path: str | Path, emitters: Emitters, pixel_size_nm: float) -> None:
    """Write emitters as Challenge CSV (nm from the corner of the first pixel, frames from 1)."""
    challenge.write_truth(Path(path), emitters, pixel_size_nm)


def can_read(path: str | Path) -> bool:
    """Tell by a look at the header whether `read_table` knows this file; cheap, never raises."""
    path = Path(path)
    try:
        return path.is_file() and _format(path) is not None
    except (TableError, OSError):
        return False


def _written_by(path: Path, kind: Kind | None) -> ModuleType:
    """Module of the format that writes this name."""
    kind = kind or KIND_OF_SUFFIX.get(path.suffix.lower())
    if kind not in FORMATS:
        raise TableError(
            f"cannot write a table as {path.name}; expected .csv (ThunderSTORM), .hdf5 (Picasso), "
            ".h5 or .parquet (full precision)"
        )
    return FORMATS[kind]


def _format(path: Path) -> ModuleType | None:
    """Module of the format, or None; raises `TableError` if there is no such file."""
    if not path.is_file():
        raise TableError(f"no such file: {path}; check the path")
    if path.suffix.lower() == ".csv":
        names = read_header(path)
        for module in (challenge, thunderstorm):
            if module.is_header(names):
                return module
        return None
    if parquet.is_file(path):
        return parquet
    if not h5py.is_hdf5(path):
        return None
    try:
        with h5py.File(path, "r") as file:
            for module in (native, picasso):
                if module.is_file(file):
                    return module
    except OSError as error:
        raise TableError(f"{path.name} is a damaged HDF5 file ({error}); copy it again") from error
    return None


def _unknown(path: Path) -> str:
    if path.suffix.lower() == ".csv":
        names = read_header(path)
        if not names:
            return f"{path.name} is empty, expected a header line; export the table again"
        return (
            f"{path.name} lacks the columns {', '.join(thunderstorm.REQUIRED)} of a ThunderSTORM "
            f"table; it has {', '.join(names)}"
        )
    return (
        f"{path.name} is no table of localizations; expected ThunderSTORM .csv, Picasso .hdf5 or "
        "our own .h5 or .parquet"
    )
