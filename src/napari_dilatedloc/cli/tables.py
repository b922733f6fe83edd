"""``dilatedloc evaluate``, ``render`` and ``convert``: what one does with tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from napari_dilatedloc.cli.common import Json, PixelSize, check_writable, say, show
from napari_dilatedloc.table import Localizations

Mode = Literal["histogram", "gaussian", "z"]


def evaluate(
    localizations: Annotated[Path, typer.Argument(metavar="LOCS", help="Table to judge.")],
    truth: Annotated[Path, typer.Argument(help="True positions, Challenge CSV.")],
    pixel_size_nm: PixelSize = None,
    lateral_nm: Annotated[float, typer.Option(help="Largest lateral distance of a match.")] = 250,
    axial_nm: Annotated[float, typer.Option(help="Largest axial distance of a match.")] = 500,
    min_photons: Annotated[
        float, typer.Option(help="Dimmer emitters count neither for nor against.")
    ] = 0,
    remove_shift: Annotated[
        bool, typer.Option(help="Take the median shift off before judging.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare localizations with the truth: Jaccard, RMSE, efficiency (SMLM Challenge 2016)."""
    from napari_dilatedloc.evaluation import evaluate as judge
    from napari_dilatedloc.io.tables import read_table, read_truth

    found, info = read_table(localizations, pixel_size_nm=pixel_size_nm)
    emitters = read_truth(truth, pixel_size_nm=info.pixel_size_nm)
    result = judge(
        found,
        emitters,
        info.pixel_size_nm,
        lateral_nm=lateral_nm,
        axial_nm=axial_nm,
        min_photons=min_photons,
        remove_shift=remove_shift,
    )
    show(result.to_dict(), as_json)


def render(
    localizations: Annotated[Path, typer.Argument(metavar="LOCS", help="Table to draw.")],
    out: Annotated[Path, typer.Option(help="Image to write, .tif or .png.")],
    mode: Annotated[
        Mode,
        typer.Option(help="Counts, spots as wide as their precision, or coloured by z."),
    ] = "gaussian",
    magnification: Annotated[
        int, typer.Option(min=1, help="Image pixels per camera pixel and side.")
    ] = 10,
    pixel_size_nm: PixelSize = None,
) -> None:
    """Draw the super-resolution image of a table."""
    from napari_dilatedloc import render as draw
    from napari_dilatedloc.io.tables import read_table

    check_writable(out)
    found, info = read_table(localizations, pixel_size_nm=pixel_size_nm)
    shape = info.shape or _extent(found.y, found.x)
    image = _draw(found, shape, magnification, mode)
    draw.write_image(out, image, info.pixel_size_nm / magnification)
    say(f"{out}: {len(found)} localizations, {info.pixel_size_nm / magnification:.1f} nm a pixel")


def _draw(
    found: Localizations, shape: tuple[int, int], magnification: int, mode: Mode
) -> NDArray[Any]:
    from napari_dilatedloc import render as draw

    if mode == "histogram":
        return draw.histogram(found, shape, magnification)
    if mode == "gaussian":
        return draw.gaussian(found, shape, magnification)
    return draw.colour_by_z(found, shape, magnification, _z_range(found.z_nm))


def _extent(y: NDArray[np.float32], x: NDArray[np.float32]) -> tuple[int, int]:
    """Smallest field that holds all positions, for tables that do not say theirs."""
    if len(y) == 0:
        raise ValueError("the table is empty and does not say the size of its movie; nothing drawn")
    return int(y.max()) + 2, int(x.max()) + 2


def _z_range(z_nm: NDArray[np.float32]) -> tuple[float, float]:
    """Range of colours, nm: all z but the outermost hundredths."""
    known = z_nm[np.isfinite(z_nm)]
    if len(known) == 0:
        raise ValueError("the table has no z to colour by; use --mode gaussian")
    low, high = np.percentile(known, (1, 99))
    return float(low), max(float(high), float(low) + 1.0)


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Table to read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Table to write.")],
    pixel_size_nm: PixelSize = None,
) -> None:
    """Write a table in another format.

    .csv is ThunderSTORM's, .hdf5 Picasso's, .h5 and .parquet are our own, in full precision.
    """
    from napari_dilatedloc.io.tables import read_table, write_table

    check_writable(target)
    found, info = read_table(source, pixel_size_nm=pixel_size_nm)
    paths = write_table(target, found, info)
    say(f"{len(found)} localizations to {', '.join(str(p) for p in paths)}")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (evaluate, render, convert):
        app.command()(command)
