"""A run that is kept on disk, as the commands `localize` and `watch` go through it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dilatedloc.cli.common import needs_cluster, progress_bar, say, show

if TYPE_CHECKING:
    from napari_dilatedloc.config import LocalizeConfig
    from napari_dilatedloc.inference.engine import Engine
    from napari_dilatedloc.inference.report import LocalizedBlock, LocalizeReport
    from napari_dilatedloc.inference.store import Part, RunFolder
    from napari_dilatedloc.network.checkpoint import Model
    from napari_dilatedloc.table import Localizations

Filled = tuple["RunFolder", "LocalizeReport", bool]
"""The folder, the figures of this session, and whether Ctrl-C ended it."""


def fill(movie: Any, model: Model, folder: RunFolder) -> Filled:
    """Localize the frames that no part holds, in this process."""
    from napari_dilatedloc.inference.device import choose_device
    from napari_dilatedloc.inference.engine import build_engine
    from napari_dilatedloc.inference.record import how_of
    from napari_dilatedloc.inference.report import RunMeter
    from napari_dilatedloc.inference.store import working

    first, last = folder.record.frames
    missing = folder.missing()
    done = _say_done(folder)
    meter = RunMeter()
    with working(folder) as parts, progress_bar() as bar:
        task = bar.add_task("localizing", total=last - first, completed=done, note="")
        config = folder.record.settings_used
        engine = build_engine(model.network, choose_device(config.device), config)
        try:
            for start, stop in missing:

                def keep(block: LocalizedBlock, start: int = start) -> None:
                    nonlocal folder
                    known = folder.record.how
                    if "device" not in known:
                        folder = folder.note(how={**how_of(block), **known})
                    meter.add(block)
                    parts.add(start + block.start, start + block.stop, block.localizations)
                    bar.update(task, completed=done + meter.report.frames, note=note(meter.report))

                settings = folder.record.settings_used.replace(frames=(start, stop))
                follow(movie, model, settings, keep, engine)
        except KeyboardInterrupt:
            say(f"stopped: {done + meter.report.frames} of {last - first} frames are kept")
            return folder, meter.report, True
    return folder, meter.report, False


def fill_on_cluster(
    model: Model, folder: RunFolder, workers: int | None, scheduler: str | None
) -> Filled:
    """The same on the workers of a cluster, a local one unless a scheduler is given."""
    with needs_cluster():
        from napari_dilatedloc.inference.cluster import (
            TASK_FRAMES,
            TILE_PX,
            ClusterRun,
            connect,
            localize_on_cluster,
            sum_up,
        )

    # noted, so that one process that goes on with the run cuts as the workers did
    how = {"tile_size": folder.record.settings_used.tile_size or TILE_PX}
    record = folder.note(how={**folder.record.how, **how}).record
    first, last = record.frames
    spans, done = folder.missing(block=TASK_FRAMES), _say_done(folder)
    # workers may stand in another folder: a path is sent whole, a shipped name as it is
    name = str(Path(model.name).absolute()) if Path(model.name).is_file() else model.name
    folder = replace(folder, path=folder.path.absolute())
    run = ClusterRun(record.movie.path, name, record.camera, record.settings_used, folder)
    reports, began = [], time.perf_counter()
    with connect(workers, scheduler) as client, progress_bar() as bar:
        task = bar.add_task("localizing", total=last - first, completed=done, note="")
        try:
            with closing(localize_on_cluster(client, run, spans)) as tasks:
                for ended in tasks:
                    reports.append(ended.report)
                    seconds = time.perf_counter() - began
                    summed = sum_up(reports, seconds)
                    bar.update(task, completed=done + summed.frames, note=note(summed))
        except KeyboardInterrupt:
            kept = sum(part.stop - part.start for part in folder.parts())
            say(f"stopped: {kept} of {last - first} frames are kept")
            return folder, sum_up(reports, time.perf_counter() - began), True
    return folder, sum_up(reports, time.perf_counter() - began), False


def write_and_judge(
    movie: Any, model: Model, filled: Filled, out: Path, warnings: list[str]
) -> RunFolder:
    """Write the table of what is there and say what speaks against it."""
    from napari_dilatedloc.inference.afterwards import RunCheck, TableSample
    from napari_dilatedloc.inference.checks import check_run
    from napari_dilatedloc.matching.misfit import check_spots

    folder, report, stopped = filled
    frames, region = check_run(movie, folder.record.settings)
    check, sample = RunCheck(model.info, region), TableSample(*frames)
    done = {"frames": 0, "localizations": 0}

    def judge(part: Part, found: Localizations) -> None:
        done["frames"] += part.stop - part.start
        done["localizations"] += len(found)
        sample.add(found)
        check.add(part.start, part.stop, found)

    files = folder.export(out, judge)
    after = check.doubts + check_spots(movie, sample.table, model)
    warn(after)
    changes = {
        "tables": [file.name for file in files],
        "report": {**(asdict(report) if report.frames else folder.record.report), **done},
        "warnings": warnings + after,
    }
    return folder.stop(**changes) if stopped else folder.finish(**changes)


def follow(
    movie: Any,
    model: Model,
    config: LocalizeConfig,
    keep: Callable[[LocalizedBlock], None],
    engine: Engine | None = None,
) -> None:
    """Run the pipeline, whose threads end with this; `keep` gets every block."""
    from napari_dilatedloc.inference.pipeline import localize as blocks

    with closing(blocks(movie, model, config, engine=engine)) as found:
        for block in found:
            keep(block)


def note(report: LocalizeReport) -> str:
    """What the progress bar says beside itself."""
    return f"{report.localizations} localizations, {report.frames_per_second:.0f} fps"


def warn(sentences: list[str]) -> None:
    """Say doubts on standard error."""
    for sentence in sentences:
        say(f"warning: {sentence}")


def say_finished(folder: RunFolder, out: Path) -> None:
    """Say that there is nothing to do."""
    report = folder.record.report
    say(
        f"{out} is finished: {report['localizations']} localizations in {report['frames']} "
        "frames; --overwrite localizes the movie again"
    )


def show_run(folder: RunFolder, out: Path, as_json: bool) -> None:
    """Print the figures of a run."""
    record = folder.record
    figures = {
        "tables": [str(out.with_name(name)) for name in record.tables],
        "pixel_size_nm": record.pixel_size_nm,
        **record.report,
        "run": str(folder.path / "run.json"),
    }
    if as_json:
        figures["warnings"] = record.warnings
    else:
        stages = figures.pop("stages", {})
        figures |= {f"seconds {name}": seconds for name, seconds in stages.items()}
    show(figures, as_json)


def _say_done(folder: RunFolder) -> int:
    """Frames that are there from before."""
    done = sum(part.stop - part.start for part in folder.parts())
    if done:
        first, last = folder.record.frames
        say(f"going on: {done} of {last - first} frames are there")
    return done
