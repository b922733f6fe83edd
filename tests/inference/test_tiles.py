import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dilatedloc.inference.tiles import (
    Tile,
    bounding_box,
    padded_shape,
    plan_tiles,
    round_up,
)

sides = st.integers(1, 200)


@st.composite
def plans(draw):
    shape = draw(sides), draw(sides)
    y0, x0 = (draw(st.integers(0, side - 1)) for side in shape)
    y1, x1 = (draw(st.integers(low + 1, side)) for low, side in zip((y0, x0), shape, strict=True))
    roi = draw(st.sampled_from([None, (y0, x0, y1, x1)]))
    return shape, draw(st.integers(1, 90)), draw(st.integers(0, 40)), draw(st.integers(1, 16)), roi


@settings(deadline=None, max_examples=50)  # the machine may be busy
@given(plans())
def test_every_pixel_of_the_region_has_one_owner(plan):
    shape, tile_size, halo, multiple, roi = plan
    owners = np.zeros(shape, int)
    row, col = np.indices(shape)
    for tile in plan_tiles(shape, tile_size, halo, multiple, roi):
        owners += tile.owns(row, col)
    y0, x0, y1, x1 = roi or (0, 0, *shape)
    expected = np.zeros(shape, int)
    expected[y0:y1, x0:x1] = 1
    np.testing.assert_array_equal(owners, expected)


@settings(deadline=None, max_examples=50)  # the machine may be busy
@given(plans())
def test_tiles_see_the_halo_or_the_border_and_lie_on_the_stride(plan):
    shape, tile_size, halo, multiple, roi = plan
    padded = padded_shape(shape, multiple)
    for tile in plan_tiles(shape, tile_size, halo, multiple, roi):
        assert all(edge % multiple == 0 for edge in tile.read)
        for axis in (0, 1):
            low, high = tile.read[axis], tile.read[axis + 2]
            assert 0 <= low < high <= padded[axis]
            assert low == 0 or low <= tile.owned[axis] - halo
            assert high == padded[axis] or high >= tile.owned[axis + 2] + halo
            size = tile.owned[axis + 2] - tile.owned[axis]
            assert 0 < size <= max(tile_size, multiple)
            assert high - low <= max(tile_size, multiple) + 2 * round_up(halo, multiple)


def test_small_frame_is_one_tile_without_halo():
    assert plan_tiles((131, 97), 256, 20, 8) == (Tile((0, 0, 136, 104), (0, 0, 131, 97)),)


def test_tiles_are_about_equal():
    tiles = plan_tiles((16, 1100), 1024, 0, 8)
    assert [tile.owned[3] - tile.owned[1] for tile in tiles] == [552, 548]


def test_region_starts_on_the_stride_of_the_frame_and_reads_its_surroundings():
    (tile,) = plan_tiles((300, 300), 64, 10, 8, (101, 50, 120, 70))
    assert tile == Tile((80, 32, 136, 88), (101, 50, 120, 70))
    assert tile.origin == (80, 32)


def test_bounding_box_ends_at_the_frame_and_not_at_its_padding():
    tiles = plan_tiles((30, 50), 16, 2, 8, (20, 20, 30, 40))
    assert bounding_box(tiles, (30, 50)) == (8, 8, 30, 48)
