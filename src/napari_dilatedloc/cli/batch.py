"""Several movies in one command: which tables they give, and how each went."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_dilatedloc.cli.common import say
from napari_dilatedloc.files import replacing

if TYPE_CHECKING:
    from napari_dilatedloc.inference.store import RunFolder

SUMMARY = "summary.csv"
COLUMNS = ("movie", "table", "status", "frames", "localizations", "seconds", "warnings")

Pair = tuple[Path, Path]
"""A movie and its table."""


def pairs_of(movies: Sequence[Path], out: Path, suffix: str, *, each: bool) -> list[Pair]:
    """Movies with the tables that they give in the folder `out`, which is made.

    Parameters
    ----------
    movies : sequence of Path
        Files, and folders: of single frames, or with `each` of movies.
    out : Path
        Folder of the tables.
    suffix : str
        Of the tables, such as ``".csv"``.
    each : bool
        Whether every TIFF file of a folder is a movie of its own.
    """
    found: list[Path] = []
    for movie in movies:
        found += _movies_in(movie) if each and movie.is_dir() else [movie]
    if not found:
        raise ValueError(f"no TIFF file in {', '.join(map(str, movies))}; choose another folder")
    names = Counter(_stem(movie) for movie in found)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ValueError(
            f"several movies are called {twice[0]} and would give one table; localize them into "
            "different folders"
        )
    if any(f"{name}{suffix}".lower() == SUMMARY for name in names):
        raise ValueError(
            f"a movie called summary would give {SUMMARY}, which tells how the movies went; rename "
            "it or choose another --suffix"
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out must be a folder for several movies, got the file {out}")
    out.mkdir(parents=True, exist_ok=True)
    return [(movie, out / f"{_stem(movie)}{suffix}") for movie in found]


def run_batch(
    pairs: Sequence[Pair], one: Callable[[Path, Path], RunFolder]
) -> list[dict[str, Any]]:
    """Localize one movie after another; one that fails does not keep the others from it.

    The summary is written after every movie, beside the tables.

    Parameters
    ----------
    pairs : sequence of (Path, Path)
        Movies and tables.
    one : callable
        Localizes a movie into a table.
    """
    rows: list[dict[str, Any]] = []
    for number, (movie, table) in enumerate(pairs, 1):
        say(f"{number} of {len(pairs)}: {movie}")
        row: dict[str, Any] = {"movie": str(movie), "table": str(table)}
        try:
            record = one(movie, table).record
        except (ValueError, OSError, RuntimeError) as error:
            if os.environ.get("DILATEDLOC_DEBUG"):
                raise
            say(f"error: {error}")
            row |= {"status": "failed", "warnings": [str(error)]}
        else:
            figures = ("frames", "localizations", "seconds")
            row |= {"status": record.status, "warnings": list(record.warnings)}
            row |= {name: record.report.get(name) for name in figures}
        rows.append(row)
        _write(table.parent / SUMMARY, rows)
        if row["status"] == "stopped":  # by Ctrl-C, which means all of them
            break
    return rows


def end_batch(rows: Sequence[dict[str, Any]]) -> None:
    """Exit with 1 if a movie failed or was stopped."""
    bad = sum(row["status"] != "finished" for row in rows)
    if bad:
        say(f"{bad} of {len(rows)} movies are not finished; the same command with --resume goes on")
        raise typer.Exit(1)


def _movies_in(folder: Path) -> list[Path]:
    """TIFF files of a folder, without those that continue another one."""
    from napari_dilatedloc.io.layout import later_parts, tiff_files

    files = tiff_files(folder)
    parts = {part for file in files for part in later_parts(file)}
    return [file for file in files if file not in parts]


def _stem(movie: Path) -> str:
    """Name of a movie without what says that it is TIFF."""
    movie = movie.absolute()  # "." has no name
    name = movie.name if movie.is_dir() else movie.stem
    return name.removesuffix(".ome")


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**row, "warnings": " ".join(row["warnings"])} for row in rows)
