from threading import Event

import numpy as np

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.localize_job import RunJudged, RunStarted, localize_job
from napari_dilatedloc.gui.model_step import ModelStep


def test_a_run_ends_with_what_speaks_against_the_model(model_path):
    movie = np.full((20, 32, 32), 100, np.uint16)
    config = LocalizeConfig(threshold=0.999, device="cpu")
    started, *blocks, judged = localize_job(movie, 100.0, str(model_path), config, Event())
    assert isinstance(started, RunStarted)
    assert blocks[-1].stop == 20
    assert isinstance(judged, RunJudged)
    assert sum(len(block.localizations) for block in blocks) == 0
    assert "0 molecules were found in 20 frames" in judged.doubts[0]


def test_doubts_after_a_run_join_those_before(qtbot):
    step = ModelStep()
    qtbot.addWidget(step)
    step.add_doubts("")
    assert step.doubts.isHidden()
    step.describe("Trained.", "Small pixels.")
    step.add_doubts("Too dense.")
    assert step.doubts.text() == "Small pixels. Too dense."
    assert not step.doubts.isHidden()
