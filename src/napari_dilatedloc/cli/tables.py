"""``dilatedloc evaluate`` and ``convert``: what one does with tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from napari_dilatedloc.cli.common import Json, PixelSize, check_writable, say, show

if TYPE_CHECKING:
    from napari_dilatedloc.io.tables import Kind


def evaluate(
    localizations: Annotated[Path, typer.Argument(metavar="LOCS", help="Table to judge.")],
    truth: Annotated[Path, typer.Argument(help="True positions, Challenge CSV.")],
    pixel_size_nm: PixelSize = None,
    lateral_nm: Annotated[float, typer.Option(help="Largest lateral distance of a match.")] = 250,
    axial_nm: Annotated[float, typer.Option(help="Largest axial distance of a match.")] = 500,
    min_photons: Annotated[
        float, typer.Option(help="Dimmer emitters count neither for nor against.")
    ] = 0,
    border_nm: Annotated[
        float, typer.Option(min=0, help="Border that is left out; the Challenge's is 450.")
    ] = 0,
    field_px: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="HEIGHT WIDTH", help="Size of the frames, needed for a border."),
    ] = None,
    remove_shift: Annotated[
        bool, typer.Option(help="Take the median shift off before judging.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare localizations with the truth: Jaccard, RMSE, efficiency (SMLM Challenge 2016)."""
    from napari_dilatedloc.evaluation import evaluate as judge
    from napari_dilatedloc.io.tables import read_table, read_truth

    if field_px is not None and border_nm == 0:
        raise ValueError("--field-px only says where a border lies; give --border-nm too, as 450")
    found, info = read_table(localizations, pixel_size_nm=pixel_size_nm)
    emitters = read_truth(truth, pixel_size_nm=info.pixel_size_nm)
    result = judge(
        found,
        emitters,
        info.pixel_size_nm,
        lateral_nm=lateral_nm,
        axial_nm=axial_nm,
        min_photons=min_photons,
        field_px=field_px,
        border_nm=border_nm,
        remove_shift=remove_shift,
    )
    show(result.to_dict(), as_json)


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Table to read.")],
    out: Annotated[Path, typer.Option(help="Table to write.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="thunderstorm, picasso, native, parquet, smap, smap-csv, decode, decode-csv or "
            "challenge; default: by the suffix of --out.",
        ),
    ] = None,
    pixel_size_nm: PixelSize = None,
    as_json: Json = False,
) -> None:
    """Write a table in another format, part by part.

    .csv is ThunderSTORM's, .hdf5 Picasso's, .mat SMAP's, .h5 and .parquet are our own, in full
    precision. What IN is, its content tells.
    """
    from napari_dilatedloc.io.tables import open_table, read_info, read_parts, table_files

    check_writable(out)
    table_files(out, kind=cast("Kind | None", kind))  # refuse a name before long work
    info = read_info(source, pixel_size_nm=pixel_size_nm)
    rows = 0
    with open_table(out, info, kind=cast("Kind | None", kind)) as writer:
        for part in read_parts(source, pixel_size_nm=pixel_size_nm):
            writer.write(part)
            rows += len(part)
    if as_json:
        show({"localizations": rows, "files": [str(path) for path in writer.files]}, as_json)
        return
    say(f"{rows} localizations to {', '.join(str(path) for path in writer.files)}")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (evaluate, convert):
        app.command()(command)
