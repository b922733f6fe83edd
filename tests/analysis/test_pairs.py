import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dilatedloc.analysis import pairs
from napari_dilatedloc.analysis.pairs import FrameGrid, closest_first


def close_pairs(frame, yx, queries, query_yx, cell):
    grid = FrameGrid(frame, yx, cell)
    found = []
    for i, j in grid.candidates(queries, query_yx):
        near = np.hypot(*(query_yx[i] - yx[j]).T) <= cell
        assert (queries[i] == frame[j]).all()
        found += list(zip(i[near].tolist(), j[near].tolist(), strict=True))
    assert len(found) == len(set(found))
    return set(found)


def all_pairs(frame, yx, queries, query_yx, cell):
    apart = np.linalg.norm(query_yx[:, None] - yx[None], axis=2)
    near = (apart <= cell) & (queries[:, None] == frame[None])
    return set(zip(*(rows.tolist() for rows in np.nonzero(near)), strict=True))


@pytest.mark.parametrize("chunk", [5, 2**21])
@given(seed=st.integers(0, 10**6), cell=st.sampled_from([0.3, 1.0, 4.0, 100.0]))
def test_all_close_pairs_are_found_once(chunk, seed, cell):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(0, 60, 2)
    frame, queries = rng.integers(-2, 3, n), rng.integers(-4, 6, m)
    yx, query_yx = rng.uniform(-5, 5, (n, 2)), rng.uniform(-7, 7, (m, 2))
    yx[rng.random(n) < 0.05] = np.nan
    query_yx[rng.random(m) < 0.05] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "CHUNK_PAIRS", chunk)
        found = close_pairs(frame, yx, queries, query_yx, cell)
    assert found == all_pairs(frame, yx, queries, query_yx, cell)


def test_places_too_far_apart_to_be_numbered():
    yx = np.array([[0.0, 0.0], [1e15, 1e15]])
    with pytest.raises(ValueError, match="remove rows that lie far outside"):
        FrameGrid(np.zeros(2, int), yx, 1.0)


def greedy(i, j, distance):
    chosen = set()
    for d, a, b in sorted(zip(distance, i, j, strict=True)):
        if all(a != other and b != another for _, other, another in chosen):
            chosen.add((d, a, b))
    return {(a, b) for _, a, b in chosen}


@given(seed=st.integers(0, 10**6))
def test_the_closest_pair_is_chosen_first(seed):
    rng = np.random.default_rng(seed)
    every = np.argwhere(rng.random((12, 9)) < rng.choice([0.1, 0.5]))
    i, j = rng.permutation(every).T
    distance = rng.integers(0, 5, len(i)).astype(float)  # with many equal ones
    chosen = closest_first(i, j, distance)
    assert set(zip(*map(np.ndarray.tolist, chosen), strict=True)) == {
        (int(a), int(b)) for a, b in greedy(i, j, distance)
    }
