"""``dilatedloc localize``: a movie to a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_dilatedloc.cli.batch import end_batch, pairs_of, run_batch
from napari_dilatedloc.cli.common import (
    Json,
    PixelSize,
    parse_numbers,
    progress_bar,
    show,
    stated_settings,
)
from napari_dilatedloc.cli.kept_run import (
    fill,
    fill_on_cluster,
    follow,
    note,
    say_finished,
    show_run,
    warn,
    write_and_judge,
)
from napari_dilatedloc.cli.run_options import (
    CameraFile,
    Device,
    ModelName,
    Overwrite,
    Resume,
    TableOrFolder,
    Threshold,
    TileSize,
    check_output,
    model_with_camera,
)

if TYPE_CHECKING:
    from napari_dilatedloc.config import LocalizeConfig
    from napari_dilatedloc.inference.report import LocalizedBlock, LocalizeReport
    from napari_dilatedloc.inference.store import RunFolder
    from napari_dilatedloc.network.checkpoint import Model
    from napari_dilatedloc.table import Localizations

ENGINES = "auto, exact, torch, compiled or openvino; exact: layer by layer in float32."


def localize(
    movies: Annotated[
        list[Path],
        typer.Argument(metavar="MOVIE...", help="TIFF movies, or folders of single frames."),
    ],
    model: ModelName,
    out: TableOrFolder,
    each: Annotated[
        bool, typer.Option("--each", help="Every TIFF file of a folder is a movie of its own.")
    ] = False,
    suffix: Annotated[
        str, typer.Option(help="Kind of the tables of several movies, as in --out.")
    ] = ".csv",
    frames: Annotated[str | None, typer.Option(help="Frames A:B, from 0, B left out.")] = None,
    roi: Annotated[str | None, typer.Option(help="Region y0,x0,y1,x1 in px.")] = None,
    threshold: Threshold = None,
    pixel_size_nm: PixelSize = None,
    camera: CameraFile = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings of the run, YAML; options here win.")
    ] = None,
    device: Device = None,
    engine: Annotated[str | None, typer.Option(help=ENGINES)] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32 or bfloat16.")] = None,
    batch_frames: Annotated[
        int | None, typer.Option(help="Frames the network sees at a time; automatic by default.")
    ] = None,
    tile_size: TileSize = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes on this machine (extra 'cluster').")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address tcp://... of a running dask cluster, instead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Localize the molecules of a movie, or of several.

    The run is kept beside the table in a folder ending in .run, so that --resume goes on after a
    crash. Ctrl-C stops the run and writes the frames done so far. What speaks against the model,
    before and after the run, is said on standard error and stands under "warnings" in the JSON.

    With several movies, or --each, --out is a folder: each movie gives a table there, and
    summary.csv tells how all of them went. One that fails does not stop the others.
    """
    if workers and scheduler:
        raise ValueError("--scheduler takes the workers there are; leave --workers out")
    options = {"threshold": threshold, "device": device, "engine": engine}
    options |= {"precision": precision, "batch_frames": batch_frames, "tile_size": tile_size}
    settings = _settings(config, frames, roi, options)
    way = _Way(resume, overwrite, workers, scheduler)
    if len(movies) == 1 and not each:
        check_output(out, resume, overwrite)
        trained = model_with_camera(model, camera)
        show_run(_localize_one(movies[0], out, trained, settings, pixel_size_nm, way), out, as_json)
        return
    pairs = pairs_of(movies, out, suffix, each=each)
    check_output(pairs[0][1], resume, overwrite)
    trained = model_with_camera(model, camera)
    rows = run_batch(
        pairs, lambda movie, to: _localize_one(movie, to, trained, settings, pixel_size_nm, way)
    )
    show(rows, as_json)
    end_batch(rows)


@dataclass(frozen=True)
class _Way:
    """How a run is begun, and by whom it is done."""

    resume: bool
    overwrite: bool
    workers: int | None
    scheduler: str | None


def _localize_one(
    movie: Path,
    out: Path,
    trained: Model,
    settings: LocalizeConfig,
    pixel_size_nm: float | None,
    way: _Way,
) -> RunFolder:
    """A movie to its table."""
    from napari_dilatedloc.inference.checks import check_model_fits, check_run
    from napari_dilatedloc.inference.record import record_of
    from napari_dilatedloc.inference.store import begin, folder_of
    from napari_dilatedloc.io.movie import open_movie

    opened = open_movie(movie, pixel_size_nm=pixel_size_nm)
    check_run(opened.data, settings)
    pixel = opened.pixel_size_nm or trained.info.pixel_size_nm
    record = record_of(opened, trained, settings, pixel, out.name)
    folder = begin(folder_of(out), record, resume=way.resume, overwrite=way.overwrite)
    if folder.record.status == "finished":
        say_finished(folder, out)
        return folder
    warnings = check_model_fits(opened.data, opened.pixel_size_nm, trained.info)
    warn(warnings)
    if way.workers or way.scheduler:
        filled = fill_on_cluster(trained, folder, way.workers, way.scheduler)
    else:
        filled = fill(opened.data, trained, folder)
    return write_and_judge(opened.data, trained, filled, out, warnings)


def _settings(
    file: Path | None, frames: str | None, roi: str | None, options: dict[str, Any]
) -> LocalizeConfig:
    """Settings of the file, and over them what the command line says."""
    from napari_dilatedloc.config import LocalizeConfig, parse_config

    values = stated_settings(LocalizeConfig, file, options)
    if frames is not None:
        values["frames"] = tuple(int(v) for v in parse_numbers(frames, 2, "--frames", ":"))
    if roi is not None:
        values["roi"] = tuple(int(v) for v in parse_numbers(roi, 4, "--roi"))
    config: LocalizeConfig = parse_config(LocalizeConfig, values, "localize")
    return config


def run(movie: Any, model: Model, config: LocalizeConfig) -> tuple[Localizations, LocalizeReport]:
    """Localize in memory with a progress bar; for movies as short as that of the demo."""
    from napari_dilatedloc.inference.report import RunMeter
    from napari_dilatedloc.table import Localizations

    meter, parts = RunMeter(), []
    with progress_bar() as bar:
        task = bar.add_task("localizing", total=None, note="")

        def keep(block: LocalizedBlock) -> None:
            meter.add(block)
            parts.append(block.localizations)
            done = meter.report
            bar.update(task, total=block.total, completed=done.frames, note=note(done))

        follow(movie, model, config, keep)
    return Localizations.concatenate(parts), meter.report


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(localize)
