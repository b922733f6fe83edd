"""``dilatedloc models``: the shipped weights and how well they do."""

from __future__ import annotations

from typing import Any

import typer

from napari_dilatedloc.cli.common import Json, say, show

FIGURES = ("jaccard", "jaccard_whole_field", "rmse_over_crlb_lateral", "rmse_over_crlb_axial")


def models(as_json: Json = False) -> None:
    """List the shipped models, what they were trained for and their measured accuracy.

    Use one by its name, as in 'dilatedloc localize MOVIE --model NAME'.
    """
    from napari_dilatedloc.network.shipped import available_models

    rows = [_row(name) for name in available_models()]
    show(rows, as_json)
    if not as_json:
        say("'dilatedloc benchmark accuracy NAME' measures a model again")


def _row(name: str) -> dict[str, Any]:
    from napari_dilatedloc.network.shipped import find_model, read_info

    info = read_info(name)
    trained = info.simulation
    return {
        "name": name,
        "megabytes": round(find_model(name).stat().st_size / 1e6, 2),
        "network": info.network,
        "psf": info.psf.kind,
        "pixel_size_nm": info.pixel_size_nm,
        "z_range_nm": list(info.z_range_nm),
        "photons": list(trained.photons),
        "bg": list(trained.bg),
        "density_per_um2": list(trained.density_per_um2),
        **{figure: info.metrics.get(figure) for figure in FIGURES},
        "cpu_hours": info.cpu_hours or None,
        "gpu_hours": info.gpu_hours or None,
        "test_set": info.test_set or None,
    }


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(models)
