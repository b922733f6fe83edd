"""The job behind "Export": write a table block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

from napari_dilatedloc.gui.store import LocalizationStore
from napari_dilatedloc.io.tables import open_table
from napari_dilatedloc.table import TableInfo


class _StoppedError(Exception):
    """Leaves the writer, which then takes back what it has written."""


def export_job(path: Path, store: LocalizationStore, info: TableInfo, stop: Event) -> Iterator[str]:
    """Write all localizations; the suffix decides the format. Stopped, it leaves no file.

    Yields one sentence on what was written.
    """
    try:
        with open_table(path, info) as writer:
            for number in range(store.blocks):
                if stop.is_set():
                    raise _StoppedError
                writer.write(store.block(number))
    except _StoppedError:
        return
    files = " and ".join(str(file) for file in writer.files)
    yield f"Wrote {len(store):,} localizations to {files}."
