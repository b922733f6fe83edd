"""``dilatedloc demo``: the whole path on a simulated movie with the shipped weights."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from napari_dilatedloc.cli.common import say
from napari_dilatedloc.cli.localize import run

MODEL = "astigmatism"
FRAMES, SIZE, SEED = 400, 64, 7
MAGNIFICATION = 10
MIN_PHOTONS = 500.0  # dimmer truth counts neither for nor against, as in the SMLM Challenge


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo-out"),
    frames: Annotated[int, typer.Option(min=10, help="Frames of the movie.")] = FRAMES,
    gui: Annotated[bool, typer.Option(help="Open the result in napari.")] = False,
) -> None:
    """Simulate a movie, localize it with the shipped weights and judge the result."""
    from napari_dilatedloc import render
    from napari_dilatedloc.config import LocalizeConfig
    from napari_dilatedloc.evaluation import evaluate
    from napari_dilatedloc.io.movie import open_movie, write_movie
    from napari_dilatedloc.io.tables import write_table, write_truth
    from napari_dilatedloc.network.checkpoint import load_model
    from napari_dilatedloc.psf.build import build_psf
    from napari_dilatedloc.simulation.structure import simulate_structure
    from napari_dilatedloc.table import TableInfo

    out.mkdir(parents=True, exist_ok=True)
    model = load_model(MODEL)
    pixel = model.info.pixel_size_nm
    psf = build_psf(model.info.psf, model.psf_tensors)
    movie, truth = simulate_structure(
        psf, model.info.camera, frames=frames, size=(SIZE, SIZE), seed=SEED
    )
    write_movie(out / "movie.tif", movie, pixel)
    write_truth(out / "truth.csv", truth, pixel)

    found, report = run(open_movie(out / "movie.tif").data, model, LocalizeConfig())
    info = TableInfo(pixel, (SIZE, SIZE), frames)
    written = [out / "movie.tif", out / "truth.csv"]
    written += write_table(out / "localizations.csv", found, info)
    written += write_table(out / "localizations.hdf5", found, info)
    image = render.gaussian(found, (SIZE, SIZE), MAGNIFICATION)
    coloured = render.colour_by_z(found, (SIZE, SIZE), MAGNIFICATION, model.info.z_range_nm)
    render.write_image(out / "super_resolution.tif", image, pixel / MAGNIFICATION)
    render.write_image(out / "super_resolution.png", coloured, pixel / MAGNIFICATION)
    figures = {
        **asdict(report),
        **evaluate(found, truth, pixel, min_photons=MIN_PHOTONS).to_dict(),
        "model": MODEL,
    }
    (out / "report.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
    written += [out / f"super_resolution{s}" for s in (".tif", ".png")] + [out / "report.json"]
    for path in written:
        say(f"wrote {path}")
    say(
        f"{figures['localizations']} localizations, Jaccard {figures['jaccard']:.3f}, lateral RMSE "
        f"{figures['rmse_lateral_nm']:.1f} nm, axial {figures['rmse_axial_nm']:.1f} nm, "
        f"{figures['frames_per_second']:.0f} frames/s"
    )
    if gui:  # its own process: the command line and the GUI do not know each other
        command = [sys.executable, "-m", "napari_dilatedloc.gui.open_demo", str(out)]
        subprocess.run(command, check=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(demo)
