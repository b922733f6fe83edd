import pytest

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.localize_form import LocalizeForm


@pytest.fixture
def form(qtbot):
    made = LocalizeForm()
    qtbot.addWidget(made)
    return made


@pytest.mark.parametrize(
    "config",
    [
        LocalizeConfig(),
        LocalizeConfig(threshold=0.35),
        LocalizeConfig(frames=(5, 60)),
        LocalizeConfig(frames=(0, 200)),
        LocalizeConfig(device="cuda:1", roi=(1, 2, 30, 40), block_frames=16),
    ],
)
@pytest.mark.parametrize("length", [None, 200])
def test_set_then_get_is_equal(form, config, length):
    form.set_movie_length(length)
    form.setValue(config)
    assert form.value() == config


def test_each_field_reaches_the_config(qtbot, form):
    seen = []
    form.valueChanged.connect(seen.append)
    form.set_movie_length(100)
    form.threshold.setValue(0.7)
    form.first_frame.setValue(10)
    form.end_frame.setValue(20)
    form.device.setCurrentText("cpu")
    assert form.value() == LocalizeConfig(threshold=0.7, frames=(10, 20), device="cpu")
    assert seen[-1] == form.value()


def test_end_stands_for_the_last_frame(form):
    form.set_movie_length(100)
    form.first_frame.setValue(30)
    assert form.value().frames == (30, 100)
    assert form.trouble == ""


def test_frames_of_a_shorter_movie_are_cut(form):
    form.set_movie_length(100)
    form.setValue(LocalizeConfig(frames=(10, 90)))
    form.set_movie_length(50)
    assert form.value().frames == (10, 50)


def test_an_empty_range_is_said(form):
    form.setValue(LocalizeConfig(frames=(20, 10)))
    assert "hold none" in form.trouble
