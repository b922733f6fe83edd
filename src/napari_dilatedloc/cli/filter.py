"""``dilatedloc filter``: keep the rows of a table that fulfil conditions."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_dilatedloc.cli.common import Json, PixelSize, check_writable, say, show, stated_settings

if TYPE_CHECKING:
    from napari_dilatedloc.config.filters import FilterConfig


def filter_rows(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Table to read.")],
    out: Annotated[Path, typer.Option(help="Table to write.")],
    where: Annotated[
        str | None, typer.Option(help='Condition, as in "photons>500 & sigma_x_nm<20".')
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option("--range", help="COLUMN=LOW:HIGH, both included; either may be left out."),
    ] = None,
    edge_px: Annotated[
        float | None, typer.Option(help="Drop rows closer to the border of the movie, px.")
    ] = None,
    duplicates_nm: Annotated[
        float | None, typer.Option(help="Of rows closer in one frame keep the most probable, nm.")
    ] = None,
    min_neighbours: Annotated[
        int | None, typer.Option(help="Keep rows with so many others within --radius-nm.")
    ] = None,
    radius_nm: Annotated[
        float | None, typer.Option(help="Radius of the neighbourhood, over all frames, nm.")
    ] = None,
    z_weight: Annotated[
        float | None, typer.Option(help="How z counts in it: 0 not at all, 1 as x and y.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings, YAML; options here overrule them.")
    ] = None,
    pixel_size_nm: PixelSize = None,
    as_json: Json = False,
) -> None:
    """Keep the rows of a table that fulfil all conditions.

    Columns: photons, bg, prob, frame, x_nm, y_nm, z_nm, sigma_x_nm, sigma_y_nm, sigma_z_nm,
    sigma_lateral_nm, x and y in px, and all further ones of the table.
    """
    from napari_dilatedloc.analysis.filters import mask_of_parts
    from napari_dilatedloc.analysis.parts import chosen
    from napari_dilatedloc.io.tables import open_table, read_info, read_parts, table_files

    options = {"where": where, "edge_px": edge_px, "duplicates_nm": duplicates_nm}
    options |= {"min_neighbours": min_neighbours, "radius_nm": radius_nm, "z_weight": z_weight}
    settings = _settings(config, ranges or [], options)
    check_writable(out)
    table_files(out)  # refuses a name that no format has
    info = read_info(source, pixel_size_nm=pixel_size_nm)
    parts = partial(read_parts, source, pixel_size_nm=pixel_size_nm)
    mask = mask_of_parts(parts, info, settings)
    before, after = len(mask), int(mask.sum())
    with open_table(out, info.after("filter", settings.stated(), after)) as writer:
        for part in chosen(parts(), mask):
            writer.write(part)
    files = [str(path) for path in writer.files]
    if as_json:
        figures = {"before": before, "after": after, "settings": settings.stated()}
        show({**figures, "files": files}, as_json)
        return
    share = after / max(before, 1)
    say(f"{after} of {before} localizations kept ({share:.1%}); {', '.join(files)}")


def _settings(file: Path | None, ranges: list[str], options: dict[str, Any]) -> FilterConfig:
    """Settings of the file, and over them what the command line says."""
    from napari_dilatedloc.analysis.expression import parse
    from napari_dilatedloc.config import parse_config
    from napari_dilatedloc.config.filters import FilterConfig

    values = stated_settings(FilterConfig, file, options)
    if ranges:
        values["ranges"] = {**values.get("ranges", {}), **dict(map(_range, ranges))}
    settings: FilterConfig = parse_config(FilterConfig, values, "filter")
    if not settings.stated():
        raise ValueError("nothing to filter by; give --where, --range, --edge-px or another")
    if settings.where is not None:
        parse(settings.where)  # before a large table is read
    return settings


def _range(text: str) -> tuple[str, tuple[float | None, float | None]]:
    """Column and limits of ``COLUMN=LOW:HIGH``."""
    name, equals, limits = text.rpartition("=")
    low, colon, high = limits.partition(":")
    try:
        if not (equals and colon and name.strip()):
            raise ValueError
        return name.strip(), (float(low) if low else None, float(high) if high else None)
    except ValueError:
        raise ValueError(
            f"--range must be COLUMN=LOW:HIGH like photons=500:20000, got {text!r}"
        ) from None


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("filter")(filter_rows)
