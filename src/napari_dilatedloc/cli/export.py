"""``dilatedloc export-onnx``: a model's network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_dilatedloc.cli.common import check_writable, say


def export_onnx(
    model: Annotated[str, typer.Argument(help="Model name (astigmatism) or file.")],
    out: Annotated[Path, typer.Option(help="File to write, .onnx.")],
    size: Annotated[
        int, typer.Option(min=16, help="Side of the frames, px, if the network fixes it.")
    ] = 64,
    frames: Annotated[int, typer.Option(min=1, help="Frames a call of the file localizes.")] = 8,
) -> None:
    """Write a model's network as ONNX, without camera and read-out (extra 'onnx').

    Input 'frames' (1, T, H, W) are photons, scaled as this command prints, with the neighbours in
    time; output 'raw' has one map for each channel of the network.
    """
    from napari_dilatedloc.network.checkpoint import load_model
    from napari_dilatedloc.network.onnx_export import export_onnx as write

    check_writable(out)
    loaded = load_model(model)
    free = write(loaded, out, size, frames)
    scaling = loaded.info.scaling
    shape = "of any size" if free else "of this size only"
    say(
        f"{out}: {frames} frames a call, {shape}; input is "
        f"(photons - {scaling.input_offset:g}) / {scaling.input_scale:g}"
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("export-onnx")(export_onnx)
