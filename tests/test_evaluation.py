"""The Challenge's metrics against hand-made tables and a plain second implementation."""

import itertools
import json
import time

import numpy as np
import pytest
import torch

from napari_dilatedloc.evaluation import evaluate, match
from napari_dilatedloc.table import Emitters, Localizations

PIXEL = 100.0


def emitters(frame, zyx_nm, photons=None):
    z, y, x = np.reshape(zyx_nm, (-1, 3)).T
    n = len(x)
    return Emitters(
        frame=frame,
        x=x / PIXEL,
        y=y / PIXEL,
        z_nm=z,
        photons=np.full(n, 1000.0) if photons is None else photons,
        id=np.arange(n),
    )


def found(frame, zyx_nm):
    z, y, x = np.reshape(zyx_nm, (-1, 3)).T
    return Localizations.from_columns(frame=frame, x=x / PIXEL, y=y / PIXEL, z_nm=z)


def random_pair(n_frames=20, density=4, seed=0, field_nm=3000):
    """Truth and localizations with errors, misses and inventions."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(n_frames), density)
    truth = rng.uniform([-500, 0, 0], [500, field_nm, field_nm], (len(frame), 3))
    kept = rng.random(len(frame)) < 0.8
    wrong = rng.uniform([-500, 0, 0], [500, field_nm, field_nm], (n_frames, 3))
    zyx = np.r_[truth[kept] + rng.normal(0, [120, 60, 60], (kept.sum(), 3)), wrong]
    frames = np.r_[frame[kept], np.arange(n_frames)]
    shuffled = rng.permutation(len(frames))
    return found(frames[shuffled], zyx[shuffled]), emitters(frame, truth)


def test_perfect():
    _, truth = random_pair()
    same = Localizations.from_columns(frame=truth.frame, x=truth.x, y=truth.y, z_nm=truth.z_nm)[
        ::-1
    ]
    result = evaluate(same, truth, PIXEL)
    assert result.true_positives == len(truth)
    assert (result.jaccard, result.precision, result.recall) == (1, 1, 1)
    assert (result.rmse_lateral_nm, result.rmse_axial_nm) == (0, 0)
    assert (result.efficiency_lateral, result.efficiency_axial, result.efficiency_3d) == (100,) * 3
    assert result.shift_nm == (0, 0, 0)


def test_by_hand():
    truth = emitters([0, 0, 1, 2], [[0, 0, 0], [0, 0, 5000], [100, 900, 900], [0, 0, 0]])
    estimates = found([0, 1, 1, 3], [[40, 0, 30], [100, 940, 900], [0, 5000, 0], [0, 0, 0]])
    result = evaluate(estimates, truth, PIXEL)
    assert (result.true_positives, result.false_positives, result.false_negatives) == (2, 2, 2)
    assert result.jaccard == pytest.approx(2 / 6)
    assert result.precision == result.recall == 0.5
    lateral = np.sqrt((30**2 + 40**2) / 2)
    axial = np.sqrt((40**2 + 0) / 2)
    assert result.rmse_lateral_nm == pytest.approx(lateral, rel=1e-5)
    assert result.rmse_lateral_axis_nm == pytest.approx(lateral / np.sqrt(2), rel=1e-5)
    assert result.rmse_axial_nm == pytest.approx(axial)
    expected = [
        100 - np.sqrt((100 - 100 / 3) ** 2 + (a * rmse) ** 2)
        for a, rmse in ((1, lateral), (0.5, axial))
    ]
    assert result.efficiency_lateral == pytest.approx(expected[0], rel=1e-5)
    assert result.efficiency_axial == pytest.approx(expected[1], rel=1e-5)
    assert result.efficiency_3d == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("zyx", "expected"),
    [
        ([0, 0, 249], 1),
        ([0, 0, 251], 0),
        ([0, 180, 180], 0),
        ([499, 0, 0], 1),
        ([501, 0, 0], 0),
        ([-501, 0, 0], 0),
    ],
)
def test_gates(zyx, expected):
    truth = emitters([0], [[0, 0, 0]])
    assert evaluate(found([0], [zyx]), truth, PIXEL).true_positives == expected
    wide = evaluate(found([0], [zyx]), truth, PIXEL, lateral_nm=400, axial_nm=900)
    assert wide.true_positives == 1


def test_neighbouring_frames_never_mix():
    truth = emitters(np.arange(5), np.zeros((5, 3)))
    result = evaluate(found([7], [[0, 0, 0]]), truth, PIXEL)
    assert (result.true_positives, result.false_positives, result.false_negatives) == (0, 1, 5)


def test_most_pairs_before_nearest():
    """A greedy choice of the nearest would leave one of two without a partner."""
    truth = emitters([0, 0], [[0, 0, 0], [0, 0, 200]])
    estimates = found([0, 0], [[0, 0, 90], [0, 0, -150]])
    result = evaluate(estimates, truth, PIXEL)
    assert result.true_positives == 2
    i, j = match(estimates, truth, PIXEL)
    assert dict(zip(i.tolist(), j.tolist(), strict=True)) == {0: 1, 1: 0}


def brute_force(a, b):
    """Most pairs within the gates, then the least sum of lateral distances, by trying all."""
    lateral = np.hypot(*(a[:, None, 1:] - b[None, :, 1:]).transpose(2, 0, 1))
    allowed = (lateral <= 250) & (np.abs(a[:, None, 0] - b[None, :, 0]) <= 500)
    best = (0, 0.0)
    slots = [*range(len(b)), *[-1] * len(a)]
    for choice in set(itertools.permutations(slots, len(a))):
        pairs = [(i, j) for i, j in enumerate(choice) if j >= 0]
        if all(allowed[pair] for pair in pairs):
            best = min(best, (-len(pairs), sum(lateral[pair] for pair in pairs)))
    return best


def test_against_trying_all_pairs():
    estimates, truth = random_pair(n_frames=25, density=3, field_nm=600)
    i, j = match(estimates, truth, PIXEL)
    a = np.c_[estimates.z_nm, estimates.y * 100.0, estimates.x * 100.0]
    b = np.c_[truth.z_nm, truth.y * 100.0, truth.x * 100.0]
    np.testing.assert_array_equal(estimates.frame[i], truth.frame[j])
    assert len(set(i)) == len(i)
    assert len(set(j)) == len(j)
    crowded = 0
    for frame in range(25):
        here = estimates.frame[i] == frame
        total = np.hypot(*(a[i[here], 1:] - b[j[here], 1:]).T).sum()
        expected = brute_force(a[estimates.frame == frame], b[truth.frame == frame])
        assert here.sum() == -expected[0]
        assert total == pytest.approx(expected[1], rel=1e-4)
        crowded += here.sum() > 1
    assert crowded > 10


def test_min_photons_counts_dim_ones_neither_way():
    truth = emitters(
        [0, 0, 0, 0],
        [[0, 0, 0], [0, 0, 2000], [0, 0, 4000], [0, 0, 6000]],
        photons=[1000, 1000, 50, 50],
    )
    # one bright found, one dim found (200 nm off), one false
    estimates = found([0, 0, 0], [[0, 0, 10], [0, 0, 4200], [0, 0, 9000]])
    result = evaluate(estimates, truth, PIXEL, min_photons=100)
    assert (result.true_positives, result.false_positives, result.false_negatives) == (1, 1, 1)
    assert result.rmse_lateral_nm == pytest.approx(10, rel=1e-4)
    everything = evaluate(estimates, truth, PIXEL)
    assert (everything.true_positives, everything.false_negatives) == (2, 2)


def test_dim_emitters_do_not_take_bright_partners_after_the_match():
    """All are matched first: a localization on a dim emitter is no false positive."""
    truth = emitters([0, 0], [[0, 0, 0], [0, 0, 240]], photons=[1000, 50])
    result = evaluate(found([0, 0], [[0, 0, 0], [0, 0, 230]]), truth, PIXEL, min_photons=100)
    assert (result.true_positives, result.false_positives, result.false_negatives) == (1, 0, 0)


def test_a_border_counts_neither_way():
    """In frames of 40 x 60 px the border of 450 nm is 4.5 px, from the edge of the first pixel."""
    inside = [[0, 1000, 1000], [0, 400, 400], [0, 3500, 5500]]  # in the corners by a hair
    cut = [[0, 390, 3000], [0, 2000, 390], [0, 3510, 3000], [0, 2000, 5510]]
    truth = emitters([0] * 7, inside + cut)
    # one found inside, one found in the border, one false in either
    at = [[0, 1000, 1020], [0, 395, 3000], [0, 100, 100], [0, 2500, 2500]]
    result = evaluate(found([0] * 4, at), truth, PIXEL, field_px=(40, 60), border_nm=450)
    assert (result.true_positives, result.false_positives, result.false_negatives) == (1, 1, 2)
    assert result.rmse_lateral_nm == pytest.approx(20, rel=1e-4)
    whole = evaluate(found([0] * 4, at), truth, PIXEL, field_px=(40, 60))
    assert (whole.true_positives, whole.false_positives, whole.false_negatives) == (2, 2, 5)


def test_a_border_needs_the_size_of_the_frames():
    with pytest.raises(ValueError, match="give height and width"):
        evaluate(*random_pair(), PIXEL, border_nm=450)


def test_a_border_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="leaves nothing of frames of 9 x 64 px"):
        evaluate(*random_pair(), PIXEL, field_px=(9, 64), border_nm=450)


def test_remove_shift():
    _, truth = random_pair(density=1)
    shifted = Localizations.from_columns(
        frame=truth.frame, x=truth.x + 0.6, y=truth.y - 0.4, z_nm=truth.z_nm + 150
    )
    plain = evaluate(shifted, truth, PIXEL)
    assert plain.rmse_lateral_nm == pytest.approx(100 * np.hypot(0.6, 0.4), rel=1e-4)
    assert plain.rmse_axial_nm == pytest.approx(150, rel=1e-4)
    result = evaluate(shifted, truth, PIXEL, remove_shift=True)
    np.testing.assert_allclose(result.shift_nm, [150, -40, 60], rtol=1e-3)
    assert result.rmse_lateral_nm < 0.01
    assert result.rmse_axial_nm < 0.01
    assert result.jaccard == 1


def test_without_z():
    _, truth = random_pair(density=1)
    flat = Localizations.from_columns(frame=truth.frame, x=truth.x, y=truth.y)
    result = evaluate(flat, truth, PIXEL, remove_shift=True)
    assert result.jaccard == 1
    assert np.isnan(result.rmse_axial_nm)
    assert np.isnan(result.efficiency_3d)
    assert result.efficiency_lateral == 100


def test_nothing_to_match():
    estimates, truth = random_pair()
    for a, b, expected in (
        (Localizations.empty(), truth, (0, 0, len(truth))),
        (estimates, Emitters.empty(), (0, len(estimates), 0)),
        (Localizations.empty(), Emitters.empty(), (0, 0, 0)),
        (estimates.replace(x=estimates.x + np.nan), truth, (0, len(estimates), len(truth))),
    ):
        result = evaluate(a, b, PIXEL, remove_shift=True)
        assert (result.true_positives, result.false_positives, result.false_negatives) == expected
        assert np.isnan(result.rmse_lateral_nm)
        assert np.isnan(result.efficiency_3d)
        assert np.isnan(result.jaccard) == (sum(expected) == 0)
        values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
        assert values["rmse_lateral_nm"] is None
        assert values["shift_nm"] == [0, 0, 0]


def test_a_hundred_thousand_rows_take_seconds():
    estimates, truth = random_pair(n_frames=5000, density=20, field_nm=6400)
    start = time.perf_counter()
    result = evaluate(estimates, truth, PIXEL, remove_shift=True)
    assert time.perf_counter() - start < 30  # 2-5 s on two busy cores
    assert result.recall == pytest.approx(0.8, abs=0.03)


def test_many_localizations_in_the_first_frame_while_denormals_are_flushed():
    """So it is during training on a CPU."""
    generator = np.random.default_rng(0)
    x, y = generator.uniform(0, 60, (2, 400))
    frame = np.where(np.arange(400) < 320, 0, 1)
    found = Localizations.from_columns(frame=frame, x=x, y=y, z_nm=np.zeros(400))
    truth = Emitters(frame=frame, x=x, y=y, z_nm=0 * x, photons=0 * x + 1000, id=np.arange(400))
    torch.set_flush_denormal(True)
    try:
        assert evaluate(found, truth, 100.0).true_positives == 400
    finally:
        torch.set_flush_denormal(False)
