"""The jobs behind "Correct drift" and "Merge blinks": a result becomes another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.gui.live import Kept, LiveResult
from napari_dilatedloc.gui.open_job import TableOpened, parts_of
from napari_dilatedloc.gui.store import in_frame_order
from napari_dilatedloc.table import Localizations, TableInfo

if TYPE_CHECKING:
    from napari_dilatedloc.analysis.drift.result import Drift


@dataclass(frozen=True)
class DriftFound:
    """What was taken off, for the plot, and why it should not be trusted if so."""

    drift: Drift
    pixel_size_nm: float
    doubt: str


def drift_job(
    result: LiveResult, kept: Kept, config: DriftConfig, stop: Event
) -> Iterator[DriftFound | TableOpened | Localizations]:
    """Measure the drift of what was kept of a result, and take it off."""
    from napari_dilatedloc.analysis.drift.doubt import drift_error
    from napari_dilatedloc.analysis.drift.estimate import estimate_drift

    table, info = kept.store.table(), kept.info
    drift = estimate_drift(table, info, config)
    if stop.is_set():
        return
    doubt = drift_error(table, info, drift, config).doubt
    yield DriftFound(drift, info.pixel_size_nm, doubt)
    moved = drift.apply(table)
    info = info.after("drift", drift.settings, len(moved))
    yield from _shown(result, "without drift", moved, info, stop)


def link_job(
    result: LiveResult, kept: Kept, config: LinkingConfig, stop: Event
) -> Iterator[TableOpened | Localizations]:
    """Make the rows of each blink one, of what was kept of a result."""
    from napari_dilatedloc.analysis.linking import link

    merged, info = link(kept.store.table(), kept.info, config)
    yield from _shown(result, "merged", merged, info, stop)


def _shown(
    result: LiveResult, what: str, table: Localizations, info: TableInfo, stop: Event
) -> Iterator[TableOpened | Localizations]:
    """Over the result it was made of; nothing if it was stopped."""
    if stop.is_set():
        return
    name = f"{result.name} {what}"
    yield TableOpened(name, info, result.shape, result.z_range_nm, result.placement)
    yield from parts_of(in_frame_order(table), stop)
