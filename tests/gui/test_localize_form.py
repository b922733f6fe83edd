import numpy as np
import pytest
from napari.layers import Image

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.localize_form import LocalizeForm

OTHER = {
    "threshold": 0.35,
    "frames": (5, 60),
    "roi": (1, 2, 30, 40),
    "device": "cuda:1",
    "block_frames": 16,
    "batch_frames": 7,
    "engine": "torch",
    "tile_size": 256,
    "prefetch_blocks": 5,
    "precision": "bfloat16",
}


@pytest.fixture
def form(qtbot):
    made = LocalizeForm()
    qtbot.addWidget(made)
    return made


def test_no_field_of_the_config_is_forgotten():
    assert set(OTHER) == set(LocalizeConfig.model_fields)
    assert all(getattr(LocalizeConfig(), name) != value for name, value in OTHER.items())


@pytest.mark.parametrize("length", [None, 200])
@pytest.mark.parametrize("name", [None, *OTHER])
def test_set_then_get_is_equal(form, name, length):
    config = LocalizeConfig() if name is None else LocalizeConfig(**{name: OTHER[name]})
    form.set_movie_length(length)
    form.setValue(config)
    assert form.value() == config


def test_everything_at_once(form):
    form.setValue(LocalizeConfig(**OTHER))
    assert form.value() == LocalizeConfig(**OTHER)
    form.setValue(LocalizeConfig())
    assert form.value() == LocalizeConfig()


def test_each_field_reaches_the_config(qtbot, form):
    seen = []
    form.valueChanged.connect(seen.append)
    form.set_movie_length(100)
    form.threshold.setValue(0.7)
    form.first_frame.setValue(10)
    form.end_frame.setValue(20)
    form.region.choice.setCurrentText("numbers")
    for box, number in zip(form.region.boxes, (3, 4, 25, 36), strict=True):
        box.setValue(number)
    form.device.setCurrentText("cpu")
    form.engine.engine.setCurrentText("exact")
    form.engine.precision.setCurrentText("float32")
    form.engine.batch_frames.setValue(3)
    form.engine.block_frames.setValue(9)
    form.engine.prefetch_blocks.setValue(4)
    form.engine.tile_size.setValue(512)
    assert form.value() == LocalizeConfig(
        threshold=0.7,
        frames=(10, 20),
        roi=(3, 4, 25, 36),
        device="cpu",
        engine="exact",
        precision="float32",
        batch_frames=3,
        block_frames=9,
        prefetch_blocks=4,
        tile_size=512,
    )
    assert seen[-1] == form.value()


@pytest.mark.parametrize("name", ["batch_frames", "block_frames"])
def test_the_least_is_automatic(form, name):
    form.setValue(LocalizeConfig(**{name: 4}))
    box = getattr(form.engine, name)
    box.setValue(0)
    assert box.text() == "automatic"
    assert getattr(form.value(), name) is None


def test_the_least_tile_is_automatic(form):
    form.setValue(LocalizeConfig(tile_size=256))
    form.engine.tile_size.setValue(form.engine.tile_size.minimum())
    assert form.engine.tile_size.text() == "automatic"
    assert form.value().tile_size is None


def test_the_slider_is_the_threshold(form):
    form.slider.setValue(420)
    assert form.value().threshold == pytest.approx(0.42)
    form.threshold.setValue(0.15)
    assert form.slider.value() == 150


def test_the_slider_begins_where_the_models_own_threshold_is(form):
    form.show_own_threshold(0.3)
    assert form.value().threshold is None
    assert form.slider.value() == 300
    form.slider.setValue(310)
    assert form.value().threshold == pytest.approx(0.31)
    form.setValue(LocalizeConfig())
    assert form.slider.value() == 300


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


def test_a_region_beyond_the_movie_is_said(form):
    form.set_movie(Image(np.zeros((5, 20, 30), np.uint16)))
    form.setValue(LocalizeConfig(roi=(0, 0, 20, 30)))
    assert form.trouble == ""
    form.setValue(LocalizeConfig(roi=(0, 0, 20, 31)))
    assert "the frames are 20 x 30 px" in form.trouble
