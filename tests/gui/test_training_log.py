import math

import numpy as np
import pytest

from napari_dilatedloc.evaluation import evaluate
from napari_dilatedloc.gui.train_plots import TrainPlots, ratios
from napari_dilatedloc.gui.training_log import POINTS, TrainingLog
from napari_dilatedloc.table import Emitters, Localizations
from napari_dilatedloc.training.isolated import IsolatedAccuracy
from napari_dilatedloc.training.step import TrainingStep

Z = np.linspace(-500, 500, 5)


def step(number, loss=1.0, **others):
    values = {"progress": number / 10_000, "seconds": 6.0 * number, "eta_s": 90.0, "losses": {}}
    if number:
        values["losses"] = {"count": loss / 4, "localization": 3 * loss / 4}
    return TrainingStep(step=number, learning_rate=1e-3, **(values | others))


def evaluation(found, missed, off_nm):
    """Accuracy of `found` molecules that are `off_nm` off in x and z, and `missed` others."""
    n = found + missed
    at = {"frame": np.arange(n), "y": np.full(n, 5.0)}
    truth = Emitters(
        **at, x=np.full(n, 5.0), z_nm=np.zeros(n), photons=np.full(n, 1e3), id=np.arange(n)
    )
    at = {name: values[:found] for name, values in at.items()}
    x, z_nm = np.full(found, 5 + off_nm / 100), np.full(found, float(off_nm))
    return evaluate(Localizations.from_columns(**at, x=x, z_nm=z_nm), truth, 100.0)


def isolated(lateral, axial):
    """Errors of so many bounds."""
    ones = np.ones(5)
    bounds = {f"crlb_{axis}_nm": 5 * ones for axis in "xy"} | {"crlb_z_nm": 10 * ones}
    errors = {f"rmse_{axis}_nm": 5 * lateral * ones for axis in "xy"}
    biases = {f"bias_{axis}_nm": 0 * ones for axis in "xyz"}
    return IsolatedAccuracy(
        z_nm=Z, detected=ones, rmse_z_nm=10 * axial * ones, **errors, **biases, **bounds
    )


def test_the_loss_curves_stay_short():
    log = TrainingLog()
    for number in range(1, 5 * POINTS + 1):
        log.add(step(number, loss=float(number)))
    minutes, loss = log.minutes, log.curves["total"]
    assert POINTS / 2 <= len(loss) < POINTS
    assert len(minutes) == len(loss)
    # each point is the mean of a block that ends at its time, so it lies half a block back
    block = round(minutes[0] / 0.1)
    np.testing.assert_allclose(loss, np.array(minutes) / 0.1 - (block - 1) / 2)
    np.testing.assert_allclose(log.curves["localization"], 0.75 * np.array(loss))
    np.testing.assert_allclose(log.curves["count"], 0.25 * np.array(loss))
    assert log.progress().endswith("1 min 30 s left")
    assert f"step {5 * POINTS:,}" in log.progress()


def test_a_loss_that_is_no_number_leaves_a_gap():
    log = TrainingLog()
    for loss in (1.0, math.nan, 3.0):
        log.add(step(1, loss=loss))
    assert log.curves["total"] == [1.0, 3.0]


def test_accuracy_before_and_after():
    log = TrainingLog()
    assert log.accuracy() == ""
    began = {"evaluation": evaluation(5, 5, 30), "validation_loss": 3.0}
    log.add(step(0, isolated=isolated(2.0, 3.0), **began))
    assert log.accuracy() == (
        "Accuracy before: Jaccard 0.50, lateral error 30 nm, axial error 30 nm; "
        "lone molecules: lateral 2.00, axial 3.00 × CRLB"
    )
    better, worse = evaluation(9, 1, 20), evaluation(8, 2, 25)
    kept = {"evaluation": better, "validation_loss": 2.0, "is_best": True}
    log.add(step(100, isolated=isolated(1.1, 1.2), **kept))
    log.add(step(200, evaluation=worse, isolated=isolated(1.4, 1.5), validation_loss=2.1))
    assert log.best.step == 100  # the one that is kept, not the last
    assert log.gained
    assert log.accuracy() == (
        "Accuracy before → after: Jaccard 0.50 → 0.90, lateral error 30 → 20 nm, "
        "axial error 30 → 20 nm; lone molecules: lateral 2.00 → 1.10, axial 3.00 → 1.20 × CRLB"
    )


def test_nothing_gained_is_noticed():
    log = TrainingLog()
    log.add(step(0, evaluation=evaluation(9, 1, 20), validation_loss=2.0))
    worse = {"evaluation": evaluation(5, 5, 30), "validation_loss": 2.5}
    log.add(step(100, is_best=True, **worse))
    assert not log.gained
    found_nothing = TrainingLog()
    found_nothing.add(step(100, evaluation=evaluation(0, 3, 0)))
    assert "lateral error – nm" in found_nothing.accuracy()
    assert found_nothing.best.step == 100  # the first one is kept though it is not the best


def test_the_plots_show_the_log(qtbot):
    plots = TrainPlots()
    qtbot.addWidget(plots)
    log = TrainingLog()
    log.add(step(0, evaluation=evaluation(5, 5, 30), isolated=isolated(2.0, 3.0)))
    plots.draw(log)
    for number in range(1, 31):
        log.add(step(number, loss=10.0 - number / 10))
    best = {"evaluation": evaluation(9, 1, 20), "isolated": isolated(1.1, 1.2), "is_best": True}
    log.add(step(31, loss=6.9, **best))
    plots.draw(log)
    assert not plots.isHidden()
    loss, jaccard, errors = plots.figure.axes
    total, position, presence, count, _ = loss.lines
    # means over 2 on both sides, from 9.8 down to 7.0, above the lowest of them
    assert total.get_ydata()[[0, -1]] == pytest.approx([2.8, 0.0])
    assert position.get_ydata()[[0, -1]] == pytest.approx([2.1, 0.0])
    assert count.get_ydata()[[0, -1]] == pytest.approx([0.7, 0.0])
    assert len(presence.get_ydata()) == 0  # not told by this training
    said = [text.get_text() for text in loss.get_legend().get_texts()]
    assert said == ["total 7.00", "count 1.75", "position 5.25"]
    np.testing.assert_allclose(jaccard.lines[0].get_ydata(), [0.5, 0.9])
    drawn = [line.get_ydata()[0] for line in errors.lines]
    np.testing.assert_allclose(drawn, [2.0, 3.0, 1.1, 1.2, 1.0])  # before, after, the bound
    assert [line.get_linestyle() for line in errors.lines[:4]] == ["--", "--", "-", "-"]


def test_the_ratio_of_a_plane_where_nothing_was_found_is_left_out(qtbot):
    found = isolated(1.5, 2.0)
    found.rmse_x_nm[2] = np.nan
    log = TrainingLog()
    log.add(step(0, evaluation=evaluation(5, 5, 30), isolated=found))
    (_, z_nm, lateral), (_, _, axial) = ratios(log.before)
    assert z_nm is found.z_nm
    np.testing.assert_allclose(lateral, [1.5, 1.5, np.nan, 1.5, 1.5])
    np.testing.assert_allclose(axial, 2.0)
    plots = TrainPlots()
    qtbot.addWidget(plots)
    plots.draw(log)
    assert plots.figure.axes[2].get_ylim()[1] == pytest.approx(2.2)
