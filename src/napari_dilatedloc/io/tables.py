"""Tables of localizations and of truth, read whole or in parts, written in parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from napari_dilatedloc.io import challenge, recipe, thunderstorm
from napari_dilatedloc.io.columns import TableError
from napari_dilatedloc.io.formats import (
    FORMATS,
    KEEPS_RECIPE_BESIDE,
    KIND_OF_SUFFIX,
    Kind,
    format_of,
    unknown,
    written_by,
)
from napari_dilatedloc.io.rows import TableWriter
from napari_dilatedloc.table import Emitters, Localizations, TableInfo

__all__ = [
    "FORMATS",
    "KIND_OF_SUFFIX",
    "Kind",
    "TableError",
    "TableWriter",
    "can_read",
    "needs_pixel_size",
    "open_table",
    "read_info",
    "read_parts",
    "read_table",
    "read_truth",
    "table_files",
    "write_table",
    "write_truth",
]

PART_ROWS = 2**18
"""Rows that are held at a time; more make nothing faster."""


def read_table(
    path: str | Path, *, pixel_size_nm: float | None = None
) -> tuple[Localizations, TableInfo]:
    """Read localizations of any format we know.

    Parameters
    ----------
    path : str or Path
        ThunderSTORM, SMAP, DECODE, ONI or Challenge CSV, rapidSTORM or N-STORM text, Picasso or
        DECODE HDF5, SMAP's ``.mat``, or our own HDF5 or Parquet; its content tells which.
    pixel_size_nm : float, optional
        Camera pixel, nm; most texts do not know it, elsewhere it overrules the file.

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
    info = read_info(path, pixel_size_nm=pixel_size_nm)
    parts = list(read_parts(path, pixel_size_nm=pixel_size_nm))
    return parts[0] if len(parts) == 1 else Localizations.concatenate(parts), info


def read_info(path: str | Path, *, pixel_size_nm: float | None = None) -> TableInfo:
    """Read what a table says beside its rows, as `read_table` does."""
    path = Path(path)
    module = _format(path)
    with _damage_told(path):
        info: TableInfo = module.info(path, pixel_size_nm)
    return info


def read_parts(
    path: str | Path, rows: int = PART_ROWS, *, pixel_size_nm: float | None = None
) -> Iterator[Localizations]:
    """Read a table part by part, in constant memory (MATLAB files before version 7.3: not).

    Parameters
    ----------
    path : str or Path
        As for `read_table`.
    rows : int
        Rows of a part, at most.
    pixel_size_nm : float, optional
        As for `read_table`.

    Yields
    ------
    Localizations
        In the order of the file; one part without rows if the table has none. All have the same
        extra columns, so they may go to the `write` of `open_table` as they are.

    Raises
    ------
    TableError
        As `read_table`; for an unknown format at once, for damaged rows when they come.

    Examples
    --------
    >>> import tempfile
    >>> from napari_dilatedloc.table import Localizations, TableInfo
    >>> table = Localizations.from_columns(frame=[0, 1, 2], x=[3, 4, 5], y=[7, 1, 2])
    >>> path = Path(tempfile.mkdtemp()) / "locs.h5"
    >>> _ = write_table(path, table, TableInfo(pixel_size_nm=100.0))
    >>> [len(part) for part in read_parts(path, rows=2)]
    [2, 1]
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}; use {PART_ROWS}")
    path = Path(path)
    return _parts(_format(path), path, pixel_size_nm, rows)


def _parts(
    module: ModuleType, path: Path, pixel_size_nm: float | None, rows: int
) -> Iterator[Localizations]:
    with _damage_told(path):
        yield from module.parts(path, pixel_size_nm, rows)


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
        The suffix decides: ``.csv`` ThunderSTORM, ``.hdf5`` Picasso, ``.mat`` SMAP, ``.h5`` and
        ``.parquet`` our own.
    info : TableInfo
        Pixel size, shape and number of frames of the movie, and the recipe.
    kind : str, optional
        One of `FORMATS`; overrules the suffix.

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
    module = written_by(path, kind)
    if not info.pixel_size_nm > 0:
        raise TableError(f"pixel_size_nm must be positive, got {info.pixel_size_nm}; give it in nm")
    with module.writing(path, info) as sink:
        beside = [recipe.beside(path)] if info.recipe and module in KEEPS_RECIPE_BESIDE else []
        writer = TableWriter(sink, module.files(path) + beside)
        yield writer
        writer.close()


def table_files(path: str | Path, *, kind: Kind | None = None) -> list[Path]:
    """Files that a table of this name will have; `TableError` if it cannot be written so."""
    files: list[Path] = written_by(Path(path), kind).files(Path(path))
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
    module = format_of(path)
    if module not in (challenge, thunderstorm):
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
        return path.is_file() and format_of(path) is not None
    except (TableError, OSError):
        return False


def needs_pixel_size(path: str | Path) -> bool:
    """Tell whether `read_table` must be told the pixel size; `TableError` for an unknown file."""
    return not _format(Path(path)).KNOWS_PIXEL_SIZE


def _format(path: Path) -> ModuleType:
    module = format_of(path)
    if module is None:
        raise TableError(unknown(path))
    return module


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError) as error:
        raise TableError(f"{path.name} cannot be read ({error}); it is damaged") from error
