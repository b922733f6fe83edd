"""Model files by name or path; loads no torch, so that forms can list models at once."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from napari_dilatedloc.config import ModelInfo

SUFFIX = ".safetensors"
SHIPPED = Path(__file__).parents[1] / "models"
MAX_HEADER = 2**26  # bytes; a longer one is no header of ours


class ModelFileError(ValueError):
    """A model file that cannot be used; the message is one sentence."""


def available_models() -> list[str]:
    """Names of the shipped models."""
    return sorted(path.stem for path in SHIPPED.glob(f"*{SUFFIX}"))


def find_model(name_or_path: str | Path) -> Path:
    """File of a shipped model's name or of a path."""
    path = Path(name_or_path)
    if path.suffix == SUFFIX or path.exists():
        if not path.is_file():
            raise ModelFileError(f"no model file {path}; check the path")
        return path
    shipped = SHIPPED / f"{name_or_path}{SUFFIX}"
    if not shipped.is_file():
        names = ", ".join(available_models()) or "none"
        raise ModelFileError(
            f"no shipped model named {str(name_or_path)!r}; shipped: {names}; "
            f"or give the path of a {SUFFIX} file"
        )
    return shipped


def read_info(name_or_path: str | Path) -> ModelInfo:
    """What a model was trained for and how it did, without its weights.

    The header of a safetensors file is its length (8 bytes, little-endian) and JSON
    (https://github.com/huggingface/safetensors, "Format"); settings stand in ``__metadata__``.

    Raises
    ------
    ModelFileError
        If there is no such file or it was not written by `checkpoint.save_model`.
    """
    path = find_model(name_or_path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MAX_HEADER:
                raise ValueError("header too long")
            metadata = json.loads(file.read(length)).get("__metadata__") or {}
    except (OSError, ValueError, AttributeError) as error:
        raise ModelFileError(
            f"{path.name} is not a model file (expected safetensors); choose one made by "
            "'dilatedloc train'"
        ) from error
    if "dilatedloc" not in metadata:
        raise ModelFileError(
            f"{path.name} holds weights but no DilatedLoc settings; choose one made by "
            "'dilatedloc train'"
        )
    try:
        return ModelInfo.model_validate_json(metadata["dilatedloc"])
    except ValidationError as error:
        raise ModelFileError(
            f"{path.name} was written by another version: its settings do not fit; retrain it or "
            "use the version that wrote it"
        ) from error
