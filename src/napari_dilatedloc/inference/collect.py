"""Columns of many batches and tiles to one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.inference.tiles import Tile
from napari_dilatedloc.inference.transfer import REAL, WHOLE
from napari_dilatedloc.table import Localizations

FRAME, ROW, COL = (WHOLE.index(name) for name in ("frame", "row", "col"))


@dataclass(frozen=True)
class Piece:
    """What one tile gave of one batch.

    Attributes
    ----------
    whole : array (3, K)
        Columns `transfer.WHOLE`; frames count from the batch's first, px are those of the frame.
    real : array (10, K)
        Columns `transfer.REAL`, px as well.
    tile : Tile
        The tile.
    first : int
        Number in the movie of the batch's first frame.
    """

    whole: NDArray[np.int64]
    real: NDArray[np.float32]
    tile: Tile
    first: int


def to_table(pieces: Sequence[Piece]) -> Localizations:
    """Table in order of frame, row, column; each tile gives what it owns."""
    if not pieces:
        return Localizations.empty()
    whole = np.concatenate([piece.whole for piece in pieces], axis=1)
    real = np.concatenate([piece.real for piece in pieces], axis=1)
    mine = np.empty(whole.shape[1], dtype=bool)
    start = 0
    for piece in pieces:
        part = slice(start, start + piece.whole.shape[1])
        whole[FRAME, part] += piece.first
        mine[part] = piece.tile.owns(whole[ROW, part], whole[COL, part])
        start = part.stop
    if len({piece.tile for piece in pieces}) > 1:  # one tile is in order already
        rows = np.flatnonzero(mine)
        order = np.lexsort((whole[COL, rows], whole[ROW, rows], whole[FRAME, rows]))
        whole, real = whole[:, rows[order]], real[:, rows[order]]
    elif not mine.all():
        whole, real = whole[:, mine], real[:, mine]
    return Localizations(frame=whole[FRAME], **dict(zip(REAL, real, strict=True)))
