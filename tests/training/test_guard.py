import math

from napari_dilatedloc.training.guard import MAX_BAD_STEPS, Guard


def test_a_run_that_gets_better_goes_on():
    guard = Guard()
    assert not any(guard.diverged(20 * 0.99**step, True) for step in range(500))


def test_a_single_odd_step_is_no_divergence():
    guard = Guard()
    assert not any(guard.diverged(5.0, True) for _ in range(200))
    assert not guard.diverged(60.0, True)
    assert not guard.diverged(math.nan, True)
    assert not guard.diverged(5.0, False)
    assert not any(guard.diverged(5.0, True) for _ in range(200))


def test_gradients_that_stay_infinite_are():
    guard = Guard()
    said = [guard.diverged(5.0, False) for _ in range(MAX_BAD_STEPS)]
    assert said == [False] * (MAX_BAD_STEPS - 1) + [True]


def test_a_loss_that_climbs_for_good_is():
    guard = Guard()
    assert not any(guard.diverged(5.0, True) for _ in range(200))
    assert any(guard.diverged(15.0, True) for _ in range(100))
