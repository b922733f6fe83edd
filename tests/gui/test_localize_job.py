from threading import Event

import numpy as np

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.localize_job import (
    RunJudged,
    RunJudging,
    RunStarted,
    localize_job,
)
from napari_dilatedloc.gui.model_step import ModelStep
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.inference.report import LocalizedBlock
from napari_dilatedloc.network.checkpoint import load_model


def test_a_run_ends_with_what_speaks_against_the_model(model_path):
    movie = np.full((20, 32, 32), 100, np.uint16)
    config = LocalizeConfig(threshold=0.999, device="cpu")
    started, *blocks, judging, judged = localize_job(
        movie, 100.0, str(model_path), config, None, Event()
    )
    assert isinstance(started, RunStarted)
    assert blocks[-1].stop == 20
    assert isinstance(judging, RunJudging)
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


def test_the_camera_that_recorded_counts(model_path):
    generator = np.random.default_rng(5)
    movie = generator.poisson(130, (8, 32, 32)).astype(np.uint16)
    config = LocalizeConfig(device="cpu", engine="exact")
    model = load_model(model_path)
    other = model.info.camera.replace(e_per_adu=2 * model.info.camera.e_per_adu)

    def photons(camera):
        job = localize_job(movie, 100.0, str(model_path), config, camera, Event())
        blocks = [item for item in job if isinstance(item, LocalizedBlock)]
        return np.concatenate([block.localizations.photons for block in blocks])

    (expected,) = localize(movie, model.with_camera(other), config)
    np.testing.assert_array_equal(photons(other), expected.localizations.photons)
    assert not np.array_equal(photons(None), expected.localizations.photons)
