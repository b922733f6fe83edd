from pathlib import Path
from threading import Event

import numpy as np
import pytest
import tifffile

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.localize_job import RunJudged, RunJudging, RunStarted
from napari_dilatedloc.gui.results_step import ResultsStep
from napari_dilatedloc.gui.run_panel import RunPanel
from napari_dilatedloc.gui.runner import Runner
from napari_dilatedloc.gui.watch_job import MovieGrew, watch_job
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.inference.report import LocalizedBlock
from napari_dilatedloc.io.frames import MovieError
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.table import Localizations

TIMEOUT = 120_000
CONFIG = LocalizeConfig(device="cpu", engine="exact", block_frames=8)


def write(folder: Path, movie, first, last):
    for number in range(first, last):
        tifffile.imwrite(folder / f"img_{number:05d}.tif", movie[number])


def whole(movie, model_path):
    blocks = localize(movie, load_model(model_path), CONFIG)
    return Localizations.concatenate([block.localizations for block in blocks])


def test_the_table_is_that_of_the_finished_movie(movie, model_path, tmp_path):
    write(tmp_path, movie, 0, 12)
    over = Event()
    items, lengths = [], []
    for item in watch_job(tmp_path, None, str(model_path), CONFIG, None, over, Event()):
        items.append(item)
        if isinstance(item, MovieGrew):
            lengths.append(len(item.movie))
            assert item.pixel_size_nm == 100  # the model's
        if isinstance(item, LocalizedBlock) and item.stop == 11:
            write(tmp_path, movie, 12, 20)
            over.set()
    assert [type(item) for item in items[:3]] == [MovieGrew, RunStarted, LocalizedBlock]
    assert [type(item) for item in items[-2:]] == [RunJudging, RunJudged]
    assert lengths == [12, 20]
    table = Localizations.concatenate(
        [item.localizations for item in items if isinstance(item, LocalizedBlock)]
    )
    expected = whole(movie[:20], model_path)
    assert len(table) == len(expected) > 0
    np.testing.assert_array_equal(table.frame, expected.frame)
    np.testing.assert_allclose(table.x, expected.x, atol=1e-4)


def test_an_empty_folder_is_one_sentence(model_path, tmp_path):
    over = Event()
    over.set()
    job = watch_job(tmp_path, 100.0, str(model_path), CONFIG, None, over, Event())
    with pytest.raises(MovieError, match=r"no frame came into .*; choose where"):
        list(job)


@pytest.fixture
def runner(qtbot, make_napari_viewer_proxy):
    panel, results = RunPanel(), ResultsStep()
    qtbot.addWidget(panel)
    qtbot.addWidget(results)
    made = Runner(make_napari_viewer_proxy(), panel, results)
    yield made
    made.shut_down()


def test_a_recording_is_localized_while_it_is_written(qtbot, runner, movie, model_path, tmp_path):
    viewer, panel = runner._viewer, runner._panel
    runner.watch(tmp_path, None, str(model_path), CONFIG)
    assert "Waiting for frames" in panel.status.text()
    assert not panel.over_button.isHidden()
    assert len(viewer.layers) == 0
    write(tmp_path, movie, 0, 10)
    qtbot.waitUntil(lambda: runner.run.done == 9, timeout=TIMEOUT)
    layer = viewer.layers[tmp_path.name]
    assert layer.data.shape == (10, 24, 32)
    assert layer.scale.tolist() == [1, 100, 100]
    assert panel.bar.format() == "9 of 10 frames so far"
    assert viewer.dims.current_step[0] == 8  # the newest that is done
    viewer.dims.set_current_step(0, 3)
    write(tmp_path, movie, 10, 16)
    qtbot.waitUntil(lambda: runner.run.done == 15, timeout=TIMEOUT)
    assert layer.data.shape == (16, 24, 32)
    assert viewer.dims.current_step[0] == 3  # the user has taken the slider
    with qtbot.waitSignal(runner.worker.finished, timeout=TIMEOUT):
        panel.over_button.click()
    assert runner.worker.state is State.DONE
    assert runner.result.frames == (0, 16)
    assert runner.result.info.n_frames == 16
    assert panel.over_button.isHidden()
    assert f"{tmp_path.name} super-resolution" in viewer.layers  # not cut short
    table = runner.result.store.table()
    np.testing.assert_array_equal(table.frame, whole(movie[:16], model_path).frame)


def test_cancel_keeps_what_was_recorded(qtbot, runner, movie, model_path, tmp_path):
    write(tmp_path, movie, 0, 10)
    runner.watch(tmp_path, 120.0, str(model_path), CONFIG)
    qtbot.waitUntil(lambda: runner.run.done == 9, timeout=TIMEOUT)
    with qtbot.waitSignal(runner.worker.finished, timeout=5000):
        runner.worker.cancel()
    assert runner.worker.state is State.CANCELLED
    assert runner._panel.status.text() == "Cancelled. Frames 0-8 are kept (9 of 10)."
    assert runner.result.info.pixel_size_nm == 120
    assert f"{tmp_path.name} super-resolution (frames 0-8)" in runner._viewer.layers
