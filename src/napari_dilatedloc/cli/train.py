"""``dilatedloc train`` and ``dilatedloc networks``."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_dilatedloc.cli.common import (
    Device,
    Json,
    check_writable,
    parse_numbers,
    progress_bar,
    say,
    show,
)

if TYPE_CHECKING:
    from napari_dilatedloc.config import TrainingConfig
    from napari_dilatedloc.training.step import TrainingStep

INTERRUPTED = 130
"""Exit status of a program that was ended with Ctrl-C."""
PAIR = "LOW:HIGH; default: the settings file's or the built-in."


def train(
    psf: Annotated[str, typer.Option(help="PSF name or calibration file.")],
    out: Annotated[Path, typer.Option(help="Model file to write, .safetensors.")],
    camera: Annotated[Path | None, typer.Option(help="Camera settings, YAML.")] = None,
    config: Annotated[Path | None, typer.Option(help="All training settings, YAML.")] = None,
    init: Annotated[
        str, typer.Option(help="Weights to start from: 'auto', a model, or 'none'.")
    ] = "auto",
    resume: Annotated[bool, typer.Option(help="Go on where a killed run stopped.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Length of the run, minutes.")] = None,
    steps: Annotated[int | None, typer.Option(help="Length of the run, steps.")] = None,
    network: Annotated[str | None, typer.Option(help="Network; see 'dilatedloc networks'.")] = None,
    photons: Annotated[str | None, typer.Option(help=f"Photons of a molecule, {PAIR}")] = None,
    bg: Annotated[str | None, typer.Option(help=f"Background photons a pixel, {PAIR}")] = None,
    density_per_um2: Annotated[str | None, typer.Option(help=f"Density, {PAIR}")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same run.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a network on simulated movies of your PSF and camera.

    Starts from the shipped weights whose PSF is the most like yours, which takes minutes ('--init
    none' starts from nothing and takes hours). The best weights are in OUT from the first
    validation on; Ctrl-C stops after the step at hand, and the same command with --resume goes on
    from there.
    """
    import torch

    from napari_dilatedloc.psf.build import load_psf
    from napari_dilatedloc.training.start import choose_start
    from napari_dilatedloc.training.trainer import train as run

    if minutes is not None and steps is not None:
        raise ValueError("give --minutes or --steps, not both")
    check_writable(out)
    ranges = {"photons": photons, "bg": bg, "density_per_um2": density_per_um2}
    options = {
        "minutes": minutes,
        "steps": steps,
        "network": network,
        "learning_rate": learning_rate,
        "seed": seed,
        "device": None if device == "auto" else device,
    }
    spots = load_psf(psf)
    settings = _base(config, out if resume else None)
    wanted = network or settings.network
    start = None if resume else choose_start(init, spots, wanted, say)
    if start is not None:
        if network is not None and start.info.network != network:
            raise ValueError(
                f"the weights of {start.name} are those of the network {start.info.network!r}, but "
                f"--network says {network!r}; leave one of the two out"
            )
        settings = settings.for_fine_tuning()
    settings = _with_options(settings, camera, ranges, options)
    torch.set_flush_denormal(True)  # tiny gradients make CPU convolutions many times slower
    try:
        with _stop_on_interrupt() as stop:
            _follow(run(settings, spots, out, resume=resume, init=start, stop=stop))
    finally:  # it holds for the whole process, numpy's numbers too
        torch.set_flush_denormal(False)
    _conclude(out, as_json, stopped=stop.is_set())


def _base(config: Path | None, resumed: Path | None) -> TrainingConfig:
    """Settings before the command line's: those of a run to resume, of a file, or the defaults."""
    from napari_dilatedloc.config import TrainingConfig, load_yaml
    from napari_dilatedloc.training.places import checkpoint_path
    from napari_dilatedloc.training.state import read_settings

    stated: TrainingConfig = load_yaml(TrainingConfig, config) if config else TrainingConfig()
    if resumed is None:
        return stated
    changes = {name: getattr(stated, name) for name in stated.model_fields_set}
    return read_settings(checkpoint_path(resumed)).model_copy(update=changes)


def _with_options(
    settings: TrainingConfig,
    camera: Path | None,
    ranges: dict[str, str | None],
    options: dict[str, Any],
) -> TrainingConfig:
    """Settings with what the command line says."""
    from napari_dilatedloc.config import CameraConfig, SimulationConfig, load_yaml, parse_config

    changes = {name: value for name, value in options.items() if value is not None}
    if "steps" in changes:
        changes["minutes"] = None  # the command line's length counts, not the file's
    if camera is not None:
        changes["camera"] = load_yaml(CameraConfig, camera)
    given = {
        name: parse_numbers(text, 2, f"--{name.replace('_', '-')}", ":")
        for name, text in ranges.items()
        if text is not None
    }
    if given:
        ranges_now = {**settings.simulation.model_dump(), **given}
        changes["simulation"] = parse_config(SimulationConfig, ranges_now, "simulation")
    return settings.replace(**changes)


@contextmanager
def _stop_on_interrupt() -> Iterator[Event]:
    """Event that the first Ctrl-C sets; the second one interrupts as usual."""
    stop, usual = Event(), signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, usual)
        stop.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, usual)


def _follow(steps: Iterator[TrainingStep]) -> None:
    """Show progress, validations and what happens besides."""
    before = best = math.inf
    with progress_bar() as bar:
        task = bar.add_task("training", total=1000, note="")
        for step in steps:
            bar.update(task, completed=round(1000 * step.progress), note=_note(step))
            if step.note:
                bar.console.print(step.note, highlight=False)
            if step.evaluation is not None:
                bar.console.print(f"step {step.step}: {_accuracy(step)}", highlight=False)
                if step.step == 0:
                    before = step.validation_loss
                elif step.is_best:
                    best = step.validation_loss
    if before <= best < math.inf:
        say("no better than the weights it began with: train longer, or use those")


def _conclude(out: Path, as_json: bool, *, stopped: bool) -> None:
    """Show what the model file says of itself; end as interrupted if the run was."""
    from napari_dilatedloc.network.shipped import read_info
    from napari_dilatedloc.training.places import checkpoint_path

    if stopped and checkpoint_path(out).exists():
        say("stopped; the same command with --resume goes on from here")
    elif not stopped and not out.exists():
        raise ValueError("the run ended before its first validation; train longer")
    if out.exists():
        info = read_info(out)
        show(
            {"model": str(out), "steps": info.steps, **info.metrics, "test_set": info.test_set},
            as_json,
        )
    if stopped:
        raise typer.Exit(INTERRUPTED)


def _note(step: TrainingStep) -> str:
    if step.progress >= 1 and step.final is None:
        return "calibrating and testing, a minute or two"
    return f"step {step.step}, loss {sum(step.losses.values()):.2f}"


def _accuracy(step: TrainingStep) -> str:
    e = step.evaluation
    if e is None:
        return ""
    best = ", best so far" if step.is_best else ""
    before = ", before training" if step.step == 0 else ""
    bound = ""
    if step.isolated is not None:
        lateral, axial = step.isolated.rmse_over_crlb_lateral, step.isolated.rmse_over_crlb_axial
        bound = f"; isolated: {lateral:.2f} and {axial:.2f} x CRLB"
    return (
        f"Jaccard {e.jaccard:.3f}, lateral {e.rmse_lateral_nm:.1f} nm, "
        f"axial {e.rmse_axial_nm:.1f} nm{bound}{before}{best}"
    )


def networks(as_json: Json = False) -> None:
    """List the networks, their parameters and cost per 128 x 128 frame."""
    from napari_dilatedloc.network.registry import build_all, count_macs, count_parameters

    rows = [
        {
            "name": name,
            "parameters": count_parameters(module),
            "macs_128": count_macs(module, 128),
        }
        for name, module in build_all().items()
    ]
    show(rows, as_json)
    if not as_json:
        say("macs_128: multiply-accumulates for one more 128 x 128 frame of a stream")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(train)
    app.command()(networks)
