"""The growing table of a run, by frame and by block."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from napari_dilatedloc.gui.layers import even_rows
from napari_dilatedloc.table import Localizations

SAMPLE = 100_000


class LocalizationStore:
    """Localizations in blocks of frames; any frame is found by two binary searches."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._blocks: list[Localizations] = []
        self._ends: list[int] = []  # rows up to the end of each block

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self._blocks)

    def block(self, number: int) -> Localizations:
        """One block, in frame order."""
        return self._blocks[number]

    def append(self, start: int, block: Localizations) -> None:
        """Add the localizations of the frames from `start` on; blocks come in frame order."""
        self._ends.append(len(self) + len(block))
        self._starts.append(start)
        self._blocks.append(block.sorted_by_frame())

    def at_frame(self, frame: int) -> Localizations:
        """Localizations of one frame."""
        place = bisect_right(self._starts, frame) - 1
        if place < 0:
            return Localizations.empty()
        block = self._blocks[place]
        first, last = np.searchsorted(block.frame, [frame, frame + 1])
        return block[first:last]

    def sample(self, cap: int = SAMPLE) -> Localizations:
        """At most `cap` localizations, evenly over all, in frame order.

        Only what is asked for is copied: ten million rows would take a second.
        """
        rows = even_rows(len(self), cap)
        cuts = np.searchsorted(rows, self._ends)
        parts, first, begin = [], 0, 0
        for block, cut, end in zip(self._blocks, cuts.tolist(), self._ends, strict=True):
            if cut > first:
                parts.append(block[rows[first:cut] - begin])
            first, begin = cut, end
        return Localizations.concatenate(parts)

    def table(self) -> Localizations:
        """All localizations in frame order."""
        return Localizations.concatenate(self._blocks)
