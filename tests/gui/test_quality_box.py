import numpy as np
import pytest

from napari_dilatedloc.gui import quality_box
from napari_dilatedloc.gui.layers import Placement
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.quality_box import QualityBox
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.table import Localizations, TableInfo

TIMEOUT = 120_000
SIGMA_PX = 0.1


@pytest.fixture
def result(movie_viewer):
    """Molecules that are on for two frames, with errors of 10 nm."""
    generator = np.random.default_rng(2)
    n = 1500
    place = generator.uniform(2, 27, (n, 2)) * [1, 0.6]
    first = generator.integers(0, 18, n)
    frame = np.concatenate([first, first + 1])
    x, y = (np.tile(place, (2, 1)) + generator.normal(0, SIGMA_PX, (2 * n, 2))).T
    order = np.argsort(frame, kind="stable")
    width = np.full(2 * n, SIGMA_PX)
    table = Localizations.from_columns(
        frame=frame[order],
        x=x[order],
        y=y[order],
        photons=np.full(2 * n, 800.0),
        bg=np.full(2 * n, 20.0),
        sigma_x=width,
        sigma_y=width,
    )
    placed = Placement.from_layer(movie_viewer.layers["movie"])
    made = LiveResult(movie_viewer, "m", placed, (20, 30), TableInfo(100.0, (20, 30), 20), {})
    made.append(0, 20, table)
    made.finish(partial=False)
    return made


def test_figures_picture_and_report(qtbot, result, tmp_path):
    box = QualityBox()
    qtbot.addWidget(box)
    assert not box.button.isEnabled()
    box.show_result(result)
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.button.click()
    assert box.worker.state is State.DONE
    assert "3,000 localizations, 150.0 a frame" in box.figures.text()
    assert "predicted precision 10.0 nm" in box.figures.text()
    assert "800 photons, 20 background" in box.figures.text()
    assert box.judged.quality.nena.sigma_nm == pytest.approx(10, rel=0.15)
    assert not box.picture.pixmap().isNull()
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.save_to(tmp_path / "quality.html")
    assert "<html" in (tmp_path / "quality.html").read_text().lower()
    assert "quality.html" in box.line.label.text()
    box.show_result(None)
    assert box.figures.text() == ""
    assert not box.save_button.isEnabled()


def test_a_new_result_is_looked_at_where_the_box_can_be_seen(qtbot, result):
    box = QualityBox()
    qtbot.addWidget(box)
    box.show_result(result)
    assert box.worker.state is State.IDLE
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.show()
    assert "3,000 localizations" in box.figures.text()
    box.hide()
    box.show()
    assert box.worker.state is State.DONE  # seen already
    box.show_result(None)
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.show_result(result)
    assert "3,000 localizations" in box.figures.text()


def test_of_two_new_results_the_later_one_is_looked_at(qtbot, result):
    box = QualityBox()
    qtbot.addWidget(box)
    box.show()
    box.show_result(result)
    assert box.worker.state is State.RUNNING
    box.show_result(None)
    box.show_result(result)
    qtbot.waitUntil(lambda: box.judged is not None, timeout=TIMEOUT)
    assert "3,000 localizations" in box.figures.text()


def test_a_large_result_waits_for_its_button(qtbot, result, monkeypatch):
    monkeypatch.setattr(quality_box, "MOST_AT_ONCE", 2999)
    box = QualityBox()
    qtbot.addWidget(box)
    box.show()
    box.show_result(result)
    assert box.worker.state is State.IDLE
    assert box.button.isEnabled()


def test_an_empty_result_is_one_sentence(qtbot, result):
    box = QualityBox()
    qtbot.addWidget(box)
    result.store.keep(np.zeros(3000, bool))
    box.show_result(result)
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.judge()
    assert "empty" in box.line.error
    assert box.button.isEnabled()


def test_figures_of_what_is_no_longer_on_show_are_dropped(qtbot, result):
    box = QualityBox()
    qtbot.addWidget(box)
    box.show_result(result)
    with qtbot.waitSignal(box.worker.finished, timeout=TIMEOUT):
        box.judge()
        box.forget()  # as when the filter is moved
    assert box.worker.state is State.DONE
    assert box.judged is None
    assert box.figures.text() == ""
    assert box.button.isEnabled()
