"""Where a training keeps what; loads no torch, so that a form can ask."""

from __future__ import annotations

from pathlib import Path


def checkpoint_path(out: Path) -> Path:
    """Where a run that writes the model file `out` keeps its state."""
    return out.with_suffix(".checkpoint.safetensors")
