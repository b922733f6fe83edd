"""The ``dilatedloc`` application and its one way to report errors."""

from __future__ import annotations

import logging
import os
import sys

import typer

from napari_dilatedloc.cli import (
    benchmark,
    cluster,
    crlb,
    demo,
    design,
    drift,
    export,
    filter,
    link,
    localize,
    match,
    models,
    psf,
    quality,
    render,
    simulate,
    tables,
    train,
    watch,
)

app = typer.Typer(
    name="dilatedloc",
    help="3-D single-molecule localization microscopy with deep learning. "
    "A usual path: calibrate a PSF from beads, train a network for it, localize a movie, "
    "render the image. Try 'dilatedloc demo' first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for group in (
    demo,
    simulate,
    psf,
    crlb,
    design,
    match,
    train,
    models,
    export,
    localize,
    watch,
    tables,
    filter,
    drift,
    link,
    render,
    quality,
    cluster,
    benchmark,
):
    group.register(app)


class Once(logging.Filter):
    """Lets each message through once: a table that is read twice is no reason to say it twice."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is new."""
        message = record.getMessage()
        new = message not in self._said
        self._said.add(message)
        return new


def main() -> None:
    """Run the command line; bad input ends with one sentence and exit status 2."""
    handler = logging.StreamHandler()
    handler.addFilter(Once())
    logging.basicConfig(
        format="%(levelname)s: %(message)s", level=logging.WARNING, handlers=[handler]
    )
    try:
        app()
    except (ValueError, OSError, RuntimeError) as error:
        if os.environ.get("DILATEDLOC_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
