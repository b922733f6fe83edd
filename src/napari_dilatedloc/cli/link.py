"""``dilatedloc link``: blinks over consecutive frames become one row."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from napari_dilatedloc.cli.common import Json, PixelSize, check_writable, say, settings_of, show


def link(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Table to read.")],
    out: Annotated[Path, typer.Option(help="Table to write.")],
    distance_nm: Annotated[
        float | None,
        typer.Option(help="Largest lateral distance, nm; default: from the precision of both."),
    ] = None,
    axial_nm: Annotated[
        float | None,
        typer.Option(
            help="Largest axial distance, nm; default: from the precision, any with --distance-nm."
        ),
    ] = None,
    sigmas: Annotated[
        float | None,
        typer.Option(help="Largest distance in standard deviations of the difference; 4."),
    ] = None,
    limit_nm: Annotated[
        float | None,
        typer.Option(help="Never further apart, however imprecise both are, nm; 150."),
    ] = None,
    dark_frames: Annotated[
        int | None, typer.Option(help="Frames in which a molecule may be missing; 1.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings, YAML; options here overrule them.")
    ] = None,
    pixel_size_nm: PixelSize = None,
    as_json: Json = False,
) -> None:
    """Merge localizations of one molecule in consecutive frames.

    Photons are summed, positions weighted by their precision; the columns linked and last_frame
    say how many rows became one, and where they end.
    """
    from napari_dilatedloc.analysis.linking import blinks
    from napari_dilatedloc.analysis.merging import merge_parts
    from napari_dilatedloc.config.linking import LinkingConfig
    from napari_dilatedloc.io.tables import open_table, read_info, read_parts, table_files

    options = {"distance_nm": distance_nm, "axial_nm": axial_nm, "sigmas": sigmas}
    options |= {"limit_nm": limit_nm, "dark_frames": dark_frames}
    settings = settings_of(LinkingConfig, config, options, "link")
    check_writable(out)
    table_files(out)  # refuses a name that no format has
    info = read_info(source, pixel_size_nm=pixel_size_nm)
    parts = partial(read_parts, source, pixel_size_nm=pixel_size_nm)
    ordered, blink = blinks(parts, info.pixel_size_nm, settings)
    before, after = len(blink), int(blink.max(initial=-1)) + 1
    with open_table(out, info.after("link", settings.settings(), after)) as writer:
        for part in merge_parts(ordered(), blink, info.pixel_size_nm):
            writer.write(part)
    files = [str(path) for path in writer.files]
    mean = before / max(after, 1)
    if as_json:
        figures = {"before": before, "after": after, "mean_linked": mean}
        show({**figures, "settings": settings.settings(), "files": files}, as_json)
        return
    say(f"{before} localizations linked to {after} ({mean:.2f} frames each); {', '.join(files)}")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(link)
