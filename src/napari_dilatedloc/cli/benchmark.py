"""``dilatedloc benchmark``: how fast the parts are on this machine, how accurate a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_dilatedloc.cli import benchmark_speed
from napari_dilatedloc.cli.common import (
    Device,
    Json,
    check_picture,
    check_writable,
    follow_rows,
    progress_bar,
    say,
    show,
)

benchmark = typer.Typer(
    help="Measure how fast the parts are on this machine, and how accurate a model is.",
    no_args_is_help=True,
)


@benchmark.command("psf")
def benchmark_psf(
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; the median counts.")] = 5,
    as_json: Json = False,
) -> None:
    """ROIs a second of PSFs, exact and compiled, and fits a second of isolated emitters.

    Takes some minutes; measure while the machine has nothing else to do.
    """
    from napari_dilatedloc.benchmark.psf import PSFBenchmark, count_rows
    from napari_dilatedloc.benchmark.psf import benchmark_psf as run

    sizes = PSFBenchmark(repeats=repeats)
    follow_rows(run(sizes), count_rows(sizes), as_json)


@benchmark.command("simulation")
def benchmark_simulation(
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; the median counts.")] = 5,
    as_json: Json = False,
) -> None:
    """Simulated patches, emitters and pixels a second for every preset PSF and kind of camera.

    Also the share of a training step that simulation takes. Takes a minute or two; measure while
    the machine has nothing else to do.
    """
    from napari_dilatedloc.benchmark.simulation import SimulationBenchmark, count_rows
    from napari_dilatedloc.benchmark.simulation import benchmark_simulation as run

    sizes = SimulationBenchmark(repeats=repeats)
    follow_rows(run(sizes), count_rows(sizes), as_json)


@benchmark.command("accuracy")
def benchmark_accuracy(
    model: Annotated[str, typer.Argument(help="Shipped model's name or model file.")],
    density_per_um2: Annotated[
        float | None,
        typer.Option("--density", min=0.001, help="Molecules on per um2; default: by PSF depth."),
    ] = None,
    emitters: Annotated[int, typer.Option(min=1, help="Blinking emitters, about.")] = 6000,
    per_plane: Annotated[int, typer.Option(min=1, help="Isolated molecules a z plane.")] = 100,
    figure: Annotated[
        Path | None, typer.Option(help="Picture to write, .png, .pdf or .svg.")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="Model card to write, .md.")] = None,
    remake: Annotated[str, typer.Option(help="Command that trains it, for the card.")] = "",
    write: Annotated[
        bool, typer.Option("--write", help="Calibrate anew; put all into the model file.")
    ] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Jaccard, RMSE, RMSE/CRLB, error bars, photons and sub-pixel phases of a model.

    On simulated molecules of 3000-7000 photons over a background of 50, at a density by the depth
    of the model's PSF: 0.2 per um2 up to 1.6 um, 0.06 up to 4 um, 0.03 beyond. Takes some minutes.
    """
    from napari_dilatedloc.benchmark.accuracy import AccuracyBenchmark, write_figures
    from napari_dilatedloc.benchmark.accuracy import benchmark_accuracy as run
    from napari_dilatedloc.benchmark.accuracy_figure import save_accuracy_figure
    from napari_dilatedloc.benchmark.card import model_card
    from napari_dilatedloc.inference.device import choose_device

    if figure is not None:
        check_picture(figure)
    if card is not None:
        check_writable(card)
    if write and density_per_um2 is not None:
        raise ValueError("--write stores the standard test's figures; leave --density out")
    settings = AccuracyBenchmark(
        model, density_per_um2, emitters, per_plane, write, str(choose_device(device))
    )
    last = _last(run(settings))
    report, name = last.report, Path(model).stem
    if figure is not None:
        save_accuracy_figure(figure, report, f"{name}: {report.accuracy.test_set.split(';')[0]}")
    if card is not None:
        text = model_card(name, last.model, report.accuracy, remake)
        card.write_text(text, encoding="utf-8")
    if write:
        say(f"{write_figures(model, last.model)}: calibration and figures written")
    figures = {"model": name, **report.accuracy.to_dict(), "test_set": report.accuracy.test_set}
    if as_json:
        figures |= {
            "threshold": last.model.info.threshold,
            "calibration": last.model.info.calibration.model_dump(),
            "isolated": report.isolated.to_dict(),
            "phase_deviation": report.phases.deviation.tolist(),
        }
    show(figures, as_json)


def _last(steps: Any) -> Any:
    """Show progress; give the last step."""
    with progress_bar() as bar:
        task = bar.add_task("accuracy", total=100, note="")
        for step in steps:
            bar.update(task, completed=round(100 * step.share), note=step.what)
    return step


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    benchmark_speed.register(benchmark)
    app.add_typer(benchmark, name="benchmark")
