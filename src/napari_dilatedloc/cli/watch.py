"""``dilatedloc watch``: localize while the microscope records."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_dilatedloc.cli.common import Json, PixelSize, progress_bar, say
from napari_dilatedloc.cli.kept_run import (
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
    TableFile,
    Threshold,
    TileSize,
    check_output,
    model_with_camera,
)

if TYPE_CHECKING:
    from napari_dilatedloc.inference.record import RunRecord
    from napari_dilatedloc.inference.report import LocalizeReport
    from napari_dilatedloc.inference.store import RunFolder
    from napari_dilatedloc.inference.watch import Patience
    from napari_dilatedloc.io.frames import FrameStack
    from napari_dilatedloc.io.growing import GrowingMovie
    from napari_dilatedloc.network.checkpoint import Model


def watch(
    folder: Annotated[
        Path, typer.Argument(help="Folder that TIFF files are written into, or the first file.")
    ],
    model: ModelName,
    out: TableFile,
    idle_s: Annotated[
        float, typer.Option(min=0.1, help="Seconds without a new frame after which it is over.")
    ] = 60.0,
    look_s: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 0.5,
    threshold: Threshold = None,
    pixel_size_nm: PixelSize = None,
    camera: CameraFile = None,
    device: Device = None,
    tile_size: TileSize = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Localize a movie while it is being recorded.

    Takes every frame once, as soon as it is whole and its neighbours are there. Ends when nothing
    new has come for --idle-s, or with Ctrl-C; then the table is written, that of
    'dilatedloc localize' on the finished movie but for rounding.
    """
    from napari_dilatedloc.config import LocalizeConfig, parse_config
    from napari_dilatedloc.inference.checks import check_model_fits
    from napari_dilatedloc.inference.record import identify, record_of
    from napari_dilatedloc.inference.store import begin, folder_of
    from napari_dilatedloc.inference.watch import Patience
    from napari_dilatedloc.io.growing import GrowingMovie
    from napari_dilatedloc.io.movie import movie_of

    check_output(out, resume, overwrite)
    options = {"threshold": threshold, "device": device, "tile_size": tile_size}
    stated = {name: value for name, value in options.items() if value is not None}
    settings = parse_config(LocalizeConfig, stated, "watch")
    trained = model_with_camera(model, camera)
    source, patience = GrowingMovie(folder), Patience(look_s, idle_s)
    first = _first_frames(source, patience)
    pixel = pixel_size_nm or trained.info.pixel_size_nm
    record = record_of(movie_of(first, folder, pixel_size_nm), trained, settings, pixel, out.name)
    place = folder_of(out)
    run = begin(place, _grown(record, place), resume=resume, overwrite=overwrite)
    if run.record.status == "finished":
        say_finished(run, out)
    else:
        warnings = check_model_fits(first, pixel_size_nm, trained.info)
        warn(warnings)
        run, report = _fill(source, trained, run, patience)
        whole = source.look(over=True) or first
        seen = identify(movie_of(whole, folder, pixel_size_nm))
        filled = run.note(movie=seen), report, False
        run = write_and_judge(whole, trained, filled, out, warnings)
    show_run(run, out, as_json)


def _first_frames(source: GrowingMovie, patience: Patience) -> FrameStack:
    """What there is as soon as there is anything."""
    say("waiting for the first frame")
    until = time.monotonic() + patience.idle_s
    while (movie := source.look()) is None:
        if time.monotonic() > until:
            raise ValueError(
                f"no frame came into {source.path} within {patience.idle_s:g} s; check where the "
                "microscope writes, or give a longer --idle-s"
            )
        time.sleep(patience.look_s)
    return movie


def _grown(record: RunRecord, place: Path) -> RunRecord:
    """Take the movie of an unfinished run in that place for this one: it has grown since."""
    from napari_dilatedloc.inference.store import RunError, RunFolder

    try:
        before = RunFolder.open(place).record
    except RunError:
        return record
    is_same = before.movie.path == record.movie.path and before.status != "finished"
    return record.replace(movie=before.movie) if is_same else record


def _fill(
    source: GrowingMovie, model: Model, folder: RunFolder, patience: Patience
) -> tuple[RunFolder, LocalizeReport]:
    """Localize what comes until it is over."""
    from napari_dilatedloc.inference.record import how_of
    from napari_dilatedloc.inference.report import RunMeter
    from napari_dilatedloc.inference.store import working
    from napari_dilatedloc.inference.watch import watch as blocks

    meter, parts_before = RunMeter(), folder.parts()
    first = parts_before[-1].stop if parts_before else 0
    with working(folder) as parts, progress_bar() as bar, _ctrl_c() as over:
        task = bar.add_task("watching", total=None, note="")
        config = folder.record.settings_used
        for block in blocks(source, model, config, patience=patience, first=first, over=over):
            if not folder.record.how:
                # pieces differ in length: the first must not bound the batches of the others
                how = how_of(block)
                how.pop("batch_frames", None)
                folder = folder.note(how=how)
            meter.add(block)
            parts.add(block.start, block.stop, block.localizations)
            bar.update(task, total=block.total, completed=block.stop, note=note(meter.report))
    return folder, meter.report


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Event that Ctrl-C sets; pressed once more it interrupts as usual."""
    over = threading.Event()
    usual = signal.getsignal(signal.SIGINT)

    def end(_number: int, _frame: Any) -> None:
        say("finishing the frames that are there; Ctrl-C once more leaves at once")
        over.set()
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, end)
    try:
        yield over
    finally:
        signal.signal(signal.SIGINT, usual)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(watch)
