"""The recipe of a table as plain values, and in a YAML beside formats that have no room for it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from napari_dilatedloc.files import replacing
from napari_dilatedloc.io.columns import TableError
from napari_dilatedloc.table import Step

log = logging.getLogger(__name__)

FORMAT = "dilatedloc-recipe"

Recipe = tuple[Step, ...]


def to_plain(recipe: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as JSON holds them; numpy's numbers become Python's, what JSON lacks becomes text."""
    steps = [
        {"name": step.name, "settings": dict(step.settings), "rows": int(step.rows)}
        for step in recipe
    ]
    plain: list[dict[str, Any]] = json.loads(json.dumps(steps, default=_plain))
    return plain


def to_text(recipe: Sequence[Step]) -> str:
    """Steps as JSON."""
    return json.dumps(to_plain(recipe))


def from_plain(value: Any, path: Path) -> Recipe:
    """Steps of what `to_plain` gave; `TableError` if it is something else."""
    try:
        return tuple(
            Step(str(step["name"]), dict(step["settings"]), int(step["rows"])) for step in value
        )
    except (TypeError, KeyError, ValueError) as error:
        raise TableError(
            f"the recipe of {path.name} cannot be read ({error!r}); expected a list of steps with "
            "name, settings and rows; write the table again"
        ) from error


def from_text(text: Any, path: Path) -> Recipe:
    """Steps of `to_text`; none for None."""
    if text is None:
        return ()
    try:
        value = json.loads(text)
    except (TypeError, ValueError) as error:
        raise TableError(
            f"the recipe of {path.name} is no JSON ({error}); write the table again"
        ) from error
    return from_plain(value, path)


def beside(path: Path) -> Path:
    """Where the recipe of such a table lies."""
    return path.with_suffix(".recipe.yaml")


@contextmanager
def kept_beside(path: Path, recipe: Sequence[Step]) -> Iterator[None]:
    """Keep the recipe beside a table that the block writes, with the checksum of the table.

    Appears with the table or not at all. An older recipe of ours goes when the new table has none,
    for it would tell of other rows.

    Parameters
    ----------
    path : Path
        The table; whole when the block ends.
    recipe : sequence of Step
        What was done to it.

    Raises
    ------
    TableError
        Before the block, if something that is no recipe of ours lies in its place.
    """
    place = beside(path)
    if recipe and place.exists() and _document(place) is None:
        raise TableError(
            f"cannot write the recipe of {path.name}, for {place.name} is none of this program; "
            "move it, or give the table another name"
        )
    with ExitStack() as stack:
        note = stack.enter_context(replacing(place)) if recipe else None
        yield
        if note is not None:
            document = {"format": FORMAT, "sha256": _checksum(path), "recipe": to_plain(recipe)}
            note.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    if not recipe and _document(place) is not None:
        place.unlink()


def read_beside(path: Path) -> Recipe:
    """Recipe that lies beside a table; none, with a warning, if it tells of another one.

    The number of rows would not tell: it is the same before and after a drift is taken off.
    """
    document = _document(beside(path))
    if document is None:
        return ()
    if document.get("sha256") != _checksum(path):
        log.warning(
            "%s tells of another table than %s, which was changed or renamed since; the recipe is "
            "left out",
            beside(path).name,
            path.name,
        )
        return ()
    try:
        return from_plain(document.get("recipe"), path)
    except TableError as error:  # the rows can be read all the same
        log.warning("%s; it is left out", error)
        return ()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _document(place: Path) -> dict[str, Any] | None:
    """What stands in a recipe of ours; None if there is none."""
    try:
        document = yaml.safe_load(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        log.warning("%s cannot be read (%s); the recipe is left out", place.name, error)
        return None
    ours = isinstance(document, dict) and document.get("format") == FORMAT
    return document if ours else None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
