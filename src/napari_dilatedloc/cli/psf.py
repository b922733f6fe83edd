"""``dilatedloc calibrate``: a PSF from beads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from napari_dilatedloc.cli.common import Json, PixelSize, check_writable, show


def calibrate(
    beads: Annotated[Path, typer.Argument(help="Bead z-stack, TIFF.")],
    z_step_nm: Annotated[float, typer.Option(min=0.1, help="Distance of slices, nm.")],
    out: Annotated[Path, typer.Option(help="PSF file to write, .h5.")],
    pixel_size_nm: PixelSize = None,
    roi_size: Annotated[int, typer.Option(help="Side of the ROI around a bead, px, odd.")] = 25,
    z_direction: Annotated[
        Literal["up", "down"],
        typer.Option(
            help="up: later slices show beads at larger z; down: the stage moved the other way."
        ),
    ] = "up",
    as_json: Json = False,
) -> None:
    """Measure the PSF from a z-stack of beads."""
    from napari_dilatedloc.io.movie import open_movie
    from napari_dilatedloc.psf.build import save_psf
    from napari_dilatedloc.psf.calibrate import calibrate_beads

    check_writable(out)
    stack = open_movie(beads, pixel_size_nm=pixel_size_nm)
    if stack.pixel_size_nm is None:
        raise ValueError(f"{beads.name} does not say its pixel size; give --pixel-size-nm")
    result = calibrate_beads(
        stack.data.compute(),
        pixel_size_nm=stack.pixel_size_nm,
        z_step_nm=z_step_nm,
        roi_size=roi_size,
        z_direction=z_direction,
    )
    save_psf(out, result.psf)
    kept = [bead for bead in result.beads if bead.kept]
    show(
        {
            "psf": str(out),
            "beads_used": len(kept),
            "beads_rejected": [
                f"y {b.y:.1f} x {b.x:.1f}: {b.reason}" for b in result.beads if not b.kept
            ],
            "z_range_nm": list(result.psf.config.z_range_nm),
            "roi_size": result.psf.config.roi_size,
        },
        as_json,
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(calibrate)
