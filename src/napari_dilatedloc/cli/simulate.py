"""``dilatedloc simulate``: a blinking movie with its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_dilatedloc.cli.common import check_writable, parse_numbers, say

PHOTONS = "Photons of a molecule fully on, LOW:HIGH; default: the model's or 500:8000."


def simulate(
    out: Annotated[Path, typer.Option(help="Movie to write, .tif.")],
    truth: Annotated[Path | None, typer.Option(help="Truth to write, Challenge .csv.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Take PSF, camera and ranges from this model.")
    ] = None,
    psf: Annotated[str | None, typer.Option(help="PSF name or file, instead of a model.")] = None,
    camera: Annotated[Path | None, typer.Option(help="Camera settings, YAML.")] = None,
    simulation: Annotated[
        Path | None, typer.Option(help="Simulation settings, YAML; the options below override it.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames of the movie.")] = 1000,
    size: Annotated[int, typer.Option(min=16, help="Side of the square field, px.")] = 64,
    density_per_um2: Annotated[
        float | None, typer.Option(help="Molecules on per um2 and frame.", min=0)
    ] = None,
    photons: Annotated[str | None, typer.Option(help=PHOTONS)] = None,
    bg: Annotated[float | None, typer.Option(help="Background, photons a pixel.", min=0)] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same movie.")] = 0,
) -> None:
    """Simulate a movie of blinking molecules, with the true positions."""
    from napari_dilatedloc.config import (
        CameraConfig,
        SCMOSConfig,
        SimulationConfig,
        load_yaml,
        parse_config,
    )
    from napari_dilatedloc.io.movie import write_movie
    from napari_dilatedloc.io.tables import write_truth
    from napari_dilatedloc.network.checkpoint import load_model
    from napari_dilatedloc.psf.build import build_psf, load_psf
    from napari_dilatedloc.simulation.simulator import simulate_movie

    if (model is None) == (psf is None):
        raise ValueError("give either --model or --psf, so that it is clear which PSF to simulate")
    check_writable(out)
    if truth is not None:
        check_writable(truth)
    if model is not None:
        trained = load_model(model)
        spots = build_psf(trained.info.psf, trained.psf_tensors)
        settings, config = trained.info.camera, trained.info.simulation
    else:
        spots, settings, config = load_psf(str(psf)), SCMOSConfig(), SimulationConfig()
    if camera is not None:
        settings = load_yaml(CameraConfig, camera)
    if simulation is not None:
        config = load_yaml(SimulationConfig, simulation)
    changes: dict[str, float | tuple[float, ...]] = {}
    if density_per_um2 is not None:
        changes["density_per_um2"] = (density_per_um2, density_per_um2)
    if photons is not None:
        bounds = parse_numbers(photons, 2, "--photons", ":")
        # what a network should find does not matter to a movie, but must fit its photons
        changes |= {"photons": bounds, "min_photons": min(config.min_photons, max(bounds[1], 0))}
    if bg is not None:
        changes["bg"] = (bg, bg)
    config = parse_config(SimulationConfig, {**config.model_dump(), **changes}, "simulation")
    movie, emitters = simulate_movie(
        spots, settings, config, frames=frames, size=(size, size), seed=seed
    )
    write_movie(out, movie, spots.config.pixel_size_nm)
    say(f"{out}: {frames} frames of {size} x {size} px, {len(emitters)} emitters")
    if truth is not None:
        write_truth(truth, emitters, spots.config.pixel_size_nm)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(simulate)
