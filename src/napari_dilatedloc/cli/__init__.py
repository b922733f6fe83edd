"""The command line ``dilatedloc``: one file per group of commands, wiring only."""

from napari_dilatedloc.cli.app import app, main

__all__ = ["app", "main"]
