import gc
import threading

import dask.array as da
import numpy as np
import pytest
import torch
from torch import nn

from napari_dilatedloc.config import LocalizeConfig, SCMOSConfig
from napari_dilatedloc.inference import pipeline
from napari_dilatedloc.inference.engine import Engine, build_engine
from napari_dilatedloc.inference.pipeline import localize, summarize
from napari_dilatedloc.io.movie import MovieError
from napari_dilatedloc.network.registry import NETWORKS, build_network
from napari_dilatedloc.table import Localizations

pytestmark = pytest.mark.usefixtures("no_leaked_threads")


@pytest.mark.parametrize("shape", [(131, 97), (64, 65), (130, 33), (200, 17)])
@pytest.mark.parametrize("tile_size", [64, 66, 100])
def test_tiled_equals_untiled(strided, noise, same, shape, tile_size, run):
    movie = noise(2, *shape)
    whole = run(movie, strided)
    assert len(whole) > 20
    same(run(movie, strided, tile_size=tile_size), whole)


def test_tiles_need_their_halo(strided, noise, run):
    strided.network.halo = -2  # with what `decode` needs: none
    movie = noise(2, 131, 97)
    whole, tiled = run(movie, strided), run(movie, strided, tile_size=64)
    assert len(whole) != len(tiled) or np.abs(whole.x - tiled.x).max() > 0.1


@pytest.mark.parametrize("block_frames", [1, 2, 5, 64])
@pytest.mark.parametrize("batch_frames", [1, 3, 8])
def test_blocks_and_batches_do_not_change_the_result(
    strided, noise, same, block_frames, batch_frames, run
):
    movie = noise(11, 33, 42)
    expected = run(movie, strided, block_frames=11, batch_frames=11)
    assert len(expected) > 50
    sizes = {"block_frames": block_frames, "batch_frames": batch_frames}
    same(run(movie, strided, **sizes), expected)
    same(run(da.from_array(movie, chunks=(4, 33, 42)), strided, **sizes), expected)


@pytest.fixture
def trained_like(wrap, noise):
    """Registry network by name with statistics in its batch norms and weights in its heads."""

    def make(name, shape):
        torch.manual_seed(0)
        network = build_network(name)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # plain average
            if isinstance(module, nn.Conv2d) and not module.weight.any():
                nn.init.kaiming_normal_(module.weight)
        with torch.no_grad():
            for name, value in network.named_parameters():
                if name.endswith("bias"):
                    value.zero_()  # the probability starts from nearly none
            network(torch.from_numpy(noise(1, 5, *shape, seed=1)))
        network.eval().requires_grad_(False)
        return wrap(network)

    return make


def test_cards_are_given_longer_blocks():
    movie = np.zeros((1, 64, 64), np.uint16)

    def frames(device, **settings):
        config = LocalizeConfig(**settings)
        return pipeline._block_frames(movie, config, torch.device(device))

    assert (frames("cpu"), frames("cuda:0")) == (64, 256)
    assert frames("cuda:0", block_frames=7) == 7


def test_real_network_tiled_equals_untiled(trained_like, noise, same, run):
    model = trained_like("dilatedloc", (64, 64))
    movie = noise(2, 457, 16)
    whole = run(movie, model, threshold=0.3)
    assert len(whole) > 50
    # Side 64 and a halo of 168 on either side: inner tiles see less than the frame.
    same(run(movie, model, threshold=0.3, tile_size=64, batch_frames=1), whole)


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("axis", [2, 3])
def test_halo_covers_the_receptive_field(name, axis):
    # NaN spreads through every layer to all that depends on it, also past a closed ReLU or a zero
    # weight. float64 keeps to plain algorithms, which do not mix neighbouring outputs.
    network = build_network(name).double().eval()
    length = 2 * network.halo + 4 * network.multiple
    length += -length % network.multiple
    middle = length // 2 // network.multiple * network.multiple
    frames = torch.zeros(network.multiple, network.window, length, max(8, network.multiple))
    frames = frames.double()
    for phase in range(network.multiple):
        frames[phase, :, middle + phase] = torch.nan
    with torch.inference_mode():
        raw = network(frames if axis == 2 else frames.transpose(2, 3).contiguous())
    touched = raw.isnan().any(2).any(1).any(3 - axis + 1)  # (phase, position along the axis)
    reach = 0
    for phase in range(network.multiple):
        reached = torch.nonzero(touched[phase]).flatten() - (middle + phase)
        reach = max(reach, int(reached.abs().max()))
    assert 0 < reach <= network.halo
    assert network.halo - reach < 2 * network.multiple + 8  # and is no waste


def test_neighbours_are_true_across_blocks_and_repeated_at_the_ends(
    previous, run, marked, positions
):
    movie = marked((0, 3, 4), (3, 10, 20), (7, 39, 47), (11, 5, 5))
    expected = [(0, 3.0, 4.0), (1, 3.0, 4.0), (4, 10.0, 20.0), (8, 39.0, 47.0)]
    for block_frames in (1, 2, 4, 8, 12):
        for batch_frames in (1, 3, 4):
            sizes = {"block_frames": block_frames, "batch_frames": batch_frames}
            assert positions(run(movie, previous, **sizes)) == expected


def test_frames_outside_the_range_are_neighbours_still(previous, run, marked, positions):
    movie = marked((3, 10, 20), (6, 30, 30), (7, 1, 1))
    assert positions(run(movie, previous, frames=(4, 8))) == [(4, 10.0, 20.0), (7, 30.0, 30.0)]
    assert positions(run(movie, previous, frames=(5, 7))) == []


def test_region_keeps_the_coordinates_of_the_frame(previous, run, marked, positions):
    inside = [(2, 9, 11), (2, 30, 46)]
    outside = [(2, 8, 11), (2, 9, 10), (2, 31, 46), (2, 30, 47)]
    table = run(marked(*inside, *outside), previous, roi=(9, 11, 31, 47), frames=(3, 4))
    # Pixels side by side are one molecule to `decode`, unless both are likely: both are.
    assert positions(table) == [(3, 9.0, 11.0), (3, 30.0, 46.0)]


@pytest.mark.parametrize("tile_size", [64, 1024])
def test_regions_put_together_are_the_frame(strided, noise, same, tile_size, run):
    movie = noise(2, 131, 97)
    parts = [
        run(movie, strided, roi=roi, frames=(frame, frame + 1), tile_size=tile_size)
        for frame in (0, 1)
        for roi in ((0, 0, 35, 97), (35, 0, 131, 97))
    ]
    whole = run(movie, strided)
    assert all(len(part) > 5 for part in parts)
    same(Localizations.concatenate(parts), whole)


def test_blocks_come_in_order_and_sum_up(previous, exact, marked):
    movie = marked((3, 10, 20), (6, 30, 30))
    config = exact(block_frames=4, batch_frames=3, frames=(1, 11))
    blocks = list(localize(movie, previous, config))
    assert [(b.start, b.stop, b.total) for b in blocks] == [(0, 4, 10), (4, 8, 10), (8, 10, 10)]
    assert [b.localizations.frame.tolist() for b in blocks] == [[4], [7], []]
    report = summarize(blocks)
    assert (report.frames, report.localizations, report.device) == (10, 2, "cpu")
    assert report.frames_per_second > 0
    assert 0 < report.waited < 1
    assert report.mb_per_second == pytest.approx(
        report.frames_per_second * 40 * 48 * 2 / 1e6, rel=1e-6
    )


def test_dark_movie_gives_an_empty_table(previous, run, marked):
    table = run(marked(), previous)
    assert len(table) == 0
    assert table.frame.dtype == np.int32


@pytest.mark.parametrize(("threshold", "count"), [(None, 1), (0.9, 1), (0.999, 0)])
def test_threshold_is_the_models_unless_given(previous, threshold, count, run, marked):
    # The network gives a logit of 5, a probability of 0.993; the model's threshold is 0.5.
    assert len(run(marked((3, 9, 9)), previous, threshold=threshold)) == count


def test_camera_of_the_model_turns_counts_into_photons(previous, wrap, run, marked):
    camera = previous.info.camera.replace(baseline=2000)
    model = type(previous)(previous.network, previous.info.replace(camera=camera), {}, "fake", "")
    assert len(run(marked((3, 9, 9)), model)) == 0  # 1000 ADU lie below 2000


def test_stop_ends_after_the_batch_and_keeps_what_is_done(previous, exact, marked, positions):
    stop = threading.Event()
    calls = []

    class Stopping(type(previous.network)):
        def __deepcopy__(self, memo):
            return self

        def forward(self, frames):
            calls.append(1)
            if len(calls) == 5:
                stop.set()
            return super().forward(frames)

    model = type(previous)(Stopping(), previous.info, {}, "fake", "")
    config = exact(block_frames=6, batch_frames=2)
    movie = marked((7, 9, 9), frames=60)
    blocks = list(localize(movie, model, config, stop=stop))
    assert len(calls) == 5
    assert [(b.start, b.stop) for b in blocks] == [(0, 6), (6, 10)]
    assert positions(blocks[1].localizations) == [(8, 9.0, 9.0)]


def test_camera_maps_of_another_shape_are_refused_before_anything_runs(
    wrap, tmp_path, noting, exact, marked
):
    np.savez(tmp_path / "maps.npz", baseline=np.full((40, 47), 100, np.float32))
    network = noting()
    model = wrap(network)
    camera = SCMOSConfig(maps=str(tmp_path / "maps.npz"))
    with pytest.raises(ValueError, match=r"maps are 40 x 47 px, but the movie is 40 x 48 px"):
        localize(marked(), model.with_camera(camera), exact())
    assert network.seen == []


def test_camera_maps_are_those_of_the_region(wrap, tmp_path, noting, run, marked, positions):
    # one pixel's baseline hides its light; a map that is shifted would hide another's
    baseline = np.zeros((40, 48), np.float32)
    baseline[30, 33] = 1000
    np.savez(tmp_path / "maps.npz", baseline=baseline)
    camera = SCMOSConfig(baseline=0, e_per_adu=1, qe=1, maps=str(tmp_path / "maps.npz"))
    model = wrap(noting()).with_camera(camera)
    movie = marked((3, 30, 33), (3, 34, 40))
    assert positions(run(movie, model, roi=(24, 24, 40, 48))) == [(4, 34.0, 40.0)]
    assert positions(run(movie, model)) == [(4, 34.0, 40.0)]


@pytest.mark.parametrize("shape", [(16, 16), (17, 31), (129, 16)])
def test_small_and_odd_frames(previous, shape, run, marked, positions):
    movie = marked((3, 15, 15), (3, 0, 0), shape=shape)
    assert positions(run(movie, previous)) == [(4, 0.0, 0.0), (4, 15.0, 15.0)]


def test_stop_before_the_start_gives_nothing(previous, exact, marked):
    stop = threading.Event()
    stop.set()
    assert list(localize(marked(), previous, exact(), stop=stop)) == []


@pytest.mark.parametrize("drop", [False, True])
def test_closing_or_dropping_joins_all_threads(previous, drop, exact, marked):
    before = set(threading.enumerate())
    blocks = localize(marked(frames=50), previous, exact(block_frames=1))
    next(blocks)
    names = {thread.name for thread in threading.enumerate()}
    assert {"dilatedloc-reader", "dilatedloc-network"} <= names
    if drop:
        del blocks
        gc.collect()
    else:
        blocks.close()
    assert not set(threading.enumerate()) - before


def test_error_in_the_movie_is_one_sentence(previous, exact, marked):
    def broken(block, block_info=None):
        if block_info and block_info[None]["chunk-location"][0] == 2:
            raise OSError("page 8 is cut off")
        return block

    source = da.from_array(marked(), chunks=(4, 40, 48))
    movie = source.map_blocks(broken, dtype="u2", meta=np.empty((0, 0, 0), "u2"))
    blocks = localize(movie, previous, exact(block_frames=4))
    assert next(blocks).stop == 4
    with pytest.raises(MovieError, match=r"frames 8 to 11 .*page 8 is cut off") as caught:
        list(blocks)
    assert isinstance(caught.value.__cause__, OSError)


def test_movie_with_nan(previous, run, marked):
    movie = marked().astype(np.float32)
    movie[9] = np.nan
    with pytest.raises(MovieError, match="frame 9 of the movie"):
        run(movie, previous)


@pytest.mark.parametrize("shape", [(40, 48), (5, 40, 48, 3)])
def test_what_is_no_movie_is_refused_before_anything_runs(previous, shape):
    with pytest.raises(MovieError):
        localize(np.zeros(shape, np.uint8), previous)


def test_one_frame_is_a_movie(previous, run, marked, positions):
    assert positions(run(marked((0, 9, 9), frames=1), previous)) == [(0, 9.0, 9.0)]


def test_the_callers_model_and_modes_are_left_alone(strided, noise, exact):
    before = {name: (p.data_ptr(), p.stride()) for name, p in strided.network.named_parameters()}
    for _ in localize(noise(4, 33, 42), strided, exact(block_frames=1)):
        assert not torch.is_inference_mode_enabled()
    after = {name: (p.data_ptr(), p.stride()) for name, p in strided.network.named_parameters()}
    assert after == before


def test_an_engine_that_is_given_is_used_and_gives_the_same(strided, noise, exact, monkeypatch):
    movie, config = noise(11, 33, 42), exact(block_frames=4)
    expected = [block.localizations for block in localize(movie, strided, config)]
    seen = []
    inside = build_engine(strided.network, torch.device("cpu"), config)

    def counting(x):
        seen.append(x.shape[1] - 2)
        return inside(x)

    monkeypatch.delattr(pipeline, "build_engine")  # whoever makes another one fails
    engine = Engine("exact", "float32", counting)
    for _ in range(2):
        seen.clear()
        blocks = list(localize(movie, strided, config, engine=engine))
        assert seen == [4, 4, 3]
        assert {block.engine for block in blocks} == {"exact"}
        for block, found in zip(blocks, expected, strict=True):
            for name in found.column_names():
                np.testing.assert_array_equal(
                    getattr(block.localizations, name), getattr(found, name)
                )
