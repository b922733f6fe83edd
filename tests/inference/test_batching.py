import pytest
import torch

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.inference.batching import (
    SMALLEST_TILE,
    Field,
    Plan,
    choose_plan,
    free_memory,
    is_out_of_memory,
)
from napari_dilatedloc.inference.tiles import plan_tiles

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def field(height, width, region=None, halo=170, multiple=8, window=3):
    return Field((height, width), region or (0, 0, height, width), halo, multiple, window)


def areas(where, tile_size):
    tiles = plan_tiles(where.shape, tile_size, where.halo, where.multiple, where.region)
    return [(t.read[2] - t.read[0]) * (t.read[3] - t.read[1]) for t in tiles]


@pytest.mark.parametrize(("side", "frames"), [(64, 32), (128, 8), (256, 4), (512, 2)])
def test_batches_on_a_cpu_stay_in_the_cache(side, frames):
    plan = choose_plan(field(side, side), CPU, 2**24, 64)
    assert plan.batch_frames == frames
    assert plan.tile_size >= side  # one tile


def test_a_network_without_neighbours_needs_no_large_batches():
    assert choose_plan(field(512, 512, window=1), CPU, 2**24, 64).batch_frames == 1


def test_other_devices_get_more():
    assert choose_plan(field(128, 128), CUDA, 2**24, 64).batch_frames == 64


def test_blocks_are_cut_evenly():
    for side in (40, 57, 64, 90, 130, 200):
        frames = choose_plan(field(side, side), CPU, 2**24, 64).batch_frames
        assert 64 % frames == 0


def test_a_short_movie_is_one_batch():
    assert choose_plan(field(64, 64), CPU, 2**24, 11).batch_frames == 11


def test_what_the_user_chose_is_not_changed():
    plan = choose_plan(field(512, 512), CPU, 1, 64, batch_frames=7, tile_size=96)
    assert plan == Plan(7, 96)
    assert choose_plan(field(200, 240), CPU, 2**24, 64, tile_size=1024).tile_size == 240


@pytest.mark.parametrize("tile_size", [None, 1024])
def test_every_plan_can_be_asked_for(tile_size):
    """It is written into the record of a run and becomes the setting of its other half."""
    for side in (17, 48, 64, 97):
        plan = choose_plan(field(side, side), CPU, 2**24, 64, tile_size=tile_size)
        settings = LocalizeConfig(tile_size=plan.tile_size, batch_frames=plan.batch_frames)
        assert plan == choose_plan(
            field(side, side), CPU, 2**24, 64, settings.batch_frames, settings.tile_size
        )


@pytest.mark.parametrize("capacity", [2.0**exponent for exponent in range(19, 25)])
@pytest.mark.parametrize("side", [700, 2048])
def test_large_fields_fit_into_memory_and_waste_no_more_than_they_must(capacity, side):
    where = field(side, side)
    plan = choose_plan(where, CPU, capacity, 16)
    assert plan.pixels(where) == plan.batch_frames * max(areas(where, plan.tile_size))
    assert plan.pixels(where) <= capacity
    # No other plan that fits computes fewer pixels; neighbours count 13% each.
    works = [
        sum(areas(where, tile)) * (1 + 0.26 / frames)
        for tile in range(SMALLEST_TILE, side + 8, 8)
        for frames in (1, 2)
        if max(areas(where, tile)) * frames <= capacity
    ]
    work = sum(areas(where, plan.tile_size)) * (1 + 0.26 / plan.batch_frames)
    assert work <= 1.05 * min(works)


def test_little_memory_still_gives_a_plan():
    assert choose_plan(field(2048, 2048), CPU, 1, 16).batch_frames == 1


def test_a_region_off_the_stride_is_one_tile():
    where = field(300, 300, region=(101, 50, 120, 70))
    plan = choose_plan(where, CPU, 2**24, 64)
    assert len(plan_tiles(where.shape, plan.tile_size, 170, 8, where.region)) == 1


def test_plans_shrink_in_frames_first_and_then_in_tiles():
    plans, plan = [], Plan(8, 300)
    while plan is not None:
        plans.append((plan.batch_frames, plan.tile_size))
        plan = plan.smaller()
    assert plans == [(8, 300), (4, 300), (2, 300), (1, 300), (1, 150), (1, 75), (1, 64)]
    assert str(Plan(1, 64)) == "1 frame of at most 64 x 64 px"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate"
            " memory: you tried to allocate 400 bytes"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    ],
)
def test_memory_that_ran_out_is_known(error):
    assert is_out_of_memory(error)


def test_torch_says_so_in_these_words():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**58, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_other_errors_are_not_taken_for_it():
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_there_is_some_memory():
    assert 2**20 < free_memory(CPU) < 2**60
