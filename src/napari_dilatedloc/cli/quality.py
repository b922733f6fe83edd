"""``dilatedloc quality``: how good a table is, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_dilatedloc.cli.common import Json, PixelSize, check_writable, say, show


def quality(
    localizations: Annotated[Path, typer.Argument(metavar="LOCS", help="Table to judge.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the report, made if missing, or page to write, .html."),
    ] = None,
    pixel_size_nm: PixelSize = None,
    as_json: Json = False,
) -> None:
    """Resolution, precision, photons, drift and oddities of a table, without any truth.

    FRC resolution, NeNA precision, localizations a frame, photons, background, predicted precision
    and where within a pixel localizations lie; a page, a picture and report.json with --out.
    """
    from napari_dilatedloc.analysis.parts import whole
    from napari_dilatedloc.analysis.quality import quality as judge
    from napari_dilatedloc.analysis.quality_report import write_quality
    from napari_dilatedloc.io.tables import read_info, read_parts

    if out is not None:
        check_writable(out)
        if out.suffix and out.suffix.lower() != ".html" and not out.is_dir():
            raise ValueError(f"--out must be a folder or end in .html, got {out.name!r}; rename")
    info = read_info(localizations, pixel_size_nm=pixel_size_nm)
    parts = read_parts(localizations, pixel_size_nm=pixel_size_nm)
    table = whole(part.replace(extra={}) for part in parts)  # no figure is of further columns
    found = judge(table, info)
    figures = found.summary()
    show(figures if as_json else {k: v for k, v in figures.items() if k != "warnings"}, as_json)
    if not as_json:
        for sentence in found.warnings:
            say(f"warning: {sentence}")
    if out is not None:
        files = write_quality(out, found, table, info)
        say(", ".join(str(path) for path in files))


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(quality)
