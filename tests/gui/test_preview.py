import numpy as np
import pytest

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.preview import PreviewBox
from napari_dilatedloc.gui.run import Asked

TIMEOUT = 120_000


@pytest.fixture
def viewer(make_napari_viewer_proxy, movie):
    made = make_napari_viewer_proxy()
    made.add_image(movie, name="movie", scale=(1, 100, 100), units=("pixel", "nm", "nm"))
    made.dims.set_current_step(0, 12)
    return made


class Fields:
    """What the dock knows, as its fields have it."""

    def __init__(self, movie, model):
        self.config = LocalizeConfig(device="cpu")
        self.movie, self.model, self.trouble = movie, model, ""

    def __call__(self):
        return self.trouble or Asked(self.movie, 100.0, self.model, self.config)


@pytest.fixture
def fields(viewer, model_path):
    return Fields(viewer.layers["movie"], str(model_path))


@pytest.fixture
def preview(qtbot, viewer, fields):
    made = PreviewBox(viewer, fields)
    qtbot.addWidget(made)
    yield made
    made.shut_down()


def settle(qtbot, preview, frame):
    qtbot.waitUntil(
        lambda: preview.look is not None and preview.look.frame == frame, timeout=TIMEOUT
    )


def test_circles_follow_the_slider_and_the_threshold(qtbot, viewer, fields, preview):
    preview.button.click()
    settle(qtbot, preview, 12)
    points = viewer.layers["movie preview"]
    assert points is not None
    found = preview.look.above(None)
    assert len(points.data) == len(found) > 0
    assert f"{len(found)} localizations in this frame" in preview.line.label.text()
    # over the molecules, in nm
    np.testing.assert_allclose(
        points.data_to_world(points.data[0]), [100 * found.y[0], 100 * found.x[0]], rtol=1e-4
    )
    assert viewer.layers.selection.active.name == "movie"

    jobs = count_jobs(preview)
    fields.config = fields.config.replace(threshold=0.9)
    preview.reconsider()
    assert len(points.data) == len(preview.look.above(0.9)) < len(found)
    assert "threshold 0.9" in preview.line.label.text()
    assert jobs == []  # the network was not asked again

    viewer.dims.set_current_step(0, 30)
    assert len(points.data) == 0  # those of the other frame are gone at once
    settle(qtbot, preview, 30)
    assert points.features["frame"].tolist() == [30] * len(points.data)


def count_jobs(preview):
    jobs = []
    preview.worker.state_changed.connect(jobs.append)
    return jobs


def test_a_moving_slider_queues_nothing(qtbot, viewer, preview):
    preview.button.click()
    settle(qtbot, preview, 12)
    started = []
    start = preview.worker.replace
    preview.worker.replace = lambda job: (started.append(job.args[2]), start(job))
    for frame in range(13, 60):
        viewer.dims.set_current_step(0, frame)
    settle(qtbot, preview, 59)
    assert started == [59]


def test_the_residual_comes_and_goes(qtbot, viewer, fields, preview):
    fields.config = fields.config.replace(roi=(4, 6, 20, 28))
    preview.button.click()
    settle(qtbot, preview, 12)
    preview.residual_box.click()
    qtbot.waitUntil(lambda: preview.residual is not None, timeout=TIMEOUT)
    layer = viewer.layers["movie residual (photons)"]
    assert layer.data.shape == (16, 22)
    assert layer.translate.tolist() == [400, 600]
    names = [item.name for item in viewer.layers]
    assert names == ["movie", "movie residual (photons)", "movie preview"]
    preview.residual_box.click()
    assert "movie residual (photons)" not in viewer.layers


def test_off_takes_everything_away(qtbot, viewer, preview):
    preview.button.click()
    settle(qtbot, preview, 12)
    preview.button.click()
    assert [item.name for item in viewer.layers] == ["movie"]
    assert preview.line.label.isHidden()
    viewer.dims.set_current_step(0, 40)
    qtbot.wait(300)
    assert preview.look is None


def test_a_layer_the_user_removes_switches_it_off(qtbot, viewer, preview):
    preview.button.click()
    settle(qtbot, preview, 12)
    viewer.layers.remove("movie preview")
    assert not preview.on


def test_what_is_missing_is_said(viewer, fields, preview):
    fields.trouble = "Enter the pixel size in nm."
    preview.button.click()
    assert not preview.on
    assert preview.line.label.text() == "Enter the pixel size in nm."


def test_an_error_is_one_sentence_and_details(qtbot, fields, preview, tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no model")
    fields.model = str(bad)
    with qtbot.waitSignal(preview.worker.failed, timeout=TIMEOUT):
        preview.button.click()
    assert "bad.safetensors is not a model file" in preview.line.label.text()
    assert not preview.line.details_button.isHidden()
    assert not preview.on


def test_it_gives_way_to_a_run(qtbot, viewer, preview):
    preview.button.click()
    settle(qtbot, preview, 12)
    preview.set_running(True)
    assert not preview.on
    assert "Wait until the run has ended" in preview.button.toolTip()
    assert len(viewer.layers) == 1
    preview.set_running(False)
    assert preview.button.isEnabled()
