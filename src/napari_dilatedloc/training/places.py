"""Where a training keeps what; loads no torch, so that a form can ask."""

from __future__ import annotations

from pathlib import Path

from napari_dilatedloc.network.shipped import SUFFIX, ModelFileError


def checkpoint_path(out: Path) -> Path:
    """Where a run that writes the model file `out` keeps its state."""
    return out.with_suffix(".checkpoint.safetensors")


def check_model_path(out: Path) -> None:
    """Refuse a model file that cannot be written before hours of training.

    Raises
    ------
    ModelFileError
        If the name is not that of a model file.
    FileNotFoundError
        If its folder does not exist.
    """
    if out.suffix != SUFFIX:
        raise ModelFileError(f"model files end in {SUFFIX}, got {out.name}; rename the output")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"cannot write {out}: no folder {out.absolute().parent}; create it")
