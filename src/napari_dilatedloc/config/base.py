"""What all settings are: frozen pydantic models with one YAML round trip."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

Range = tuple[float, float]


class Config(BaseModel):
    """Frozen settings; `replace` gives a changed, validated copy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def replace(self, **changes: Any) -> Self:
        """Copy with some fields changed."""
        return type(self).model_validate({**self.model_dump(), **changes})


class ConfigError(ValueError):
    """Settings that cannot be used; the message is one sentence."""


def parse_config(kind: Any, values: Any, source: str) -> Any:
    """Validate plain values as a `kind` (a model or a union); `source` names them in errors."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_first_sentence(error)}; correct this entry") from error


def _first_sentence(error: ValidationError) -> str:
    """What is wrong with the first entry that is."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    said = f"{where}: {first['msg']}" if where else first["msg"]
    if first["type"] == "value_error":  # of our own validators: it names the entry and its value
        return said.replace("Value error, ", "")
    return f"{said}, got {first['input']!r}"


def read_yaml(path: str | Path) -> Any:
    """Plain values of a YAML file; an empty file holds an empty dictionary.

    Raises
    ------
    ConfigError
        One sentence: no such file, no YAML.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no such file: {path}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a YAML file of settings: {error}") from error
    return values if values is not None else {}


def save_yaml(config: Config, path: str | Path, *, stated_only: bool = False) -> None:
    """Write a config as YAML that `settings.load_yaml` reads back to an equal value.

    With `stated_only` fields that were left at their default are left out, so that who reads the
    file may choose another default.
    """
    values = config.model_dump(mode="json")
    if stated_only:
        values = {name: value for name, value in values.items() if name in config.model_fields_set}
    Path(path).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
