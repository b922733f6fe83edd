"""``dilatedloc crlb``: how precise a PSF can be."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_dilatedloc.cli.common import Json, check_picture, parse_numbers, say, show

if TYPE_CHECKING:
    from napari_dilatedloc.config import PixelNoise
    from napari_dilatedloc.psf.crlb import Crlb

COLUMNS = ("z nm", "x nm", "y nm", "z sigma nm", "photons", "background")


def crlb(
    psf: Annotated[str, typer.Option(help="PSF name or calibration file.")],
    photons: Annotated[float, typer.Option(help="Photons of the molecule.")] = 5000.0,
    background: Annotated[float, typer.Option(help="Background, photons a pixel.")] = 50.0,
    camera: Annotated[
        Path | None, typer.Option(help="Camera settings, YAML; default: pure shot noise.")
    ] = None,
    z_range: Annotated[
        str | None, typer.Option(help="Range of z, nm, LOW:HIGH; default: the PSF's.")
    ] = None,
    points: Annotated[int, typer.Option(min=1, help="Number of z.")] = 41,
    out: Annotated[Path | None, typer.Option(help="Picture to write, .png, .pdf or .svg.")] = None,
    as_json: Json = False,
) -> None:
    """Give the best precision any method can reach with a PSF (Cramer-Rao bound).

    Standard deviations of x, y, z, photons and background of one molecule, for each z.
    """
    import numpy as np

    from napari_dilatedloc.psf import crlb as bounds
    from napari_dilatedloc.psf.build import load_psf

    if out is not None:
        check_picture(out, "--out")
    spots = load_psf(psf)
    low, high = (
        spots.config.z_range_nm if z_range is None else parse_numbers(z_range, 2, "--z-range", ":")
    )
    if low > high:
        raise ValueError(f"--z-range must be LOW:HIGH, got {z_range!r}; swap the two")
    z_nm = np.linspace(low, high, points) if points > 1 else [(low + high) / 2]
    found = bounds.crlb(spots, z_nm, photons, background, _noise(camera))
    if as_json:
        show(_without_infinities(found), as_json)
    else:
        _table(found)
    if out is not None:
        from napari_dilatedloc.psf.plots import save_crlb

        title = f"{Path(psf).name}: {photons:g} photons, background {background:g}"
        save_crlb(out, found, title)
        say(f"wrote {out}")


def _noise(camera: Path | None) -> PixelNoise:
    from napari_dilatedloc.camera import build_camera
    from napari_dilatedloc.config import CameraConfig, PixelNoise, load_yaml

    return PixelNoise() if camera is None else build_camera(load_yaml(CameraConfig, camera)).noise


def _without_infinities(found: Crlb) -> dict[str, list[float | None]]:
    """Plain lists; null where the image cannot tell, since JSON knows no infinity."""
    return {
        name: [value if isfinite(value) else None for value in values]
        for name, values in found.to_dict().items()
    }


def _table(found: Crlb) -> None:
    """One row per z."""
    typer.echo("  ".join(f"{name:>10}" for name in COLUMNS))
    for row in zip(*found.to_dict().values(), strict=True):
        typer.echo("  ".join(f"{value:10.4g}" for value in row))
    typer.echo(f"mean 3-D bound, sqrt(x^2 + y^2 + z^2): {found.mean_3d_nm:.4g} nm")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(crlb)
