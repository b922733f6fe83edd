"""``dilatedloc drift``: take the drift of the sample off a table, or put it back."""

from __future__ import annotations

from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_dilatedloc.cli.common import (
    Json,
    PixelSize,
    check_picture,
    check_writable,
    parse_numbers,
    say,
    settings_of,
    show,
)
from napari_dilatedloc.config.drift import DriftConfig, DriftMethod

if TYPE_CHECKING:
    from napari_dilatedloc.analysis.drift.result import Drift


def drift(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Table to correct.")],
    out: Annotated[Path, typer.Option(help="Table to write.")],
    method: Annotated[
        DriftMethod | None,
        typer.Option(help="aim (default) is fast; fiducials: beads; comet: its own package."),
    ] = None,
    segments: Annotated[
        int | None, typer.Option(min=2, help="Parts of the movie; default: by localizations.")
    ] = None,
    fiducial: Annotated[
        list[str] | None,
        typer.Option(metavar="Y,X", help="A bead's position, px; repeat; default: found."),
    ] = None,
    lateral_only: Annotated[bool, typer.Option("--lateral-only", help="Leave z as it is.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="Settings, YAML; options here overrule them.")
    ] = None,
    apply: Annotated[
        Path | None, typer.Option(help="Take the drift from this CSV, measure nothing.")
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put the drift of --apply back into the table.")
    ] = False,
    drift_out: Annotated[
        Path | None, typer.Option(help="CSV to write: frame,dx_nm,dy_nm,dz_nm.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Picture to write, .png, .pdf or .svg.")
    ] = None,
    pixel_size_nm: PixelSize = None,
    as_json: Json = False,
) -> None:
    """Measure the drift of the sample and take it off."""
    from napari_dilatedloc.analysis.drift.doubt import drift_error
    from napari_dilatedloc.analysis.drift.drift_file import load_drift, save_drift
    from napari_dilatedloc.analysis.drift.estimate import estimate_drift
    from napari_dilatedloc.analysis.parts import Places
    from napari_dilatedloc.io.tables import open_table, read_info, read_parts, table_files

    settings = _settings(config, method, segments, fiducial, lateral_only)
    _check_apply(apply, undo, measured=settings != DriftConfig())
    table_files(out)
    for path in (out, drift_out):
        if path is not None:
            check_writable(path)
    if figure is not None:
        check_picture(figure)
    info = read_info(source, pixel_size_nm=pixel_size_nm)
    parts = partial(read_parts, source, pixel_size_nm=pixel_size_nm)
    places = Places.of(parts())
    error = None
    if apply is None:
        found = estimate_drift(places, info, settings)
        error = drift_error(places, info, found, settings)
    else:
        found = load_drift(apply, info.pixel_size_nm)
    found.check(places.frame)
    step = {"method": found.method, **found.settings, **({"undo": True} if undo else {})}
    with open_table(out, info.after("drift", step, len(places))) as writer:
        for part in parts():
            writer.write(found.undo(part) if undo else found.apply(part))
    if drift_out is not None:
        save_drift(drift_out, found, info.pixel_size_nm)
    if figure is not None:
        from napari_dilatedloc.analysis.drift.plot import save_drift_figure

        save_drift_figure(figure, found, info.pixel_size_nm)
    figures = _figures(found, len(places), info.pixel_size_nm, undo)
    if error is not None:
        axes = {"x": error.x_nm, "y": error.y_nm, "z": error.z_nm}
        figures |= {f"error_{a}_nm": None if isnan(nm) else nm for a, nm in axes.items()}
        figures["warnings"] = [error.doubt] if error.doubt else []
    show(figures if as_json else {k: v for k, v in figures.items() if k != "warnings"}, as_json)
    for sentence in figures.get("warnings", []):
        say(f"warning: {sentence}")
    say(f"wrote {', '.join(str(path) for path in (out, drift_out, figure) if path is not None)}")


def _check_apply(apply: Path | None, undo: bool, *, measured: bool) -> None:
    """Refuse options that would be passed over, before the table is read."""
    if undo and apply is None:
        raise ValueError("--undo needs the drift that was taken off; give its CSV with --apply")
    if apply is not None and measured:
        raise ValueError(
            "--apply measures nothing and moves x, y and z as its CSV says; leave out --method, "
            "--segments, --fiducial, --lateral-only and --config"
        )


def _settings(
    file: Path | None,
    method: DriftMethod | None,
    segments: int | None,
    fiducial: list[str] | None,
    lateral_only: bool,
) -> DriftConfig:
    """Settings of the file, and over them what the command line says."""
    options = {
        "method": method,
        "segments": segments,
        "fiducials": None
        if fiducial is None
        else tuple(parse_numbers(place, 2, "--fiducial") for place in fiducial),
        "axial": False if lateral_only else None,
    }
    settings: DriftConfig = settings_of(DriftConfig, file, options, "drift")
    if settings.fiducials and settings.method != "fiducials":
        raise ValueError(
            f"positions of beads are for --method fiducials, got {settings.method}; add that"
        )
    return settings


def _figures(found: Drift, rows: int, pixel_size_nm: float, undo: bool) -> dict[str, Any]:
    """What is printed: the drift from peak to peak, and what it was found with."""
    import numpy as np

    x, y, z = np.ptp(found.to_nm(pixel_size_nm), axis=0).tolist() if len(found) else (0.0,) * 3
    return {
        "localizations": rows,
        "frames": len(found),
        "method": found.method,
        "segments": found.settings.get("segments"),
        "drift_x_nm": x,
        "drift_y_nm": y,
        "drift_z_nm": z,
        "undone": undo,
    }


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(drift)
