import numpy as np

from napari_dilatedloc.inference.collect import Piece, to_table
from napari_dilatedloc.inference.tiles import Tile
from napari_dilatedloc.inference.transfer import REAL


def piece(tile, first, *rows):
    """Rows (frame, row, col), px from the tile's first; every other column counts up."""
    whole = np.array(rows, np.int64).reshape(-1, 3).T.copy()
    whole[1:] += np.array(tile.origin)[:, None]
    real = np.tile(np.arange(len(REAL), dtype=np.float32)[:, None], (1, whole.shape[1]))
    real[REAL.index("x")] = whole[2] + 0.25
    real[REAL.index("y")] = whole[1] - 0.25
    return Piece(whole, real, tile, first)


LEFT = Tile((0, 0, 32, 24), (0, 0, 32, 16))
RIGHT = Tile((0, 8, 32, 40), (0, 16, 32, 37))
WHOLE = Tile((0, 0, 32, 40), (2, 0, 32, 37))


def places(table):
    return list(zip(table.frame.tolist(), table.y.tolist(), table.x.tolist(), strict=True))


def test_every_tile_gives_what_it_owns_in_order_of_frame_row_column():
    parts = [
        piece(LEFT, 10, (0, 5, 15), (0, 5, 16), (1, 0, 3)),  # the second belongs to its neighbour
        piece(RIGHT, 10, (0, 2, 28), (0, 5, 7), (0, 5, 8), (1, 0, 28), (1, 0, 29)),
        piece(LEFT, 12, (0, 1, 1)),
        piece(RIGHT, 12, (0, 1, 9)),
    ]
    assert places(to_table(parts)) == [
        (10, 1.75, 36.25),
        (10, 4.75, 15.25),
        (10, 4.75, 16.25),
        (11, -0.25, 3.25),
        (11, -0.25, 36.25),
        (12, 0.75, 1.25),
        (12, 0.75, 17.25),
    ]


def test_order_and_owners_against_a_plain_loop():
    rng = np.random.default_rng(0)
    parts, expected = [], []
    for first in (0, 7):
        for tile in (LEFT, RIGHT):
            y0, x0, y1, x1 = tile.read
            rows = sorted(
                {
                    (int(f), int(r), int(c))
                    for f, r, c in zip(
                        rng.integers(0, 7, 200),
                        rng.integers(0, y1 - y0, 200),
                        rng.integers(0, x1 - x0, 200),
                        strict=True,
                    )
                }
            )
            parts.append(piece(tile, first, *rows))
            oy0, ox0, oy1, ox1 = tile.owned
            expected += [
                (first + f, y0 + r, x0 + c)
                for f, r, c in rows
                if oy0 <= y0 + r < oy1 and ox0 <= x0 + c < ox1
            ]
    got = places(to_table(parts))
    assert got == [(f, r - 0.25, c + 0.25) for f, r, c in sorted(expected)]
    assert len(got) > 300


def test_one_tile_gives_up_what_lies_in_padding_or_outside_the_region():
    table = to_table([piece(WHOLE, 3, (0, 1, 5), (0, 2, 36), (0, 2, 37), (1, 31, 0))])
    assert places(table) == [(3, 1.75, 36.25), (4, 30.75, 0.25)]
    assert table.sigma_photons.tolist() == [REAL.index("sigma_photons")] * 2


def test_nothing_found_is_an_empty_table():
    assert len(to_table([])) == 0
    assert len(to_table([piece(LEFT, 0), piece(RIGHT, 0)])) == 0
