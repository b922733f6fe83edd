"""``dilatedloc localize``: a movie to a table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_dilatedloc.cli.common import (
    Device,
    Json,
    PixelSize,
    check_writable,
    parse_numbers,
    progress_bar,
    say,
    show,
)

if TYPE_CHECKING:
    from napari_dilatedloc.config import LocalizeConfig
    from napari_dilatedloc.inference.afterwards import RunCheck
    from napari_dilatedloc.inference.pipeline import LocalizeReport
    from napari_dilatedloc.network.checkpoint import Model
    from napari_dilatedloc.table import Localizations


def localize(
    movie: Annotated[Path, typer.Argument(help="TIFF movie, or a folder of single frames.")],
    model: Annotated[str, typer.Option(help="Model name (astigmatism) or file.")],
    out: Annotated[
        Path, typer.Option(help="Table to write: .csv (ThunderSTORM), .hdf5 (Picasso), .h5 (own).")
    ],
    frames: Annotated[str | None, typer.Option(help="Frames A:B, from 0, B left out.")] = None,
    roi: Annotated[str | None, typer.Option(help="Region y0,x0,y1,x1 in px.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Smallest detection probability, 0-1.")
    ] = None,
    pixel_size_nm: PixelSize = None,
    camera: Annotated[
        Path | None, typer.Option(help="Camera settings, YAML, if not the model's.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Localize the molecules of a movie.

    Ctrl-C stops the run and keeps the frames done so far. What speaks against the model, before and
    after the run, is said on standard error and stands under "warnings" in the JSON.
    """
    from napari_dilatedloc.config import CameraConfig, load_yaml
    from napari_dilatedloc.inference.afterwards import RunCheck
    from napari_dilatedloc.inference.checks import check_model_fits, check_run
    from napari_dilatedloc.io.movie import open_movie
    from napari_dilatedloc.io.tables import write_table
    from napari_dilatedloc.network.checkpoint import load_model
    from napari_dilatedloc.table import TableInfo

    check_writable(out)
    trained = load_model(model)
    if camera is not None:
        trained = trained.with_camera(load_yaml(CameraConfig, camera))
    opened = open_movie(movie, pixel_size_nm=pixel_size_nm)
    config = _config(frames, roi, threshold, device)
    warnings = check_model_fits(opened.data, opened.pixel_size_nm, trained.info)
    _warn(warnings)
    check = RunCheck(trained.info, check_run(opened.data, config)[1])
    found, report = run(opened.data, trained, config, check=check)
    length, height, width = opened.data.shape
    pixel = opened.pixel_size_nm or trained.info.pixel_size_nm
    paths = write_table(out, found, TableInfo(pixel, (height, width), length))
    after = _doubts(opened.data, found, trained, check)
    _warn(after)
    figures = {"tables": [str(p) for p in paths], "pixel_size_nm": pixel, **asdict(report)}
    show({**figures, "warnings": warnings + after} if as_json else figures, as_json)


def _warn(sentences: list[str]) -> None:
    for sentence in sentences:
        say(f"warning: {sentence}")


def _doubts(movie: Any, found: Localizations, model: Model, check: RunCheck) -> list[str]:
    """What the table and its spots say against the model; the table is written by then."""
    from napari_dilatedloc.matching.misfit import check_spots

    return check.doubts + check_spots(movie, found, model)


def _config(
    frames: str | None, roi: str | None, threshold: float | None, device: str
) -> LocalizeConfig:
    from napari_dilatedloc.config import LocalizeConfig, parse_config

    values: dict[str, Any] = {"device": device, "threshold": threshold}
    if frames is not None:
        values["frames"] = tuple(int(v) for v in parse_numbers(frames, 2, "--frames", ":"))
    if roi is not None:
        values["roi"] = tuple(int(v) for v in parse_numbers(roi, 4, "--roi"))
    config: LocalizeConfig = parse_config(LocalizeConfig, values, "localize")
    return config


def run(
    movie: Any,
    model: Model,
    config: LocalizeConfig,
    on_block: Callable[[Localizations], None] | None = None,
    check: RunCheck | None = None,
) -> tuple[Localizations, LocalizeReport]:
    """Localize with a progress bar; Ctrl-C ends it early with what there is.

    `check` is told of every block.
    """
    from napari_dilatedloc.inference.pipeline import RunMeter
    from napari_dilatedloc.inference.pipeline import localize as blocks
    from napari_dilatedloc.table import Localizations

    meter, parts, stop = RunMeter(), [], threading.Event()
    with progress_bar() as bar:
        task = bar.add_task("localizing", total=None, note="")
        try:
            for block in blocks(movie, model, config, stop=stop):
                meter.add(block)
                parts.append(block.localizations)
                if check is not None:
                    check.add(block)
                if on_block is not None:
                    on_block(block.localizations)
                report = meter.report
                note = f"{report.localizations} localizations, {report.frames_per_second:.0f} fps"
                bar.update(task, total=block.total, completed=report.frames, note=note)
        except KeyboardInterrupt:
            stop.set()
            say(f"stopped: frames 0 to {meter.report.frames - 1} of the run are kept")
    return Localizations.concatenate(parts), meter.report


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(localize)
