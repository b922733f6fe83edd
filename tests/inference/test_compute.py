"""Batches, memory and what goes on at the same time, seen through `localize`."""

import threading

import pytest

from napari_dilatedloc.inference import pipeline
from napari_dilatedloc.inference.batching import MemoryShortError
from napari_dilatedloc.inference.footprint import bytes_per_pixel
from napari_dilatedloc.inference.pipeline import localize, summarize
from napari_dilatedloc.inference.record import how_of
from napari_dilatedloc.inference.report import STAGES
from napari_dilatedloc.inference.transfer import PlainLane
from napari_dilatedloc.table import Localizations

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


def test_the_whole_block_is_a_batch_where_frames_are_small(wrap, noting, exact, marked):
    network = noting()
    blocks = list(localize(marked((3, 9, 9)), wrap(network), exact()))
    assert network.seen == [(12, 40, 48)]
    assert [block.batch_frames for block in blocks] == [12]


def test_little_memory_makes_smaller_batches(wrap, monkeypatch, noting, run, marked, positions):
    network = noting()
    needed = bytes_per_pixel(network)
    network.seen.clear()
    monkeypatch.setattr(pipeline, "free_memory", lambda device: 5 * 40 * 48 * needed)
    assert positions(run(marked((3, 9, 9)), wrap(network))) == [(4, 9.0, 9.0)]
    assert network.seen[0] == (1, 32, 32)  # what the network needs is tried out first
    assert network.seen[1:] == [(4, 40, 48)] * 3


def test_batches_are_halved_when_memory_runs_out(wrap, caplog, noting, exact, marked, positions):
    network = noting(fails=lambda seen: seen[0] > 3)
    movie = marked((0, 3, 4), (6, 10, 20), (10, 30, 30))
    blocks = list(localize(movie, wrap(network), exact(block_frames=10)))
    table = Localizations.concatenate([block.localizations for block in blocks])
    assert positions(table) == [(0, 3.0, 4.0), (1, 3.0, 4.0), (7, 10.0, 20.0), (11, 30.0, 30.0)]
    assert [seen[0] for seen in network.seen] == [10, 5, 2, 2, 2, 2, 2, 2]
    assert [block.batch_frames for block in blocks] == [2, 2]
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"The memory of cpu ran out with {frames} frames of at most 64 x 64 px: going on with "
        f"{half} frames of at most 64 x 64 px."
        for frames, half in ((10, 5), (5, 2))
    ]


def test_tiles_are_halved_when_not_even_one_frame_fits(wrap, noting, run, marked, positions):
    network = noting(fails=lambda seen: seen[1] * seen[2] > 80 * 80)
    movie = marked((3, 10, 20), (3, 150, 3), (4, 99, 100), shape=(160, 104))
    table = run(movie, wrap(network))
    assert positions(table) == [(4, 10.0, 20.0), (4, 150.0, 3.0), (5, 99.0, 100.0)]
    assert network.seen[-1][0] == 1
    assert max(network.seen[-1][1:]) <= 80 + 2 * 8


def test_the_other_half_of_a_run_is_cut_alike_whatever_memory_is_free_by_then(
    wrap, noting, marked, exact, positions, monkeypatch
):
    movie = marked((0, 9, 9), (7, 150, 3), shape=(160, 104))
    network = noting()
    model = wrap(network)
    needed = bytes_per_pixel(network)
    network.seen.clear()
    monkeypatch.setattr(pipeline, "free_memory", lambda device: 88 * 104 * needed)
    (first,) = localize(movie, model, exact(frames=(0, 6)))
    cut = set(network.seen[1:])  # after the look at what the network needs
    assert (first.batch_frames, first.tile_size) == (1, 80)  # two halves of the height
    assert max(height for _, height, _ in cut) == 80 + 8
    assert summarize([first]).tile_size == 80

    monkeypatch.setattr(pipeline, "free_memory", lambda device: 2**40)
    network.seen.clear()
    settings = exact(frames=(6, 12)).replace(**how_of(first))
    (second,) = localize(movie, model, settings)
    assert set(network.seen) == cut
    assert positions(second.localizations) == [(8, 150.0, 3.0)]


def test_tiles_that_were_halved_are_reported(wrap, noting, exact, marked):
    network = noting(fails=lambda seen: seen[1] * seen[2] > 80 * 80)
    (block,) = localize(marked(shape=(160, 104)), wrap(network), exact())
    assert (block.batch_frames, block.tile_size) == (1, 80)


def test_what_never_fits_is_one_sentence_with_its_cause(wrap, noting, run, marked):
    network = noting(fails=lambda seen: True)
    with pytest.raises(MemoryShortError, match=r"memory of cpu .* 1 frame of at most 64") as caught:
        run(marked(), wrap(network))
    assert "out of memory" in str(caught.value.__cause__)
    assert [seen[0] for seen in network.seen] == [12, 6, 3, 1]


def test_an_early_shortage_goes_on_with_whole_tiles(wrap, noting, run, marked, positions):
    # what was done before the shortage is kept, what follows has another cut
    calls = []

    def fails(seen):
        calls.append(seen)
        return len(calls) == 3

    movie = marked(*((frame, 9, 9) for frame in range(12)))
    table = run(movie, wrap(noting(fails)), batch_frames=4, block_frames=5)
    assert positions(table) == [(frame, 9.0, 9.0) for frame in (0, *range(1, 12))]


def test_other_errors_of_the_network_come_as_they_are(wrap, noting, run, marked):
    def fails(seen):
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        run(marked(), wrap(noting(fails)))


@pytest.mark.parametrize("ahead", [1, 3])
def test_results_are_the_same_with_batches_under_way(strided, noise, same, monkeypatch, ahead, run):
    """As on a device that works by itself while the host goes on."""
    movie = noise(21, 33, 42)
    expected = run(movie, strided)

    class Lane(PlainLane):
        def __init__(self, device):
            super().__init__(device)
            self.ahead = ahead

    monkeypatch.setattr(pipeline, "lane_to", Lane)
    same(run(movie, strided, batch_frames=2, block_frames=5, prefetch_blocks=2), expected)
    same(run(movie, strided, batch_frames=8, block_frames=8, tile_size=64), expected)


def test_the_network_goes_on_while_the_caller_is_busy(wrap, noting, exact, marked):
    again = threading.Event()

    def note(seen):
        if len(network.seen) == 2:
            again.set()
        return False

    network = noting(note)
    blocks = localize(marked(), wrap(network), exact(block_frames=4))
    assert next(blocks).stop == 4
    assert again.wait(20)
    assert sum(1 for _ in blocks) == 2


def test_a_slow_caller_bounds_what_is_ahead(wrap, noting, exact, marked):
    network = noting()
    blocks = localize(marked(frames=60), wrap(network), exact(block_frames=2))
    for done, _ in enumerate(blocks):
        assert len(network.seen) <= done + pipeline.RESULTS


def test_a_region_and_stop_between_two_tiles(wrap, noting, exact, marked, positions):
    stop = threading.Event()

    def note(seen):
        if len(network.seen) == 5:  # the first tile of the second frame
            stop.set()
        return False

    network = noting(note)
    movie = marked((0, 9, 9), shape=(128, 128), frames=6)
    config = exact(tile_size=64, batch_frames=1)
    blocks = list(localize(movie, wrap(network), config, stop=stop))
    assert len(network.seen) == 5
    assert [(block.start, block.stop) for block in blocks] == [(0, 1)]
    assert positions(blocks[0].localizations) == [(0, 9.0, 9.0)]


def test_stages_add_up_to_the_time_of_the_run(strided, noise, exact):
    blocks = list(localize(noise(20, 64, 64), strided, exact(block_frames=8, batch_frames=4)))
    report = summarize(blocks)
    assert set(report.stages) == set(STAGES)
    assert all(seconds > 0 for seconds in report.stages.values())
    thread = sum(report.stages[name] for name in ("upload", "network", "decode"))
    assert 0 < thread <= report.seconds
    assert (report.engine, report.precision, report.batch_frames) == ("exact", "float32", 4)
