"""``dilatedloc benchmark``: how fast the parts are on this machine."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from napari_dilatedloc.cli.common import Json, progress_bar

benchmark = typer.Typer(
    help="Measure how fast the parts are on this machine.", no_args_is_help=True
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
    _follow(run(sizes), count_rows(sizes), as_json)


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
    _follow(run(sizes), count_rows(sizes), as_json)


def _follow(rows: Any, total: int, as_json: bool) -> None:
    """Show progress while rows are measured, then all of them."""
    from napari_dilatedloc.benchmark.machine import describe_machine

    done = []
    with progress_bar() as bar:
        task = bar.add_task("benchmark", total=total, note="")
        for row in rows:
            done.append(row.to_dict())
            bar.update(task, advance=1, note=f"{row.name} {row.value:.4g} {row.unit}")
    machine = describe_machine()
    if as_json:
        typer.echo(json.dumps({"machine": machine, "rows": done}, indent=2))
        return
    for name, text in machine.items():
        typer.echo(f"{name:>22}  {text}")
    typer.echo("")
    for row in done:
        details = ", ".join(f"{key} {row[key]}" for key in row if key not in _MAIN)
        typer.echo(f"{row['name']:>22}  {row['value']:10.4g} {row['unit']}  ({details})")


_MAIN = ("name", "value", "unit")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(benchmark, name="benchmark")
