"""Model files by name or path; loads no torch, so that forms can list models at once."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".safetensors"
SHIPPED = Path(__file__).parents[1] / "models"


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
