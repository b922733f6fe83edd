"""``dilatedloc link``: blinks over consecutive frames become one row."""

from __future__ import annotations

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
    from napari_dilatedloc.analysis.linking import link as merge_blinks
    from napari_dilatedloc.config.linking import LinkingConfig
    from napari_dilatedloc.io.tables import read_table, table_files, write_table

    options = {"distance_nm": distance_nm, "axial_nm": axial_nm, "sigmas": sigmas}
    options |= {"limit_nm": limit_nm, "dark_frames": dark_frames}
    settings = settings_of(LinkingConfig, config, options, "link")
    check_writable(out)
    table_files(out)  # refuses a name that no format has
    found, info = read_table(source, pixel_size_nm=pixel_size_nm)
    merged, info = merge_blinks(found, info, settings)
    paths = write_table(out, merged, info)
    mean = len(found) / max(len(merged), 1)
    if as_json:
        figures = {"before": len(found), "after": len(merged), "mean_linked": mean}
        files = [str(path) for path in paths]
        show({**figures, "settings": settings.settings(), "files": files}, as_json)
        return
    say(
        f"{len(found)} localizations linked to {len(merged)} ({mean:.2f} frames each); "
        f"{', '.join(str(path) for path in paths)}"
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(link)
