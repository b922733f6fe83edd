"""``dilatedloc render``: the super-resolution image of a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from numpy.typing import NDArray

from napari_dilatedloc.cli.common import Json, PixelSize, check_writable, parse_numbers, say, show

if TYPE_CHECKING:
    from napari_dilatedloc.render import PlacedSpots
    from napari_dilatedloc.table import TableInfo

Mode = Literal["histogram", "gaussian", "gaussian-xy", "z", "volume"]
Region = tuple[float, float, float, float]

MAX_PIXELS = 2**29
"""Largest image that is drawn: 2 GiB."""


def render(
    localizations: Annotated[Path, typer.Argument(metavar="LOCS", help="Table to draw.")],
    out: Annotated[Path, typer.Option(help="Image to write, .tif, .ome.tif or .png.")],
    mode: Annotated[
        Mode,
        typer.Option(
            help="Counts; round spots as wide as their precision, or as wide in x and y apart; "
            "coloured by z; planes of a volume (.tif)."
        ),
    ] = "gaussian",
    pixel_nm: Annotated[
        float | None,
        typer.Option(help="Pixel of the image, nm; default: half of the median precision."),
    ] = None,
    magnification: Annotated[
        float | None, typer.Option(help="Instead: image pixels per camera pixel and side.")
    ] = None,
    z_step_nm: Annotated[
        float | None,
        typer.Option(help="Distance of planes, nm; default: half of the axial precision."),
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Part to draw, y0,x0,y1,x1 in camera pixels.")
    ] = None,
    colour_bar: Annotated[
        bool, typer.Option("--colour-bar", help="Colours and their z beside the image (z, .png).")
    ] = False,
    pixel_size_nm: PixelSize = None,
    as_json: Json = False,
) -> None:
    """Draw the super-resolution image of a table."""
    from napari_dilatedloc import render as draw
    from napari_dilatedloc.io.tables import read_info, read_parts

    check_writable(out)
    _check(mode, out, colour_bar, z_step_nm)
    box = None if region is None else _region(region)
    info = read_info(localizations, pixel_size_nm=pixel_size_nm)
    found = draw.PlacedSpots.of(read_parts(localizations, pixel_size_nm=pixel_size_nm))
    scale = _magnification(found, info, pixel_nm, magnification)
    part = _Part(box or _whole(found, info), scale)
    image, chosen = _image(found, part, mode, z_step_nm, colour_bar)
    pixel_nm = info.pixel_size_nm / scale
    draw.write_image(out, image, pixel_nm, chosen.get("z_step_nm"))
    if as_json:
        drawn = {"localizations": len(found), "pixel_nm": pixel_nm, "shape": list(image.shape)}
        show({"image": str(out), "mode": mode, **drawn, **chosen}, as_json)
    else:
        say(f"{out}: {len(found)} localizations, {pixel_nm:.1f} nm a pixel")


def _check(mode: Mode, out: Path, colour_bar: bool, z_step_nm: float | None) -> None:
    """Refuse options that do not go together, before the table is read."""
    suffix = out.suffix.lower()
    wanted = (".tif", ".tiff") if mode == "volume" else (".tif", ".tiff", ".png")
    if suffix not in wanted:
        raise ValueError(f"--out must end in {', '.join(wanted)} for {mode}, got {out.name!r}")
    if colour_bar and (mode != "z" or suffix != ".png"):
        raise ValueError("--colour-bar needs --mode z and an --out that ends in .png; leave it out")
    if z_step_nm is not None and mode != "volume":
        raise ValueError(f"--z-step-nm needs --mode volume, got {mode}; leave it out")


def _region(text: str) -> Region:
    y0, x0, y1, x1 = parse_numbers(text, 4, "--region")
    if not (y1 > y0 and x1 > x0):
        raise ValueError(f"--region must be y0,x0,y1,x1 with y1 > y0 and x1 > x0, got {text}")
    return y0, x0, y1, x1


def _whole(found: PlacedSpots, info: TableInfo) -> Region:
    """The field of the movie, or of all positions for tables that do not say theirs."""
    from napari_dilatedloc.render import whole_field

    (y0, x0), (height, width) = whole_field(found, info.shape)
    return y0, x0, y0 + height, x0 + width


def _magnification(
    found: PlacedSpots, info: TableInfo, pixel_nm: float | None, magnification: float | None
) -> float:
    """Image pixels along a camera pixel."""
    from napari_dilatedloc.render import auto_pixel_nm

    if magnification is not None and pixel_nm is not None:
        raise ValueError("give --pixel-nm or --magnification, not both")
    if magnification is not None:
        return magnification
    if pixel_nm is None:
        pixel_nm = auto_pixel_nm(found, info.pixel_size_nm)
    if not pixel_nm > 0:
        raise ValueError(f"--pixel-nm must be positive, got {pixel_nm}; 10 is usual")
    return info.pixel_size_nm / pixel_nm


@dataclass(frozen=True)
class _Part:
    """What is drawn of the camera, and how large; refuses what would not fit into memory."""

    box: Region
    scale: float

    def __post_init__(self) -> None:
        from napari_dilatedloc.render import View

        rows, columns = View.over(self.shape, self.scale).size
        if rows * columns > MAX_PIXELS:
            raise ValueError(
                f"the image would have {rows} x {columns} pixels, at most {MAX_PIXELS:.1g} are "
                "drawn; choose a larger --pixel-nm or a smaller --region"
            )

    @property
    def corner(self) -> tuple[float, float]:
        return self.box[:2]

    @property
    def shape(self) -> tuple[float, float]:
        return self.box[2] - self.box[0], self.box[3] - self.box[1]


def _image(
    found: PlacedSpots, part: _Part, mode: Mode, z_step_nm: float | None, colour_bar: bool
) -> tuple[NDArray[Any], dict[str, Any]]:
    """The image, and what was chosen for it."""
    from napari_dilatedloc import render as draw

    shape, scale, corner = part.shape, part.scale, part.corner
    if mode == "histogram":
        return draw.histogram(found, shape, scale, corner=corner), {}
    if mode in ("gaussian", "gaussian-xy"):
        round_ones = mode == "gaussian"
        return draw.gaussian(found, shape, scale, corner=corner, isotropic=round_ones), {}
    if mode == "z":
        colours = draw.z_range(found.z_nm)
        image = draw.colour_by_z(found, shape, scale, colours, corner=corner)
        chosen = {"z_range_nm": list(colours)}
        return (draw.with_colour_bar(image, colours) if colour_bar else image), chosen
    step = z_step_nm if z_step_nm is not None else draw.auto_z_step_nm(found)
    depths = draw.z_range(found.z_nm, tail=0.1)
    planes = draw.volume(found, shape, scale, depths, step, corner=corner)
    return planes, {"z_range_nm": list(depths), "z_step_nm": step}


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(render)
