import dask.array as da
import numpy as np
import pytest

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import SCMOSConfig
from napari_dilatedloc.matching.sample import take_sample

CAMERA = build_camera(SCMOSConfig())


def test_small_movie_is_taken_whole_in_one_run():
    movie = np.random.default_rng(0).integers(0, 900, (32, 20, 30), dtype=np.uint16)
    sample = take_sample(movie, CAMERA)
    assert sample.adu.shape == (1, 32, 20, 30)
    np.testing.assert_array_equal(sample.adu[0], movie)
    np.testing.assert_allclose(sample.photons[0], (movie - 100.0) * 0.47 / 0.9, rtol=1e-5)


def test_runs_of_a_large_lazy_movie_are_true_parts_of_it():
    frame = np.arange(300 * 280).reshape(300, 280) % 50_000
    movie = da.from_array(frame[None] + np.arange(1000)[:, None, None], chunks=(50, 300, 280))
    sample = take_sample(movie, CAMERA, pixels=2_000_000)
    runs, length, height, width = sample.adu.shape
    assert sample.adu.numel() <= 2_000_000
    assert runs == 4
    for k in range(runs):
        (y, x), t = sample.origin[k].tolist(), sample.first_frame[k]
        expected = movie[t : t + length, y : y + height, x : x + width].compute()
        np.testing.assert_array_equal(sample.adu[k], expected)
    assert max(sample.first_frame) - min(sample.first_frame) > 500  # all over the movie
    assert len({tuple(o) for o in sample.origin.tolist()}) == 4  # and all over the field


def test_range_of_frames():
    movie = np.arange(60)[:, None, None] * np.ones((1, 16, 16))
    sample = take_sample(movie, CAMERA, frames=(10, 30))
    assert float(sample.adu.min()) == 10
    assert float(sample.adu.max()) == 29


@pytest.mark.parametrize(
    ("shape", "frames", "words"),
    [
        ((20, 20), None, r"expected a movie \(T, Y, X\)"),
        ((5, 8, 40), None, "at least 16 x 16"),
        ((5, 20, 20), (3, 9), "frames must be A:B"),
    ],
)
def test_what_is_no_movie_is_refused(shape, frames, words):
    with pytest.raises(ValueError, match=words):
        take_sample(np.zeros(shape), CAMERA, frames=frames)


def test_missing_numbers_are_refused():
    with pytest.raises(ValueError, match="NaN or infinity"):
        take_sample(np.full((3, 16, 16), np.nan), CAMERA)
