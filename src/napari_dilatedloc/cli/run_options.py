"""Options that `localize` and `watch` have in common, and what is done about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_dilatedloc.cli.common import check_writable

if TYPE_CHECKING:
    from napari_dilatedloc.network.checkpoint import Model

ModelName = Annotated[str, typer.Option("--model", help="Model name (astigmatism) or file.")]
TableFile = Annotated[
    Path,
    typer.Option(
        "--out",
        help="Table to write: .csv (ThunderSTORM), .hdf5 (Picasso), .h5 or .parquet (own).",
    ),
]
TableOrFolder = Annotated[
    Path,
    typer.Option(
        "--out",
        help="Table to write: .csv (ThunderSTORM), .hdf5 (Picasso), .h5 or .parquet (own); the "
        "folder of the tables for several movies.",
    ),
]
Threshold = Annotated[
    float | None, typer.Option("--threshold", help="Smallest detection probability, 0-1.")
]
CameraFile = Annotated[
    Path | None, typer.Option("--camera", help="Camera settings, YAML, if not the model's.")
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps; auto takes the fastest."),
]
TileSize = Annotated[
    int | None,
    typer.Option(
        "--tile-size",
        help="Largest side of the tiles that frames are cut into, px; automatic by default: as "
        "large as memory allows, 1024 on several workers.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Begin again, whatever was done.")]


def check_output(out: Path, resume: bool, overwrite: bool) -> None:
    """Refuse before the work what cannot be written after it."""
    from napari_dilatedloc.io.tables import table_files

    if resume and overwrite:
        raise ValueError("--resume goes on and --overwrite begins again; give one of them")
    check_writable(out)
    table_files(out)  # refuses a name that no format has


def model_with_camera(model: str, camera: Path | None) -> Model:
    """The model, for the camera of a YAML file if there is one."""
    from napari_dilatedloc.config import CameraConfig, load_yaml
    from napari_dilatedloc.network.checkpoint import load_model

    loaded = load_model(model)
    return loaded if camera is None else loaded.with_camera(load_yaml(CameraConfig, camera))
