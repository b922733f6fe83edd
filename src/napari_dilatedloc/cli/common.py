"""What several commands share: option types, progress and output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Json = Annotated[bool, typer.Option("--json", help="Print figures as JSON.")]
PixelSize = Annotated[
    float | None, typer.Option("--pixel-size-nm", help="Camera pixel in the sample, nm.")
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps; auto takes the fastest there is.")
]

stderr = Console(stderr=True)

PICTURES = (".png", ".pdf", ".svg")


def progress_bar() -> Progress:
    """Progress bar on standard error, with time left."""
    return Progress(
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=stderr,
    )


def show(figures: dict[str, Any] | list[Any], as_json: bool) -> None:
    """Print figures for a person or, as JSON, for a program."""
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    rows = figures if isinstance(figures, list) else [figures]
    for row in rows:
        for name, value in row.items():
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            typer.echo(f"{name:>22}  {text}")
        if len(rows) > 1:
            typer.echo("")


def say(message: str) -> None:
    """One line for the person at the keyboard, on standard error."""
    stderr.print(message, markup=False, highlight=False, soft_wrap=True)


def parse_numbers(text: str, count: int, what: str, separator: str = ",") -> tuple[float, ...]:
    """Numbers of an option such as ``100,100,300,300`` or ``0:500``."""
    parts = text.split(separator)
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        example = separator.join(["0", "500", "100", "600"][:count])
        raise ValueError(f"{what} must be {count} numbers like {example}, got {text!r}")
    return numbers


def stated_settings(kind: Any, file: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    """Entries that a settings file states, and over them those of the command line.

    Parameters
    ----------
    kind : type
        Config, such as `LocalizeConfig`.
    file : Path, optional
        YAML of such settings, or of all steps.
    options : dict
        By the names of the config's fields; None: not given.
    """
    from napari_dilatedloc.config import load_yaml

    values: dict[str, Any] = {}
    if file is not None:
        values = load_yaml(kind, file).model_dump(exclude_unset=True)
    return values | {name: value for name, value in options.items() if value is not None}


def settings_of(kind: Any, file: Path | None, options: dict[str, Any], what: str) -> Any:
    """Config of the given kind from a settings file and the command line, as `stated_settings`.

    Parameters
    ----------
    kind, file, options
        As there.
    what : str
        Name of the settings in the sentence about a wrong entry.
    """
    from napari_dilatedloc.config import parse_config

    return parse_config(kind, stated_settings(kind, file, options), what)


def check_writable(path: Path) -> None:
    """Refuse an output whose folder is not there before long work begins."""
    if not path.absolute().parent.is_dir():
        raise ValueError(f"cannot write {path}: no folder {path.absolute().parent}; create it")


def check_picture(path: Path, option: str = "--figure") -> None:
    """Refuse a picture that cannot be written before long work begins."""
    check_writable(path)
    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"{option} must end in {', '.join(PICTURES)}, got {path.name!r}; rename")


@contextmanager
def needs_cluster() -> Iterator[None]:
    """Imports that need dask.distributed; one sentence if it is not installed."""
    try:
        yield
    except ImportError as error:
        raise ValueError(
            "several workers need dask.distributed, which is not installed; run "
            "pip install 'napari-dilatedloc[cluster]'"
        ) from error


def follow_rows(rows: Any, total: int, as_json: bool) -> None:
    """Show progress while rows of a benchmark are measured, then print all of them."""
    from napari_dilatedloc.benchmark.machine import describe_machine

    done = []
    with progress_bar() as bar:
        task = bar.add_task("benchmark", total=total, note="")
        for row in rows:
            done.append(row.to_dict())
            bar.update(task, advance=1, note=f"{row.name} {row.value:.4g} {row.unit}")
    machine = describe_machine()
    if as_json:
        typer.echo(json.dumps({"machine": machine, "rows": done}, indent=2))
        return
    for name, text in machine.items():
        typer.echo(f"{name:>22}  {text}")
    typer.echo("")
    main = ("name", "value", "unit")
    for row in done:
        details = ", ".join(f"{key} {row[key]}" for key in row if key not in main)
        typer.echo(f"{row['name']:>22}  {row['value']:10.4g} {row['unit']}  ({details})")
