"""The growing table of a run, by frame and by block."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.gui.layers import even_rows
from napari_dilatedloc.table import Localizations

SAMPLE = 100_000

Mask = NDArray[np.bool_]


def in_frame_order(table: Localizations) -> Localizations:
    """The table itself if it is in order of frame, else a sorted copy."""
    if bool((table.frame[1:] >= table.frame[:-1]).all()):
        return table
    return table.sorted_by_frame()


class LocalizationStore:
    """Localizations in blocks of frames; any frame is found by two binary searches.

    All but `total` and `everything` tell of those only that the mask keeps.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._blocks: list[Localizations] = []
        self._ends: list[int] = []  # rows up to the end of each block
        self._mask: Mask | None = None
        self._kept = 0
        self._whole: Localizations | None = None  # what the blocks are views of, once asked for

    def __len__(self) -> int:
        return self.total if self._mask is None else self._kept

    @property
    def total(self) -> int:
        """Localizations, kept or not."""
        return self._ends[-1] if self._ends else 0

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self._blocks)

    def block(self, number: int) -> Localizations:
        """One block, in frame order."""
        whole = self._blocks[number]
        if self._mask is None:
            return whole
        end = self._ends[number]
        return whole[self._mask[end - len(whole) : end]]

    def append(self, start: int, block: Localizations) -> None:
        """Add the localizations of the frames from `start` on; blocks come in frame order."""
        if self._mask is not None:
            raise RuntimeError("a table that is filtered cannot grow; take the mask off first")
        self._ends.append(self.total + len(block))
        self._starts.append(start)
        self._blocks.append(in_frame_order(block))
        self._whole = None

    def keep(self, mask: Mask | None) -> None:
        """Tell only of some rows from now on, bool (total,) in the order of `everything`."""
        if mask is not None and mask.shape != (self.total,):
            raise ValueError(f"expected a mask of {self.total} rows, got shape {mask.shape}")
        self._mask = mask
        self._kept = self.total if mask is None else int(np.count_nonzero(mask))

    def at_frame(self, frame: int) -> Localizations:
        """Localizations of one frame."""
        place = bisect_right(self._starts, frame) - 1
        if place < 0:
            return Localizations.empty()
        block = self._blocks[place]
        first, last = np.searchsorted(block.frame, [frame, frame + 1])
        found = block[first:last]
        if self._mask is None:
            return found
        begin = self._ends[place] - len(block)
        return found[self._mask[begin + first : begin + last]]

    def sample(self, cap: int = SAMPLE) -> Localizations:
        """At most `cap` localizations, evenly over all, in frame order.

        Only what is asked for is copied: ten million rows would take a second.
        """
        rows = even_rows(len(self), cap)
        if self._mask is not None:
            rows = np.flatnonzero(self._mask)[rows]
        cuts = np.searchsorted(rows, self._ends)
        parts, first, begin = [], 0, 0
        for block, cut, end in zip(self._blocks, cuts.tolist(), self._ends, strict=True):
            if cut > first:
                parts.append(block[rows[first:cut] - begin])
            first, begin = cut, end
        return Localizations.concatenate(parts)

    def table(self) -> Localizations:
        """All localizations in frame order."""
        if self._mask is None:
            return self.everything()
        return Localizations.concatenate([self.block(i) for i in range(self.blocks)])

    def everything(self) -> Localizations:
        """The same, whatever the mask.

        The blocks become views of it: ten million rows need not lie in memory twice. So while the
        table grows only its own thread may ask, or any thread a `snapshot`.
        """
        if self._whole is None:
            whole = Localizations.concatenate(self._blocks)
            cuts = zip([0, *self._ends], self._ends, strict=False)
            self._blocks = [whole[begin:end] for begin, end in cuts]
            self._whole = whole
        return self._whole

    def snapshot(self) -> LocalizationStore:
        """What it tells of now, for a job: no later block and no later mask changes that.

        No rows are copied.
        """
        taken = LocalizationStore()
        taken._starts, taken._ends = list(self._starts), list(self._ends)
        taken._blocks, taken._whole = list(self._blocks), self._whole
        taken._mask, taken._kept = self._mask, self._kept
        return taken
