"""``dilatedloc match``: from a movie to the settings of its training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_dilatedloc.cli.common import (
    Json,
    PixelSize,
    check_picture,
    check_writable,
    parse_numbers,
    progress_bar,
    say,
    show,
)

if TYPE_CHECKING:
    from napari_dilatedloc.config import CameraConfig, TrainingConfig
    from napari_dilatedloc.matching.match import MovieMatch


def match(
    movie: Annotated[Path, typer.Argument(help="TIFF movie, or a folder of single frames.")],
    psf: Annotated[str, typer.Option(help="PSF name or calibration file.")],
    out: Annotated[Path, typer.Option(help="Training settings to write, YAML.")],
    camera: Annotated[
        Path | None, typer.Option(help="Camera settings, YAML; default: those of --config.")
    ] = None,
    pixel_size_nm: PixelSize = None,
    frames: Annotated[str | None, typer.Option(help="Frames A:B, from 0, B left out.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Training settings to start from, YAML; told where they fall short."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Picture of real and simulated frames, .png, .pdf, .svg.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    as_json: Json = False,
) -> None:
    """Estimate from a movie what training must cover, and check camera and PSF.

    Writes settings for 'dilatedloc train --config'.
    """
    from napari_dilatedloc.config import TrainingConfig, load_yaml, save_yaml
    from napari_dilatedloc.io.movie import open_movie
    from napari_dilatedloc.matching.match import match_movie
    from napari_dilatedloc.psf.build import load_psf

    check_writable(out)
    if figure is not None:
        check_picture(figure)
    base = load_yaml(TrainingConfig, config) if config is not None else None
    settings = _camera(camera, base)
    opened = open_movie(movie, pixel_size_nm=pixel_size_nm)
    span = None
    if frames is not None:
        first, last = parse_numbers(frames, 2, "--frames", ":")
        span = (int(first), int(last))
    spots = load_psf(psf)
    with progress_bar() as bar:
        task = bar.add_task("matching", total=100, note="")
        found = match_movie(
            opened.data,
            spots,
            settings,
            pixel_size_nm=opened.pixel_size_nm,
            frames=span,
            base=base,
            seed=seed,
            progress=lambda what, share: bar.update(task, completed=round(100 * share), note=what),
        )
    save_yaml(found.config, out, stated_only=True)
    if figure is not None:
        from napari_dilatedloc.matching.figure import save_match

        save_match(figure, found, f"{movie.name} and frames simulated to match it")
    _report(found, out, as_json)
    say(f"wrote {out}{'' if figure is None else f' and {figure}'}")


def _camera(path: Path | None, base: TrainingConfig | None) -> CameraConfig:
    """Camera of a file, of the settings to start from, or a typical one, said aloud."""
    from napari_dilatedloc.config import CameraConfig, SCMOSConfig, load_yaml

    if path is not None:
        camera: CameraConfig = load_yaml(CameraConfig, path)
        return camera
    if base is not None and "camera" in base.model_fields_set:
        return base.camera
    typical = SCMOSConfig()
    say(
        f"no camera given: an sCMOS with baseline {typical.baseline:g} ADU and "
        f"{typical.e_per_adu:g} e/ADU is taken; give yours with --camera"
    )
    return typical


def _report(found: MovieMatch, out: Path, as_json: bool) -> None:
    if as_json:
        figures: dict[str, Any] = {
            "config": str(out),
            "estimate": found.estimate.to_dict(),
            "verdicts": [asdict(verdict) for verdict in found.verdicts],
            "histogram_overlap": found.comparison.overlap,
        }
        show(figures, True)
        return
    estimate = found.estimate
    life = estimate.lifetime_frames
    show(
        {
            "background": f"{estimate.bg} photons per pixel",
            "photons": f"{estimate.photons} of a molecule in a frame",
            "density": f"{estimate.density_per_um2} per um2",
            "lifetime": "unknown" if life is None else f"{life:.3g} frames",
            "z": f"{estimate.z_range_nm[0]:.0f} to {estimate.z_range_nm[1]:.0f} nm",
            "rests on": f"{estimate.spots} spots, {estimate.fits} fits, {estimate.pairs} spots "
            f"followed, {estimate.frames} frames",
        },
        False,
    )
    for verdict in found.verdicts:
        mark = verdict.level if verdict.checked else "-"
        typer.echo(f"{mark:>8}: {verdict.sentence}")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(match)
